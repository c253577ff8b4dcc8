"""Why AMD and Intel GPUs hold their clock down, as the kernel's drivers tell: amdgpu in its table of metrics, i915 and
xe in a file for each reason."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tui.machine.files import read_bytes, read_int
from tui.machine.readings import ThrottleReason

_STATUS_AT = {(1, 3): 112, (2, 2): 120, (2, 3): 120, (2, 4): 120}
"""Where a table of that format has `indep_throttle_status`, by kgd_pp_interface.h of the kernel."""
_BITS: tuple[tuple[range, ThrottleReason], ...] = (
    (range(32, 46), "heat"),
    (range(8), "power"),
    (range(16, 24), "current"),
    (range(46, 58), "hardware"),
)
"""Bits of that status, by amdgpu_smu.h."""
_RESIDENCY_AT = 228
"""Where format 3.0 has how long each reason has held, seven counters that only grow."""
_RESIDENCIES: tuple[ThrottleReason, ...] = ("hardware", "power", "power", "power", "heat", "heat", "heat")
_INTEL: tuple[tuple[str, ThrottleReason], ...] = (
    ("thermal", "heat"),
    ("ratl", "heat"),
    ("vr_thermalert", "heat"),
    ("pl1", "power"),
    ("pl2", "power"),
    ("pl4", "power"),
    ("vr_tdc", "current"),
    ("prochot", "hardware"),
)


class AmdThrottling:
    """Reads one GPU's table. Counters are compared with those of the read before."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._before: tuple[int, ...] | None = None

    def read(self) -> tuple[ThrottleReason, ...] | None:
        """Each reason once; None for a table of a format that does not tell, and for counters that are read first."""
        table = read_bytes(self._file) or b""
        if len(table) < 4:
            return None
        _, major, minor = struct.unpack_from("<HBB", table)
        if (major, minor) == (3, 0):
            return self._grown(table)
        at = _STATUS_AT.get((major, minor))
        if at is None or len(table) < at + 8:
            return None
        (status,) = struct.unpack_from("<Q", table, at)
        if status == 2**64 - 1:  # not known
            return None
        return _once(reason for bits, reason in _BITS if any(status >> bit & 1 for bit in bits))

    def _grown(self, table: bytes) -> tuple[ThrottleReason, ...] | None:
        if len(table) < _RESIDENCY_AT + 4 * len(_RESIDENCIES):
            return None
        now = struct.unpack_from(f"<{len(_RESIDENCIES)}I", table, _RESIDENCY_AT)
        before, self._before = self._before, now
        if before is None:
            return None
        return _once(reason for reason, a, b in zip(_RESIDENCIES, before, now, strict=True) if b > a)


def intel_throttling(folder: str) -> tuple[ThrottleReason, ...] | None:
    """What the files in that folder say: "reason_pl1" of xe, "throttle_reason_pl1" of i915. None where there are
    none."""
    for status, prefix in (("status", "reason_"), ("throttle_reason_status", "throttle_reason_")):
        is_slowed = read_int(f"{folder}/{status}")
        if is_slowed is not None:
            return _once(why for name, why in _INTEL if is_slowed and read_int(f"{folder}/{prefix}{name}"))
    return None


def _once(reasons: Iterable[ThrottleReason]) -> tuple[ThrottleReason, ...]:
    return tuple(dict.fromkeys(reasons))
