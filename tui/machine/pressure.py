"""When memory runs out: one warning for each episode, before the machine starts to swap, and what was swapped out
meanwhile. Pure: samples in, facts out."""

from __future__ import annotations

import msgspec

from tui.machine.readings import HostSample

HIGH_PERCENT = 10.0
"""Programs that wait for memory this much of the time, over 10 s, are in its way already (Linux alone tells)."""
CALM_PERCENT = 2.0
CALM_READS = 10
"""An episode is over after so many readings without a sign of it: what comes and goes is one episode."""
LEAST_SWAP_BYTES = 1 << 20
"""Less than this is swapped on an idle machine too."""


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """Memory is running out: how it showed."""

    ram_available_bytes: int | None
    ram_total_bytes: int | None
    pressure_percent: float | None
    """Time over the last 10 s in which some program waited for memory; None where the system does not tell."""


class MemoryWatch:
    """Looks at every reading and tells of a shortage when it begins: the kernel's own measure of programs that wait for
    memory where there is one, and half of the reserve left anywhere. Made for one reading a second."""

    def __init__(self) -> None:
        self._in_episode = False
        self._n_calm = 0

    def take(self, sample: HostSample, reserve_bytes: int) -> Shortage | None:
        """A shortage that begins with this reading; `reserve_bytes` is what should stay available."""
        pressure, available = sample.memory_pressure_percent, sample.ram_available_bytes
        is_short = (pressure is not None and pressure >= HIGH_PERCENT) or (
            available is not None and available < reserve_bytes // 2
        )
        is_calm = (pressure is None or pressure < CALM_PERCENT) and (
            available is None or available >= reserve_bytes * 3 // 4
        )
        if self._in_episode:
            self._n_calm = self._n_calm + 1 if is_calm else 0
            self._in_episode = self._n_calm < CALM_READS
            return None
        if not is_short:
            return None
        self._in_episode, self._n_calm = True, 0
        return Shortage(
            ram_available_bytes=available, ram_total_bytes=sample.ram_total_bytes, pressure_percent=pressure
        )


def swap_growth(before_bytes: int | None, after_bytes: int | None) -> int:
    """Bytes swapped out between two readings of swap in use; 0 for a growth too small to matter, or an unknown one."""
    if before_bytes is None or after_bytes is None:
        return 0
    growth = after_bytes - before_bytes
    return growth if growth >= LEAST_SWAP_BYTES else 0
