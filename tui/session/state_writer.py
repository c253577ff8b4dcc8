"""What the app remembers for its next run, written without waiting for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tui.config.problems import ConfigProblem
from tui.config.settings import ChosenLoad
from tui.config.state import State, StateStore, TunedLoad

RETRY_S = 5.0
"""How long after a failure it is tried again."""


class StateWriter:
    """Writes to `state` in the order in which that is asked for: what was chosen last is what stays. What keeps it from
    being written is told to `on_problem`, once for as long as it stays the same, and tried again. All on the event
    loop's thread."""

    def __init__(
        self, state: StateStore, on_problem: Callable[[ConfigProblem], None], *, retry_s: float = RETRY_S
    ) -> None:
        self._state, self._on_problem, self._retry_s = state, on_problem, retry_s
        self._writes: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()
        self._problem: ConfigProblem | None = None
        """What was in the way the last time."""
        self._retry: asyncio.TimerHandle | None = None

    def update(self, **changes: Any) -> None:
        """Keep fields of `State`."""
        self._do(lambda: self._state.update(**changes))

    def change(self, made_of: Callable[[State], Mapping[str, Any]]) -> asyncio.Task[None]:
        """Keep what is made of the newest state, another window's part included; done when the result is."""
        return self._do(lambda: self._state.change(made_of))

    async def remember_load(self, path: Path, choice: ChosenLoad) -> None:
        """Keep what a model was loaded with, and wait for it: its next load starts from there."""
        await asyncio.shield(self._do(lambda: self._state.remember_load(path, choice)))

    async def remember_tuned(self, path: Path, tuned: TunedLoad) -> None:
        """Keep what was found to be the fastest for a model, and wait for it as `remember_load` does."""
        await asyncio.shield(self._do(lambda: self._state.remember_tuned(path, tuned)))

    async def flush(self) -> ConfigProblem | None:
        """Write all that waits, and what could not be written before; what is in the way of that still. Nothing is
        tried again after this."""
        if self._problem is not None:
            self.update()
        if self._writes:
            await asyncio.wait(set(self._writes))
        if self._retry is not None:
            self._retry.cancel()
        return self._problem

    def _do(self, change: Callable[[], ConfigProblem | None]) -> asyncio.Task[None]:
        async def write() -> None:
            async with self._order:
                self._note(await asyncio.to_thread(change))

        task = asyncio.create_task(write())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    def _note(self, problem: ConfigProblem | None) -> None:
        before, self._problem = self._problem, problem
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if problem is not None:
            self._retry = asyncio.get_running_loop().call_later(self._retry_s, self.update)
            if problem != before:
                self._on_problem(problem)
