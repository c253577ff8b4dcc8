"""What the thread of the conversations' database is asked to do, and how it answers: made on the event loop, done in
the thread of `writer`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from tui.chat.schema import StoreError

T = TypeVar("T")
T2 = TypeVar("T2")
Statement = Callable[[sqlite3.Connection], T]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What was found when the database was opened."""

    n_crashed: int = 0
    """Answers that were streaming when their llmtui died; they are closed with `stop` "crashed"."""
    set_aside: Path | None = None
    """A damaged database was kept under this name, and a new one begun."""
    damage: str = ""
    """SQLite's words about it."""


class Job(Generic[T]):
    """A piece of work for the thread, made on the event loop, and the future that its caller may await."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()
        self.is_told = False
        """The future was settled; a write may go on waiting after its caller was told of a failure."""

    def succeed(self, result: T) -> None:
        self._settle(lambda: self.future.set_result(result))

    def fail(self, error: StoreError) -> None:
        self._settle(lambda: self._set_error(error))

    def tell(self, listener: Callable[[T2], None], what: T2) -> None:
        """Call `listener` on the event loop that this job came from."""
        with suppress(RuntimeError):  # The loop is closed: nobody listens any more.
            self._loop.call_soon_threadsafe(listener, what)

    def _settle(self, action: Callable[[], None]) -> None:
        if self.is_told:
            return
        self.is_told = True
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(lambda: None if self.future.done() else action())

    def _set_error(self, error: StoreError) -> None:
        self.future.set_exception(error)
        # A write need not be awaited, since `on_error` tells too: asyncio is not to log the exception as forgotten.
        self.future.exception()


class Read(Job[T]):
    """Look something up."""

    def __init__(self, statement: Statement[T]) -> None:
        super().__init__()
        self.statement = statement


class Write(Job[None]):
    """Change something, in a transaction of its own; `begins` and `ends` name a turn that starts or stops to stream.
    `begun` is the text and the thoughts that one which starts has already."""

    def __init__(
        self, statement: Statement[None], *, begins: str = "", ends: str = "", begun: tuple[str, str] = ("", "")
    ) -> None:
        super().__init__()
        self.statement = statement
        self.begins, self.ends, self.begun = begins, ends, begun


class Start(Job[Opened]):
    """Open the database."""


class Follow(Job[None]):
    """Look from now on for what others do to this conversation."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__()
        self.conversation_id = conversation_id


class Settle(Job[None]):
    """Do all that waits, as far as that can be done now; `at_once` also what has time until the next flush."""

    def __init__(self, *, at_once: bool = False) -> None:
        super().__init__()
        self.at_once = at_once


class CloseDead(Job[None]):
    """End the answers of processes that died while they wrote them."""


class Stop(Job[None]):
    """Write all that waits, close the database and end the thread."""
