"""What the system says that the engine's process and its devices hold, before and after a load. Runs in the engine
process only."""

from __future__ import annotations

import re
from pathlib import Path

from tui.engine import devices
from tui.protocol.records import Footprint, Placed, ProcessMemory

_FIELD = re.compile(r"^(RssAnon|RssFile):\s+(\d+) kB$", re.M)


def process_memory(status: Path = Path("/proc/self/status")) -> ProcessMemory | None:
    """This process's memory now, or another's; None where the system does not tell."""
    try:
        found = {name: int(kib) << 10 for name, kib in _FIELD.findall(status.read_text())}
    except OSError:
        return None
    if len(found) < 2:
        return None
    return ProcessMemory(resident_bytes=found["RssAnon"], file_bytes=found["RssFile"])


class Before:
    """Taken before a load, asked after it."""

    def __init__(self) -> None:
        self._memory = process_memory()
        self._free = _device_free()

    def after(self, placed: tuple[Placed, ...]) -> Footprint | None:
        """What it took; None where the system does not tell."""
        now = process_memory()
        if self._memory is None or now is None:
            return None
        return Footprint(
            before=self._memory,
            after=now,
            device_free_before=self._free,
            device_free_after=_device_free(),
            placed=placed,
        )


def _device_free() -> dict[str, int]:
    return {device.name: device.free_bytes for device in devices.list_devices() if device.kind != "cpu"}
