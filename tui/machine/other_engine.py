"""Finds the engine processes of other llmtuis: for a monitor that has none of its own, and for whoever wants to measure
while none of them computes."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

from tui.machine.files import read_bytes, read_text
from tui.machine.procfs import STARTED, Linux, stat_fields

_LOOK_S = 0.1
_A_CORE = 0.15
"""Part of the time of a core from which on a process computes."""
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

    def all(self) -> list[int]:
        """All of them, in no order."""
        return list(filter(self._is_engine, self._processes()))

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


def computing(module: str, own: Collection[int] = (), root: Path = Path("/")) -> bool:
    """Whether a process of this module that is none of the `own` takes a good part of a core now. Blocks for a tenth of
    a second where there is one."""
    pids = [pid for pid in OtherEngine(module, root / "proc").all() if pid not in own]
    if not pids:
        return False
    linux, a_core = Linux(root), os.sysconf("SC_CLK_TCK") * _LOOK_S
    before = {pid: process.cpu for pid in pids if (process := linux.process(pid))}
    time.sleep(_LOOK_S)
    now = {pid: process.cpu for pid in before if (process := linux.process(pid))}
    return any(cpu - before[pid] > _A_CORE * a_core for pid, cpu in now.items())
