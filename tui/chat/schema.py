"""The conversations' database file: opening it, bringing its schema up to date, and setting a damaged one aside.

SQL on rows is in `rows`, threads and retries are in `store`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from tui.base import private
from tui.words import mark, tr

StoreErrorKind = Literal[
    "full", "read_only", "locked", "unreachable", "io", "corrupt", "set_aside", "newer_schema", "not_found",
    "rejected", "closed", "changed", "rescued", "replaced",
]  # fmt: skip

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE conversations(
            id TEXT PRIMARY KEY, title TEXT NOT NULL, system_prompt TEXT NOT NULL, thinking INTEGER NOT NULL,
            sampling TEXT, model_path TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL
        ) STRICT""",
        """CREATE TABLE turns(
            position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
            conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
            parent_id TEXT, role TEXT NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL,
            reasoning_s REAL NOT NULL, n_reasoning INTEGER NOT NULL, timings TEXT, stop TEXT, model TEXT NOT NULL,
            backend TEXT NOT NULL, error TEXT, created_at REAL NOT NULL, superseded_at REAL, writer TEXT
        ) STRICT""",
        "CREATE INDEX turns_of_conversation ON turns(conversation_id, position)",
        "CREATE INDEX streaming_turns ON turns(writer) WHERE writer IS NOT NULL",
        """CREATE TABLE chunks(
            position INTEGER PRIMARY KEY, turn_id TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
            text TEXT NOT NULL, reasoning TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX chunks_of_turn ON chunks(turn_id)",
    ),
    ("ALTER TABLE turns ADD COLUMN swapped_bytes INTEGER NOT NULL DEFAULT 0",),
    ("ALTER TABLE turns ADD COLUMN speeds TEXT NOT NULL DEFAULT '[]'",),
    ("ALTER TABLE conversations ADD COLUMN max_tokens INTEGER",),
    (
        "ALTER TABLE conversations ADD COLUMN effort TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE conversations ADD COLUMN thinking_budget INTEGER",
        "ALTER TABLE turns ADD COLUMN is_loop INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE turns ADD COLUMN is_thought_cut INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "CREATE TABLE file_texts(digest TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT",
        """CREATE TABLE files(
            position INTEGER PRIMARY KEY, turn_id TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES file_texts(digest), name TEXT NOT NULL, path TEXT NOT NULL,
            n_bytes INTEGER NOT NULL, modified_at REAL NOT NULL, encoding TEXT NOT NULL, n_tokens INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX files_of_turn ON files(turn_id)",
        "CREATE INDEX files_of_text ON files(digest)",
        """CREATE TRIGGER unused_text AFTER DELETE ON files
            WHEN NOT EXISTS (SELECT 1 FROM files WHERE digest = OLD.digest)
            BEGIN DELETE FROM file_texts WHERE digest = OLD.digest; END""",
    ),
    (
        "ALTER TABLE conversations ADD COLUMN answer_format TEXT",
        "ALTER TABLE conversations ADD COLUMN preset TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE turns ADD COLUMN is_incomplete INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "CREATE INDEX turns_after ON turns(parent_id)",
        "CREATE INDEX left_turns ON turns(conversation_id) WHERE superseded_at IS NOT NULL",
        "ALTER TABLE turns ADD COLUMN edited_at REAL NOT NULL DEFAULT 0",
    ),
    (
        "ALTER TABLE conversations ADD COLUMN is_pinned INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE conversations ADD COLUMN is_archived INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE conversations ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
        # Messages are counted without reading them.
        "CREATE INDEX shown_turns ON turns(conversation_id) WHERE superseded_at IS NULL",
    ),
    ("ALTER TABLE turns ADD COLUMN made_with TEXT",),
)
"""Statements that lead from version n to n + 1; `PRAGMA user_version` says how many are applied. Never edit one that
was released: append. `turns.writer` names the process that streams the turn, NULL once it is finished; `chunks` holds
the text of streaming turns in pieces; `parent_id` is the turn before, `superseded_at` when another branch was shown in
its place, NULL for what is shown: see `tree`. `file_texts` has each text of a file once, however many prompts are about
it."""

SCHEMA_VERSION = len(MIGRATIONS)

_ADVICE: dict[StoreErrorKind, str] = {
    "full": mark("Free some space, or raise the limit; what is not saved yet stays in memory and is tried again."),
    "read_only": mark(
        "Make the file and its folder writable; what is not saved yet stays in memory and is tried again."
    ),
    "locked": mark("Another program holds it; what is not saved yet stays in memory and is tried again."),
    "unreachable": mark("Check the folder; what is not saved yet stays in memory and is tried again."),
    "io": mark("Check the disk; what is not saved yet stays in memory and is tried again."),
    "corrupt": mark("It is kept aside, and a new one was begun."),
    "set_aside": mark("The damaged file was kept under this name, and a new one was begun."),
    "rescued": mark("All that was in it was saved again under the same name."),
    "replaced": mark("What was in the old one is kept under this name; the new one is used from now on."),
    "changed": mark("Another llmtui has written in this conversation. Nothing was replaced."),
    "newer_schema": mark("A newer llmtui wrote it: update llmtui. Until then conversations stay in memory only."),
    "not_found": mark("It may have been deleted in another llmtui."),
    "rejected": mark("It may have been deleted in another llmtui."),
    "closed": mark("This is a bug in llmtui: please report it."),
}


class StoreFault(msgspec.Struct, frozen=True, kw_only=True):
    """A `StoreError` that crosses a process."""

    kind: StoreErrorKind
    path: str
    detail: str
    n_unsaved: int = 0

    @property
    def error(self) -> StoreError:
        """To be raised."""
        return StoreError(self.kind, Path(self.path), self.detail, self.n_unsaved)


class StoreError(Exception):
    """Something could not be read from or saved to the database. A write that `is_retried` is
    kept in memory."""

    def __init__(self, kind: StoreErrorKind, path: Path, detail: str, n_unsaved: int = 0) -> None:
        super().__init__(kind, path, detail, n_unsaved)
        self.kind = kind
        self.path = path
        self.detail = detail
        """SQLite's or the system's own words, or ours in the language in use."""
        self.n_unsaved = n_unsaved
        """Writes that wait in memory for another try."""

    def __str__(self) -> str:
        return tr(
            "The conversations' database failed: {detail} ({path}). {advice}",
            detail=self.detail,
            path=self.path,
            advice=tr(_ADVICE[self.kind]),
        )

    @property
    def fault(self) -> StoreFault:
        """The facts."""
        return StoreFault(kind=self.kind, path=str(self.path), detail=self.detail, n_unsaved=self.n_unsaved)

    @property
    def is_retried(self) -> bool:
        """The write waits in memory and is tried again."""
        return self.kind not in ("set_aside", "not_found", "rejected", "closed", "changed", "rescued", "replaced")


_KINDS: dict[int, StoreErrorKind] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PROTOCOL: "locked",
    sqlite3.SQLITE_CANTOPEN: "unreachable",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_CONSTRAINT: "rejected",
}

_PROBE_BYTES = 1 << 16
"""As large as the smallest index of a journal."""

_ERRNO_KINDS: dict[int, StoreErrorKind] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.EIO: "io",
}


def as_store_error(error: Exception, path: Path) -> StoreError:
    """The facts of an exception of sqlite3 or of the file system."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        # The low byte is the primary code; sqlite3 leaves it out of errors that Python's own layer raises.
        code = getattr(error, "sqlite_errorcode", None)
        kind: StoreErrorKind = "rejected" if code is None else _KINDS.get(code & 0xFF, "io")
        if kind == "io" and (why := _refusal_of_the_disk(path)) is not None:
            return as_store_error(why, path)
        return StoreError(kind, path, str(error))
    if isinstance(error, OSError):
        return StoreError(_ERRNO_KINDS.get(error.errno or 0, "unreachable"), path, error.strerror or str(error))
    return StoreError("rejected", path, f"{type(error).__name__}: {error}")


def _refusal_of_the_disk(path: Path) -> OSError | None:
    """What the system says when a file as large as the database is written beside it. Of a used up quota, a limit on
    the size of files, and a disk without room for what several processes share, SQLite says "disk I/O error"."""
    files = (path, path.with_name(f"{path.name}-wal"))
    try:
        size = max((file.stat().st_size for file in files if file.exists()), default=0)
        with tempfile.TemporaryFile(dir=path.parent, buffering=0) as probe:
            probe.seek(size)  # which leaves a hole before it
            written = 0
            while written < _PROBE_BYTES:
                written += probe.write(bytes(_PROBE_BYTES - written)) or 0
    except OSError as error:
        return error
    return None


def connect(path: Path | None, busy_timeout_s: float = 2.0) -> sqlite3.Connection:
    """A connection with this program's settings; None for a database in memory. The schema is not looked at.

    Transactions are explicit. The thread that calls is the only one that may use the connection.
    """
    connection = sqlite3.connect(":memory:" if path is None else path, timeout=busy_timeout_s, isolation_level=None)
    connection.text_factory = _as_text
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # another disk may be full, or have no place for others' files
        if path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode this loses nothing when the process dies; after a power cut the last seconds may be missing.
            connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


_as_text = partial(str, encoding="utf-8", errors="replace")
"""Bytes that are no UTF-8, from whatever wrote them, hide nothing else. It is called for each text that is read."""


NOT_WRITABLE: tuple[StoreErrorKind, ...] = ("read_only", "unreachable", "full", "io")
"""What opening says where nothing can be written; the file may be there to be read: `connect_to_read`."""


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection to a database in a folder where nothing can be written. What a program that died left in the journal
    beside it is not seen."""
    # SQLite reads a WAL database only where it can write beside it, unless told that nobody writes.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
    connection.text_factory = _as_text
    return connection


def copy_into(memory: sqlite3.Connection, path: Path) -> None:
    """Fill a database in memory with one that cannot be written. Raises StoreError "newer_schema" and sqlite3.Error."""
    with closing(connect_to_read(path)) as connection:
        _version(connection, path, SCHEMA_VERSION)
        connection.backup(memory)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements inside, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back when a disk is full; a second ROLLBACK is then an error without meaning.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the schema to the version of `migrations`. Raises StoreError "newer_schema" for one from the future."""
    if _version(connection, path, len(migrations)) == len(migrations):
        return
    with transaction(connection):
        # Another process may have done it while this one waited for the lock.
        for version in range(_version(connection, path, len(migrations)), len(migrations)):
            for statement in migrations[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")


def _version(connection: sqlite3.Connection, path: Path, known: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > known:
        detail = tr("its schema is version {version}, this llmtui knows up to {known}", version=version, known=known)
        raise StoreError("newer_schema", path, detail)
    return version


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Look through the whole file for damage. Raises StoreError "corrupt"; takes about 0.5 ms per MB (measured)."""
    findings = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if findings != ["ok"]:
        raise StoreError("corrupt", path, "; ".join(findings))


def set_aside(path: Path) -> Path:
    """Rename a damaged database, with its journal, to PATH.corrupt-TIMESTAMP; gives the new name."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{count}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


@contextmanager
def opening(path: Path, timeout_s: float) -> Iterator[None]:
    """Only one process at a time checks, sets aside, migrates or recovers the database. Raises StoreError "locked"
    when another one takes longer than `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    lock = private.open_file(path.with_name(path.name + "-lock"), os.O_RDWR | os.O_CREAT)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError("locked", path, tr("another llmtui is opening it")) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


class Writer:
    """This process's mark on the turns that it streams: a file that stays locked for as long as the process lives, so
    that any other process can tell a turn that still streams from one whose process died. Process ids would not do:
    they are reused, and mean nothing across containers that share a home folder."""

    def __init__(self, path: Path, writer_id: str) -> None:
        self.id = writer_id
        self._file = _writer_file(path, writer_id)
        self._descriptor = private.open_file(self._file, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def close(self) -> None:
        """This process streams no more."""
        with suppress(OSError):  # of a disk that is read-only by now; who opens the database next removes it
            self._file.unlink()
        os.close(self._descriptor)


def is_writer_alive(path: Path, writer_id: str) -> bool:
    """Whether the process with this mark still runs; the file of a dead one is removed."""
    file = _writer_file(path, writer_id)
    try:
        descriptor = private.open_file(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        file.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


def clear_dead_writers(path: Path) -> None:
    """Remove the files of processes that died; call it inside `opening`, where no other process makes one."""
    for file in path.parent.glob(f"{path.name}-writer-*"):
        is_writer_alive(path, file.name.removeprefix(f"{path.name}-writer-"))


def _writer_file(path: Path, writer_id: str) -> Path:
    return path.with_name(f"{path.name}-writer-{writer_id}")
