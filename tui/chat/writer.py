"""The one thread that touches the conversations' database: does jobs in order, keeps failed writes, tries them again.

`store` is what the rest of the program uses; the statements are those of `rows`.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from tui.base import private
from tui.chat import rows
from tui.chat.jobs import CloseDead, Follow, Job, Opened, Read, Settle, Start, Stop, Write
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
from tui.chat.watch import Trouble, Watch
from tui.words import tr

LOOK_S, UNSEEN_LOOK_S = 1.0, 10.0
"""What others do to the database is looked for this often, and while nobody sees what it would change."""
STREAM_S = 0.5
"""Streaming text is written this often: the most that a crash may cost."""

OnError = Callable[[StoreError | None], None]
OnChange = Callable[[bool], None]

_REFUSALS = (
    LookupError, sqlite3.Error, ArithmeticError, ValueError, TypeError, msgspec.MsgspecError, RecursionError,
    MemoryError,
)  # fmt: skip
"""What a statement may raise, beside faults of the disk: what cannot be stored or read must not end the thread."""


class WriterThread:
    """Owns the connection. `submit` and `stream` are called on the event loop, the rest runs in the thread."""

    def __init__(
        self,
        path: Path,
        writer_id: str,
        on_error: OnError | None,
        on_change: OnChange,
        on_news: Callable[[None], None],
        *,
        busy_timeout_s: float,
        retry_s: float,
    ) -> None:
        self._path = path
        self._on_error, self._on_change, self._on_news = on_error, on_change, on_news
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
        self._gone: tuple[Trouble, str, sqlite3.Connection] | None = None
        """What has happened to the file, and the connection to what it was, until that is kept elsewhere."""
        self._is_anew = False
        """That is to be told once another is open."""
        self._opened = Opened()
        self._watch = Watch(path)
        self._looked_at, self.look_every_s = 0.0, LOOK_S
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
                self._look()
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
                case Follow():
                    self._follow(job)
                case Settle():
                    self._save(at_once=job.at_once)
                    job.succeed(None)
                case CloseDead():
                    self._close_dead(job)
                case Stop():
                    self._stop(job)
                    return

    def _wait_s(self) -> float | None:
        """Seconds to the next flush, the next try or the next look at the file; None with nothing to wait for."""
        due = [self._looked_at + self.look_every_s] if self._connection is not None else []
        if self._is_woken or self._backlog or self._gone is not None:
            due.append(self._flush_at if self._failure is None else self._retry_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _look(self) -> None:
        """Notice what others have done to the database."""
        if self._connection is None or time.monotonic() < self._looked_at + self.look_every_s:
            return
        self._looked_at = time.monotonic()
        try:
            if (found := self._watch.trouble()) is not None:
                self._begin_anew(*found)
            elif self._watch.others_wrote(self._connection):
                self._tell_news()
                if self._watch.is_stale(self._connection):
                    self._tell_change()
        except (StoreError, sqlite3.Error, OSError) as error:
            self._look_failed(as_store_error(error, self._path))

    def _look_failed(self, error: StoreError) -> None:
        if self._connection is None:  # nothing could be opened in the place of what is gone: that is tried again
            self._note_failure(error)
        elif error.kind == "corrupt":
            self._failed(error)

    def _begin_anew(self, trouble: Trouble, detail: str) -> None:
        """The file is not the one any more that was opened, or is of no use: go on with one that is."""
        assert self._connection is not None
        self._gone, self._connection = (trouble, detail, self._connection), None
        self._open()

    def _tell_change(self, *, is_anew: bool = False) -> None:
        if self._last is not None:
            self._last.tell(self._on_change, is_anew)

    def _tell_news(self) -> None:
        if self._last is not None:
            self._last.tell(self._on_news, None)

    def _follow(self, job: Follow) -> None:
        self._save(at_once=self._failure is None)
        self._watch.conversation_id = job.conversation_id
        with suppress(sqlite3.Error):
            if self._connection is not None:
                self._watch.note(self._connection)
        job.succeed(None)

    def _close_dead(self, job: CloseDead) -> None:
        try:
            if self._connection is not None and self._failure is None:
                with opening(self._path, self._busy_timeout_s):
                    self._recover(self._connection)
            job.succeed(None)
        except (StoreError, sqlite3.Error, OSError) as error:
            job.fail(as_store_error(error, self._path))

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
                self._failed(as_store_error(error, self._path))
            else:
                if self._failure is not None:
                    self._failure = None
                    self._tell(None)
        if self._failure is not None:
            for job in self._backlog:
                job.fail(self._failure)

    def _failed(self, error: StoreError) -> None:
        """What could not be written is tried again; at once, and with another file, where this one is damaged."""
        if error.kind == "corrupt" and self._connection is not None:
            try:
                self._begin_anew("damaged", error.detail)
            except (StoreError, sqlite3.Error, OSError) as another:
                error = as_store_error(another, self._path)
            else:
                self._failure = None  # what waits is written as soon as the thread looks again
                return
        self._note_failure(error)

    def _write(self, connection: sqlite3.Connection, job: Write) -> None:
        """One write in one transaction. One that can never succeed fails its future and counts as done; what may
        succeed later is raised."""
        is_stale = False
        try:
            with transaction(connection):
                is_stale = self._watch.is_stale(connection)
                job.statement(connection)
                self._watch.note(connection)
        except _REFUSALS as error:
            refusal = self._as_error(error)
            if refusal.is_retried:
                raise refusal from error
            if is_stale:
                self._tell_change()
            job.fail(refusal)
            if refusal.kind not in ("not_found", "changed"):  # which `on_change` tells
                self._tell(refusal)
        else:
            if is_stale:
                self._tell_change()
            self._tell_news()
            job.succeed(None)
        if job.begins:
            self._written[job.begins] = job.begun
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
            with suppress(StoreError):  # a newer llmtui has changed it meanwhile: it goes on as the file does
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
            if self._gone is not None and self._gone[0] != "damaged":
                self._gone[2].backup(memory)
                return None
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
        with suppress(sqlite3.Error):  # all that can be written is written
            if self._connection is not None:
                self._connection.close()
        if self._writer is not None:
            self._writer.close()
        if self._failure is not None and (self._backlog or self._is_woken):
            job.fail(self._failure)
        else:
            job.succeed(None)

    def _open(self) -> sqlite3.Connection:
        private.folder(self._path.parent)
        with opening(self._path, self._busy_timeout_s):
            if self._gone is not None:
                told = self._watch.clear_away(*self._gone)
                self._gone, self._is_anew = None, True
                if self._writer is not None:  # its mark may be gone too
                    self._writer.close()
                    self._writer = None
                self._tell(told)
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
        self._watch.opened(connection)
        self._looked_at = time.monotonic()
        self._connection = connection
        if self._is_anew:
            self._is_anew = False
            self._tell_change(is_anew=True)
            self._tell_news()
        return connection

    def _connect(self) -> sqlite3.Connection:
        private.make_file(self._path)
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
            return StoreError("not_found", self._path, tr("there is no conversation or message {id}", id=error.args[0]))
        if isinstance(error, rows.ChangedError):
            return StoreError("changed", self._path, tr("the conversation has changed"))
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
