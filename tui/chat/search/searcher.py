"""Searching while somebody types: each search has the thread and the database's connection of the one before, which it
ends; and the thread that keeps the index in step, in small steps, while nothing else wants the machine."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from tui.base.oserrors import os_reason
from tui.chat.schema import StoreError, as_store_error, connect_to_read
from tui.chat.search import index
from tui.chat.search.query import MOST_HITS, Hit, find
from tui.chat.search.wanted import Wanted
from tui.words.later import Later, later

_log = logging.getLogger("llmtui")

SETTLE_S = 1.0
"""After something was written: more may follow."""
AGAIN_S = 10.0
"""To the next try, when another process keeps the index or it could not be written."""
BUSY_S = 0.5


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What a search has found so far."""

    wanted: Wanted
    hits: tuple[Hit, ...] = ()
    """As they were found, the best not first."""
    is_whole: bool = False
    """Nothing more comes."""

    @property
    def has_more(self) -> bool:
        """Only the newest of those that hold the words are given."""
        return len(self.hits) >= MOST_HITS


class _Search:
    """One search on its way."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.is_over = False
        self.answers: asyncio.Queue[list[Hit] | StoreError | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def give(self, answer: list[Hit] | StoreError | None) -> None:
        """From the thread; None at the end."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self.answers.put_nowait, answer)


class Searcher:
    """Over a database that somebody else writes. Nothing is opened before it is needed."""

    def __init__(self, database: Path, index_file: Path, *, is_busy: Callable[[], bool] = lambda: False) -> None:
        """`is_busy` is called in another thread: something else wants the machine, and the index waits."""
        self._database, self._index_file, self._is_busy = database, index_file, is_busy
        self._asked: queue.SimpleQueue[_Search | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._now: tuple[_Search, sqlite3.Connection] | None = None
        """Under the lock: what runs, and what it is interrupted by."""
        self._is_started = False
        self._is_closed = False
        self._changed = threading.Event()
        self._keeper: threading.Thread | None = None
        self._is_damaged = False
        self.progress: index.Progress | None = None
        """How far the index is; None while it is in step."""
        self.trouble: Later | None = None
        """Why there is no index, or none that is kept up."""

    async def search(self, wanted: Wanted) -> AsyncGenerator[Results]:
        """What is found, more and more of it; the last one `is_whole`. The search ends when the iterator is closed; the
        next one waits for that. Raises StoreError."""
        search, hits = _Search(wanted), []
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._answer, name="search", daemon=True).start()
        self._asked.put(search)
        try:
            while (answer := await search.answers.get()) is not None:
                if isinstance(answer, StoreError):
                    raise answer
                hits += answer
                yield Results(wanted=wanted, hits=tuple(hits))
            yield Results(wanted=wanted, hits=tuple(hits), is_whole=True)
        finally:
            self._end(search)

    def _end(self, search: _Search) -> None:
        search.is_over = True
        with self._lock:
            if self._now is not None and self._now[0] is search:
                self._now[1].interrupt()

    def keep_index(self) -> None:
        """Bring the index in step, now and after each `changed`."""
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="search index", daemon=True)
            self._keeper.start()
        self.changed()

    def changed(self) -> None:
        """Something was written to the database."""
        self._changed.set()

    def close(self) -> None:
        """Have the threads end; nobody need wait, for what a step has not finished is not there."""
        self._is_closed = True
        self._changed.set()
        self._asked.put(None)

    # The thread that answers ------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        while (search := self._asked.get()) is not None:
            try:
                if not search.is_over:
                    self._find(search)
            except (sqlite3.Error, OSError) as error:
                if not search.is_over:
                    search.give(as_store_error(error, self._database))
            search.give(None)

    def _find(self, search: _Search) -> None:
        if not self._database.exists():
            return
        with closing(_connect(self._database)) as connection:
            has_index = not self._is_damaged and index.attach_index(connection, self._index_file)
            with self._lock:
                self._now = search, connection
            try:
                self._give_all(search, connection, has_index=has_index)
            except sqlite3.DatabaseError:
                if search.is_over:
                    return
                if not has_index:
                    raise
                self._is_damaged = True
                self.changed()
                self._give_all(search, connection, has_index=False)
            finally:
                with self._lock:
                    self._now = None

    @staticmethod
    def _give_all(search: _Search, connection: sqlite3.Connection, *, has_index: bool) -> None:
        for hits in find(connection, search.wanted, time.time(), has_index=has_index):
            if search.is_over:
                return
            search.give(hits)

    # The thread that keeps the index ----------------------------------------------------------------------------------

    def _keep(self) -> None:
        with suppress(OSError):  # only when nobody else wants the processor
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        if not index.is_supported():
            self.trouble = later(
                "SQLite is older than 3.34 here, or lacks FTS5: there is no index, and large histories take longer."
            )
            return
        while not self._is_closed:
            self._changed.wait()
            self._pause(SETTLE_S)
            self._changed.clear()
            if not self._is_closed and not self._is_brought_in_step():
                self._pause(AGAIN_S)
                self._changed.set()

    def _is_brought_in_step(self) -> bool:
        """False when that has to be tried again."""
        try:
            if not self._database.exists():
                return True
            with index.keeping(self._index_file) as is_ours:
                if not is_ours:
                    return False
                if self._is_damaged:
                    index.drop(self._index_file)
                    self._is_damaged = False
                with closing(index.open_index(self._index_file, self._database)) as connection:
                    self._step_through(connection)
        except (sqlite3.Error, OSError) as error:
            reason = os_reason(error) if isinstance(error, OSError) else str(error)
            self._is_damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(
                error, sqlite3.OperationalError
            )
            if self.trouble is None:
                _log.warning("The search index was not brought up to date: %s", error)
            self.trouble = later(
                "The search index cannot be kept: {reason}. Large histories take longer.", reason=reason
            )
            return False
        finally:
            self.progress = None
        self.trouble = None
        return True

    def _step_through(self, connection: sqlite3.Connection) -> None:
        started = time.monotonic()
        for progress in index.keep_up(connection):
            self.progress = progress
            self._pause(min(time.monotonic() - started, 0.05))  # half of the time at most
            while self._is_busy() and not self._is_closed:
                time.sleep(BUSY_S)
            if self._is_closed:
                return
            started = time.monotonic()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._is_closed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BUSY_S))


def _connect(database: Path) -> sqlite3.Connection:
    """A connection that only reads, and that another thread may interrupt."""
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("SELECT 1 FROM conversations LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        return connect_to_read(database)  # in a folder where nothing can be written
    return connection
