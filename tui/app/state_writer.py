"""What the app remembers for its next run, written without waiting for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui.config.problems import ConfigProblem
from tui.config.settings import LoadDefaults
from tui.config.state import StateStore


class StateWriter:
    """Writes to `state` in the order in which that is asked for: what was chosen last is what stays. What keeps it from
    being written is told to `on_problem`. All on the event loop's thread."""

    def __init__(self, state: StateStore, on_problem: Callable[[ConfigProblem], None]) -> None:
        self._state, self._on_problem = state, on_problem
        self._writes: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()

    def update(self, **changes: Any) -> None:
        """Keep fields of `State`."""
        self._do(lambda: self._state.update(**changes))

    async def remember_load(self, path: Path, choice: LoadDefaults) -> None:
        """Keep what a model was loaded with, and wait for it: its next load starts from there."""
        await asyncio.shield(self._do(lambda: self._state.remember_load(path, choice)))

    async def flush(self) -> None:
        """Wait until all is written."""
        if self._writes:
            await asyncio.wait(set(self._writes))

    def _do(self, change: Callable[[], ConfigProblem | None]) -> asyncio.Task[None]:
        async def write() -> None:
            async with self._order:
                if problem := await asyncio.to_thread(change):
                    self._on_problem(problem)

        task = asyncio.create_task(write())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task
