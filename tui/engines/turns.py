"""Whose turn it is with an engine that several sessions share: who comes first is first, one at a time. Knows neither
the engine nor what is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turns:
    """All turns with one engine. All of it on the event loop."""

    def __init__(self) -> None:
        self._waiting: list[Turn] = []
        """Who has it, then those that wait, in order."""
        self.on_taken: Callable[[Turn], None] = lambda turn: None
        """Called with each turn that somebody has got."""

    @property
    def holder(self) -> Turn | None:
        """Who has the turn; None while nobody wants it."""
        return self._waiting[0] if self._waiting else None

    async def _join(self, turn: Turn) -> None:
        self._waiting.append(turn)
        turn._told(len(self._waiting) - 1)
        try:
            while self._waiting[0] is not turn:
                turn._moved.clear()
                await turn._moved.wait()
        except BaseException:
            self._leave(turn)
            raise
        self.on_taken(turn)

    def _leave(self, turn: Turn) -> None:
        place = self._waiting.index(turn)
        self._waiting.remove(turn)
        for n_before, other in enumerate(self._waiting[place:], place):
            other._moved.set()
            other._told(n_before)


class Turn:
    """One session's. Whoever has it may take it once more; it is over when all of that is."""

    def __init__(self, turns: Turns | None = None) -> None:
        """Without `turns` it never has to wait."""
        self._turns = Turns() if turns is None else turns
        self._n_held = 0
        self._joining: asyncio.Future[None] | None = None
        self._moved = asyncio.Event()
        self.on_wait: Callable[[int], None] = lambda n_before: None
        """Called with how many go before this one while it waits, each time that this has changed; with 0 when it is
        its turn, if it had to wait."""
        self._is_told = False

    @property
    def is_waiting(self) -> bool:
        """Others go first."""
        return self._joining is not None

    @property
    def n_before(self) -> int:
        """How many go first."""
        return self._turns._waiting.index(self) if self in self._turns._waiting else 0

    @property
    def is_held(self) -> bool:
        """It is this one's turn."""
        return self._n_held > 0

    @property
    def must_wait(self) -> bool:
        """Who wants it now has to wait."""
        return not self._n_held and self._turns.holder is not None

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn, and have it for the block. Who is cancelled while waiting loses the place."""
        while self._joining is not None:  # another task of the same session waits already
            await asyncio.wait([self._joining])
        if not self._n_held:
            self._joining = asyncio.get_running_loop().create_future()
            try:
                await self._turns._join(self)
            finally:
                self._joining.set_result(None)
                self._joining, self._is_told = None, False
        self._n_held += 1
        try:
            yield
        finally:
            self._n_held -= 1
            if not self._n_held:
                self._turns._leave(self)

    def _told(self, n_before: int) -> None:
        if n_before or self._is_told:
            self._is_told = True
            self.on_wait(n_before)
