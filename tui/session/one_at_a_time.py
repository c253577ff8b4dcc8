"""Work of which only one piece runs at a time. Knows nothing of what the work is; how what runs is brought to an end is
said by whoever begins the next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol

Work = Coroutine[Any, Any, object]


class OneAtATime:
    """Runs coroutines one after the other. All of it on the event loop."""

    def __init__(self, guard: Callable[[Work], Work], on_idle: Callable[[], None]) -> None:
        """`guard` awaits one piece of work, and deals with what it raises. `on_idle` is called whenever nothing runs or
        waits any more."""
        self._guard, self._on_idle = guard, on_idle
        self._tasks: set[asyncio.Task[None]] = set()
        """What was begun and has not ended: one that runs, and those that wait for its end."""
        self._running: asyncio.Task[None] | None = None
        self._n_begun = 0

    @property
    def is_busy(self) -> bool:
        """Something runs or waits."""
        return bool(self._tasks)

    @property
    def has_next(self) -> bool:
        """Something was begun whose turn has not come."""
        return not self._tasks <= {self._running}

    def begin(self, work: Work, interrupt: Callable[[], None], *, dropped: Callable[[], None] = lambda: None) -> None:
        """Do `work` when what runs now has ended, which `interrupt` is to bring about. Of what waits only the newest is
        done; `dropped` is called if this is not."""
        before = set(self._tasks)
        self._n_begun += 1
        number = self._n_begun

        async def run() -> None:
            try:
                if before:
                    await asyncio.wait(before)
                self._running = asyncio.current_task()
                if number == self._n_begun:
                    await self._guard(work)
                else:
                    dropped()
            finally:
                work.close()

        interrupt()
        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._on_idle()

    def cancel(self, *, again: bool = False) -> None:
        """Cancel what runs and what waits. What was cancelled before has its time to end, unless it is to be cancelled
        `again`."""
        for task in self._tasks:
            if again or not task.cancelling():
                task.cancel()

    async def end(self, interrupt: Callable[[], None]) -> None:
        """Drop what waits, `interrupt` what runs, and wait for its end."""
        self._n_begun += 1
        interrupt()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


class Closable(Protocol):
    """A process that can be ended."""

    async def close(self) -> None:
        """End it."""


async def end_work(
    works: OneAtATime,
    interrupt: Callable[[], None],
    keep: Callable[[], Awaitable[None]],
    processes: Iterable[Closable],
    patience_s: float | None,
) -> None:
    """End what runs, `keep` what should be kept of it, and end the processes that did it. When that takes longer than
    `patience_s` the processes are ended, whatever they do; None waits for them."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await works.end(interrupt)
            await keep()
    await asyncio.gather(*(process.close() for process in processes))
    await works.end(lambda: None)  # what the end of the processes has ended
