"""The one thread that touches the conversations' database: does jobs in order, keeps failed writes, tries them again.

`store` is what the rest of the program uses; the statements are those of `rows`.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from tui.chat import rows
from tui.chat.schema import (
    NOT_WRITABLE,
    StoreError,
    Writer,
    as_store_error,
    check,
    clear_dead_writers,
    connect,
    copy_into,
    is_writer_alive,
    migrate,
    opening,
    set_aside,
    transaction,
)

STREAM_S = 0.5
"""Streaming text is written this often: the most that a crash may cost."""

T = TypeVar("T")
Statement = Callable[[sqlite3.Connection], T]
OnError = Callable[[StoreError | None], None]

_REFUSALS = (rows.MissingError, sqlite3.Error, ArithmeticError, ValueError, TypeError, msgspec.MsgspecError)
"""What a statement may raise, beside faults of the disk: a record that cannot be stored must not end the thread."""


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

    def tell(self, on_error: OnError, error: StoreError | None) -> None:
        """Call `on_error` on the event loop that this job came from."""
        with suppress(RuntimeError):  # The loop is closed: nobody listens any more.
            self._loop.call_soon_threadsafe(on_error, error)

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
    """Change something, in a transaction of its own; `begins` and `ends` name a turn that starts or stops to stream."""

    def __init__(self, statement: Statement[None], *, begins: str = "", ends: str = "") -> None:
        super().__init__()
        self.statement = statement
        self.begins, self.ends = begins, ends


class Start(Job[Opened]):
    """Open the database."""


class Stop(Job[None]):
    """Write all that waits, close the database and end the thread."""


class WriterThread:
    """Owns the connection. `submit` and `stream` are called on the event loop, the rest runs in the thread."""

    def __init__(
        self, path: Path, writer_id: str, on_error: OnError | None, *, busy_timeout_s: float, retry_s: float
    ) -> None:
        self._path = path
        self._on_error = on_error
        self._busy_timeout_s, self._retry_s = busy_timeout_s, retry_s
        self._queue: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        # Under the lock: the turns that stream, the newest text of those with text that is not written yet, and
        # whether the thread knows that there is some.
        self._lock = threading.Lock()
        self._streaming: set[str] = set()
        self._latest: dict[str, tuple[str, str]] = {}
        self._is_woken = False
        # The thread's own.
        self._connection: sqlite3.Connection | None = None
        self._opened = Opened()
        self.unread: StoreError | None = None
        """Why the last read saw nothing of what the file holds."""
        self._writer_id = writer_id
        self._writer: Writer | None = None
        self._backlog: deque[Write] = deque()
        self._last: Job[Any] | None = None
        self._failure: StoreError | None = None
        self._written: dict[str, tuple[str, str]] = {}
        self._flush_at = self._retry_at = 0.0
        threading.Thread(target=self._run, name="conversations", daemon=True).start()

    @property
    def n_unsaved(self) -> int:
        """Writes that failed and wait for another try."""
        return len(self._backlog) if self._failure is not None else 0

    def submit(self, job: Job[Any]) -> None:
        if isinstance(job, Write):
            with self._lock:
                if job.begins:
                    self._streaming.add(job.begins)
                self._streaming.discard(job.ends)
                self._latest.pop(job.ends, None)
        self._queue.put(job)

    def stream(self, turn_id: str, text: str, reasoning: str) -> None:
        """Note the newest text of a turn; the thread is woken once per flush, not once per call."""
        with self._lock:
            if turn_id not in self._streaming:
                return
            self._latest[turn_id] = (text, reasoning)
            if self._is_woken:
                return
            self._is_woken = True
        self._queue.put(None)

    def _run(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=self._wait_s())
            except queue.Empty:
                self._save()
                continue
            self._last = job or self._last
            match job:
                case None:
                    self._save()
                case Start():
                    self._start(job)
                case Write():
                    self._backlog.append(job)
                    self._save()
                case Read():
                    self._read(job)
                case Stop():
                    self._stop(job)
                    return

    def _wait_s(self) -> float | None:
        """Seconds to the next flush or the next try; None with nothing to write."""
        if not self._is_woken and not self._backlog:
            return None
        return max(0.0, (self._flush_at if self._failure is None else self._retry_at) - time.monotonic())

    def _start(self, job: Start) -> None:
        if self._connection is None:
            self._save(at_once=True)
        if self._connection is None and self._failure is not None:
            job.fail(self._failure)
        else:
            job.succeed(self._opened)

    def _save(self, *, at_once: bool = False) -> None:
        """Do the writes that wait, in order, then write the streaming text if it is due. `at_once` ignores both the
        pause after a failure and the time between two flushes."""
        if self._failure is None or at_once or time.monotonic() >= self._retry_at:
            try:
                connection = self._connection or self._open()
                while self._backlog:
                    self._write(connection, self._backlog[0])
                    self._backlog.popleft()
                if self._is_woken and (at_once or time.monotonic() >= self._flush_at):
                    self._flush(connection)
            except (StoreError, sqlite3.Error, OSError) as error:
                self._note_failure(as_store_error(error, self._path))
            else:
                if self._failure is not None:
                    self._failure = None
                    self._tell(None)
        if self._failure is not None:
            for job in self._backlog:
                job.fail(self._failure)

    def _write(self, connection: sqlite3.Connection, job: Write) -> None:
        """One write in one transaction. One that can never succeed fails its future and counts as done; what may
        succeed later is raised."""
        try:
            with transaction(connection):
                job.statement(connection)
        except _REFUSALS as error:
            refusal = self._as_error(error)
            if refusal.is_retried:
                raise refusal from error
            job.fail(refusal)
            self._tell(refusal)
        else:
            job.succeed(None)
        if job.begins:
            self._written[job.begins] = ("", "")
        self._written.pop(job.ends, None)

    def _flush(self, connection: sqlite3.Connection) -> None:
        """Append what is new of the streaming turns. A turn whose first write is still queued waits for that."""
        with self._lock:
            due = {turn_id: self._latest.pop(turn_id) for turn_id in self._written if turn_id in self._latest}
            self._is_woken = bool(self._latest)
        self._flush_at = time.monotonic() + STREAM_S
        if not due:
            return
        try:
            with transaction(connection):
                self._append_text(connection, due)
        except sqlite3.Error:
            with self._lock:
                # A turn that ended meanwhile is written whole by its last write.
                self._latest = {key: due[key] for key in due if key in self._streaming} | self._latest
                self._is_woken = bool(self._latest)
            raise
        self._written |= due

    def _append_text(self, connection: sqlite3.Connection, texts: dict[str, tuple[str, str]]) -> None:
        for turn_id, (text, reasoning) in texts.items():
            known, known_reasoning = self._written.get(turn_id, ("", ""))
            if not (text.startswith(known) and reasoning.startswith(known_reasoning)):  # the answer was a thought
                rows.drop_chunks(connection, turn_id)
                known = known_reasoning = ""
            rows.append_chunk(connection, turn_id, text[len(known) :], reasoning[len(known_reasoning) :])

    def _read(self, job: Read[Any]) -> None:
        self._save(at_once=self._failure is None)
        self.unread = None
        try:
            if self._connection is not None and self._failure is None:
                job.succeed(job.statement(self._connection))
            else:
                with self._overlay() as connection:
                    job.succeed(job.statement(connection))
        except rows.MissingError as error:
            job.fail(self.unread or self._as_error(error))  # it may well be in the file
        except _REFUSALS as error:
            job.fail(self._as_error(error))

    @contextmanager
    def _overlay(self) -> Iterator[sqlite3.Connection]:
        """While writes wait: a copy of the database in memory, with them done."""
        memory = connect(None)
        try:
            self.unread = self._copy_into(memory)
            migrate(memory, self._path)
            for job in self._backlog:
                with suppress(*_REFUSALS), transaction(memory):
                    job.statement(memory)
            with self._lock:
                latest = dict(self._latest)
            self._append_text(memory, latest)
            yield memory
        finally:
            memory.close()

    def _copy_into(self, memory: sqlite3.Connection) -> StoreError | None:
        """Fill a database in memory with what the file holds. Gives what is in the way of that."""
        if self._connection is not None:
            self._connection.backup(memory)
            return None
        try:
            if not self._path.exists():
                return None
            if self._failure is not None and self._failure.kind in NOT_WRITABLE:
                copy_into(memory, self._path)
                return None
        except (StoreError, sqlite3.Error, OSError) as error:
            return as_store_error(error, self._path)
        return self._failure

    def _stop(self, job: Stop) -> None:
        self._save(at_once=True)
        if self._connection is not None:
            self._connection.close()
        if self._writer is not None:
            self._writer.close()
        if self._failure is not None and (self._backlog or self._is_woken):
            job.fail(self._failure)
        else:
            job.succeed(None)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with opening(self._path, self._busy_timeout_s):
            self._opened = Opened()
            try:
                connection = self._connect()
            except (StoreError, sqlite3.Error) as error:
                damage = as_store_error(error, self._path)
                if damage.kind != "corrupt":
                    raise
                aside = set_aside(self._path)
                self._opened = Opened(set_aside=aside, damage=damage.detail)
                self._tell(StoreError("set_aside", aside, damage.detail))
                connection = self._connect()
            try:
                self._recover(connection)
                self._writer = self._writer or Writer(self._path, self._writer_id)
            except (sqlite3.Error, OSError):
                connection.close()
                raise
        self._connection = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._path.touch(mode=0o600)
        connection = connect(self._path, self._busy_timeout_s)
        try:
            check(connection, self._path)
            migrate(connection, self._path)
        except (StoreError, sqlite3.Error):
            connection.close()
            raise
        return connection

    def _recover(self, connection: sqlite3.Connection) -> None:
        """Close the turns that dead processes were streaming."""
        writers = [writer for writer in rows.streaming_writers(connection) if writer != self._writer_id]
        dead = [writer for writer in writers if not is_writer_alive(self._path, writer)]
        if dead:
            with transaction(connection):
                n_crashed = sum(rows.close_turns_of(connection, writer) for writer in dead)
            self._opened = msgspec.structs.replace(self._opened, n_crashed=n_crashed)
        clear_dead_writers(self._path)

    def _as_error(self, error: Exception) -> StoreError:
        if isinstance(error, rows.MissingError):
            return StoreError("not_found", self._path, f"there is no conversation or turn {error.args[0]}")
        return as_store_error(error, self._path)

    def _note_failure(self, error: StoreError) -> None:
        """Remember a failure that is tried again; its kind is told once, not at every try."""
        error.n_unsaved = len(self._backlog)
        is_new = self._failure is None or self._failure.kind != error.kind
        self._failure = error
        self._retry_at = time.monotonic() + self._retry_s
        if is_new:
            self._tell(error)

    def _tell(self, error: StoreError | None) -> None:
        if self._on_error is not None and self._last is not None:
            self._last.tell(self._on_error, error)
