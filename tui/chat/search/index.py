"""The index that makes searching quick: which messages hold which three letters in a row, in a file of its own beside
other caches. It is never needed: what it lacks is looked through, what it says too much is looked at again.

Three letters (SQLite's "trigram") find parts of words, code and Chinese alike, and so do two: what begins with them.
Only which messages hold them is kept, not where, which halves the file: it takes about 1.8 times what the texts take,
and what these take when they are packed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from tui.base import private
from tui.chat.schema import transaction

VERSION = 1
"""An index of another version is made anew."""
MOST_TURNS, MOST_CHARS = 100, 200_000
"""Of one transaction: some ten milliseconds."""

_END = "\n\n"
"""Behind each text, so that its last letters too begin groups of three."""

_SCHEMA = (
    """CREATE TABLE conversations(id TEXT PRIMARY KEY, updated_at REAL NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE messages(
        position INTEGER PRIMARY KEY, id TEXT NOT NULL, conversation_id TEXT NOT NULL, sum INTEGER NOT NULL,
        packed BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX messages_of_conversation ON messages(conversation_id)",
    "CREATE VIRTUAL TABLE letters USING fts5(text, content = '', tokenize = 'trigram', detail = 'none')",
)
"""`conversations` says as of when each is indexed whole; `messages.position` is that of the turn in the database,
`packed` its text, without which nothing can be taken out of `letters`, and `sum` tells whether it is the same."""


class Progress(msgspec.Struct, frozen=True):
    """How far the index is."""

    n_done: int
    n_all: int
    """Conversations."""


def is_supported() -> bool:
    """Whether this SQLite has what the index is made of: FTS5 with trigrams, since 3.34."""
    with closing(sqlite3.connect(":memory:")) as memory:
        try:
            memory.execute("CREATE VIRTUAL TABLE letters USING fts5(text, tokenize = 'trigram')")
        except sqlite3.Error:
            return False
    return True


@contextmanager
def keeping(path: Path) -> Iterator[bool]:
    """False while another process keeps the index: one is enough."""
    private.folder(path.parent)
    lock = private.open_file(path.with_name(f"{path.name}-lock"), os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def open_index(path: Path, database: Path) -> sqlite3.Connection:
    """A connection that writes the index, with the database attached as `chats`, to be read only. An index of another
    version, or a damaged one, is begun anew. Raises sqlite3.Error and OSError. For whoever is `keeping` it."""
    try:
        return _open(path, database)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        drop(path)
        return _open(path, database)


def drop(path: Path) -> None:
    """Delete the index."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _open(path: Path, database: Path) -> sqlite3.Connection:
    private.make_file(path)
    connection = sqlite3.connect(path.absolute().as_uri(), uri=True, timeout=2.0, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA journal_mode = WAL")  # who searches does not wait for who writes
        connection.execute("PRAGMA synchronous = NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError("another version")  # noqa: TRY301 - it is begun anew like a damaged one
        if version == 0:
            with transaction(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("ATTACH ? AS chats", (f"{database.absolute().as_uri()}?mode=ro",))
    except BaseException:
        connection.close()
        raise
    return connection


def keep_up(connection: sqlite3.Connection) -> Iterator[Progress]:
    """Bring the index in step with the database, one small transaction at a time, the conversations used last first.
    Gives how far it is after each; nothing where all is done. Raises sqlite3.Error, also for a packed text that is
    damaged."""
    gone = connection.execute(
        "SELECT id FROM conversations i WHERE NOT EXISTS (SELECT 1 FROM chats.conversations c WHERE c.id = i.id)"
    ).fetchall()
    n_all = connection.execute("SELECT count(*) FROM chats.conversations").fetchone()[0]
    due = connection.execute(
        "SELECT c.id, c.updated_at FROM chats.conversations c LEFT JOIN conversations i ON i.id = c.id"
        " WHERE i.updated_at IS NOT c.updated_at ORDER BY c.updated_at DESC"
    ).fetchall()
    n_done = n_all - len(due)
    for (conversation_id,) in gone:
        yield from (Progress(n_done, n_all) for _ in _take_out(connection, conversation_id))
    for conversation_id, updated_at in due:
        yield from (Progress(n_done, n_all) for _ in _index(connection, conversation_id))
        with transaction(connection):
            connection.execute("REPLACE INTO conversations VALUES(?, ?)", (conversation_id, updated_at))
        n_done += 1
        yield Progress(n_done, n_all)


def _index(connection: sqlite3.Connection, conversation_id: str) -> Iterator[None]:
    """Take in what is new of a conversation, and out what is not there any more or not as it was."""
    known = {
        position: (turn_id, checksum)
        for position, turn_id, checksum in connection.execute(
            "SELECT position, id, sum FROM messages WHERE conversation_id = ?", (conversation_id,)
        )
    }
    places = [
        place
        for (place,) in connection.execute(
            "SELECT position FROM chats.turns WHERE conversation_id = ? ORDER BY position DESC", (conversation_id,)
        )
    ]
    stale = sorted(known.keys() - set(places))
    for start in range(0, len(stale), MOST_TURNS):
        with transaction(connection):
            for position in stale[start : start + MOST_TURNS]:
                _forget(connection, position)
        yield
    while places:
        n_chars = n_turns = 0
        with transaction(connection):
            while places and n_chars < MOST_CHARS and n_turns < MOST_TURNS:
                position = places.pop()
                n_turns += 1
                row = connection.execute(
                    "SELECT id, text, reasoning FROM chats.turns WHERE position = ? AND conversation_id = ?"
                    " AND writer IS NULL",
                    (position, conversation_id),
                ).fetchone()
                turn_id, text = (row[0], f"{row[1]}\n\n{row[2]}".strip()) if row else ("", "")
                packed = text.encode("utf-8", "replace")
                now = (turn_id, zlib.crc32(packed))
                n_chars += len(text)
                if known.get(position) == now:
                    continue
                if position in known:
                    _forget(connection, position)
                if text:
                    connection.execute(
                        "REPLACE INTO messages VALUES(?, ?, ?, ?, ?)",
                        (position, turn_id, conversation_id, now[1], zlib.compress(packed, 1)),
                    )
                    connection.execute("INSERT INTO letters(rowid, text) VALUES(?, ?)", (position, text + _END))
        yield


def _take_out(connection: sqlite3.Connection, conversation_id: str) -> Iterator[None]:
    """Forget a conversation that is not in the database any more."""
    while places := connection.execute(
        "SELECT position FROM messages WHERE conversation_id = ? LIMIT ?", (conversation_id, MOST_TURNS)
    ).fetchall():
        with transaction(connection):
            for (position,) in places:
                _forget(connection, position)
        yield
    with transaction(connection):
        connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
    yield


def _forget(connection: sqlite3.Connection, position: int) -> None:
    row = connection.execute("SELECT packed FROM messages WHERE position = ?", (position,)).fetchone()
    if row is not None:
        try:
            text = zlib.decompress(row[0]).decode() + _END
        except (zlib.error, ValueError) as error:  # which SQLite cannot see
            raise sqlite3.DatabaseError(str(error)) from error
        connection.execute("INSERT INTO letters(letters, rowid, text) VALUES('delete', ?, ?)", (position, text))
        connection.execute("DELETE FROM messages WHERE position = ?", (position,))


def attach_index(connection: sqlite3.Connection, path: Path) -> bool:
    """Have a connection that reads the database see the index as `found`; False where none can be used."""
    if not path.exists():
        return False
    with contextlib.suppress(sqlite3.Error):
        connection.execute("ATTACH ? AS found", (f"{path.absolute().as_uri()}?mode=ro",))
        if connection.execute("PRAGMA found.user_version").fetchone()[0] == VERSION:
            return True
        connection.execute("DETACH found")
    return False
