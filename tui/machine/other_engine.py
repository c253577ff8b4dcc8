"""Finds the engine process of another llmtui, for a monitor that has none of its own."""

from __future__ import annotations

from pathlib import Path

from tui.machine.files import read_bytes, read_text
from tui.machine.procfs import STARTED, stat_fields

LOOK_EVERY = 10
"""Every so many times somebody asks: it takes milliseconds to look through all processes."""


class OtherEngine:
    """Looks below `proc`, which tests set to a folder of their own."""

    def __init__(self, module: str, proc: Path = Path("/proc")) -> None:
        """`module` is what the command line of such a process names behind "-m"."""
        self._module, self._proc = module.encode(), str(proc)
        self._n_asked = 0
        self._pid: int | None = None

    def pid(self) -> int | None:
        """Its id, of several the newest; None while there is none, or the system does not tell."""
        if self._pid is None or not self._is_engine(self._pid):
            self._pid = None
            if self._n_asked % LOOK_EVERY == 0:
                self._pid = max(filter(self._is_engine, self._processes()), key=self._started, default=None)
            self._n_asked += 1
        return self._pid

    def _processes(self) -> list[int]:
        try:
            return [int(process.name) for process in Path(self._proc).iterdir() if process.name.isdigit()]
        except OSError:
            return []

    def _is_engine(self, pid: int) -> bool:
        arguments = (read_bytes(f"{self._proc}/{pid}/cmdline") or b"").split(b"\0")
        return self._module in arguments

    def _started(self, pid: int) -> tuple[float, int]:
        """Larger for the newer one; ids come round again."""
        try:
            return float(stat_fields(read_text(f"{self._proc}/{pid}/stat") or "")[STARTED]), pid
        except (ValueError, IndexError):  # it has ended meanwhile
            return 0.0, pid
