"""What others do to the conversations' database while it is open here: another llmtui writes in a conversation that is
shown here, or the file itself is deleted, replaced or damaged. Looking costs some 50 microseconds."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from tui.base import private
from tui.chat import rows
from tui.chat.schema import StoreError, connect, set_aside
from tui.words import tr

Trouble = Literal["deleted", "replaced", "damaged"]
MOST_CHECKED_BYTES = 256 << 20
"""A larger file is not looked through for damage while somebody chats: that takes half a second per GiB."""


class Watch:
    """For one connection at a time, in its thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self.conversation_id = ""
        """The conversation that is shown; empty for none that is saved."""
        self._stamp: rows.Stamp | None = None
        self._version = -1
        self._file: os.stat_result | None = None
        self._wal_file: os.stat_result | None = None

    def opened(self, connection: sqlite3.Connection) -> None:
        """From now on this is the connection, and the file as it is now is the right one."""
        self._version = _data_version(connection)
        self._file, self._wal_file = _stat(self._path), _stat(self._wal)

    def follow(self, connection: sqlite3.Connection, conversation_id: str) -> None:
        """This conversation is shown, as it is now."""
        self.conversation_id = conversation_id
        self.note(connection)

    def note(self, connection: sqlite3.Connection) -> None:
        """The conversation is as we know it, inside a transaction of our own that wrote to it for example."""
        self._stamp = rows.stamp(connection, self.conversation_id) if self.conversation_id else None

    def is_stale(self, connection: sqlite3.Connection) -> bool:
        """Whether somebody else has changed or deleted the conversation since it was last noted."""
        return bool(self.conversation_id) and rows.stamp(connection, self.conversation_id) != self._stamp

    def others_wrote(self, connection: sqlite3.Connection) -> bool:
        """Whether another process has written to the database, anything at all, since this was asked last."""
        before, self._version = self._version, _data_version(connection)
        return before != self._version

    def trouble(self) -> tuple[Trouble, str] | None:
        """What has happened to the file, and SQLite's or our own words about it."""
        before, now = self._file, _stat(self._path)
        if before is None:
            return None
        if now is None:
            return "deleted", tr("the file was deleted")
        if not os.path.samestat(before, now):
            return "replaced", tr("another file is in its place")
        wal = _stat(self._wal)
        if self._wal_file is not None and (wal is None or not os.path.samestat(self._wal_file, wal)):
            return "deleted", tr("its journal was deleted")
        self._wal_file = wal
        if (before.st_mtime_ns, before.st_size) == (now.st_mtime_ns, now.st_size):
            return None
        self._file = now  # changed by a checkpoint, or by somebody who has no business there
        if now.st_size == 0:
            return "damaged", tr("the file is empty")
        return self._damage(now.st_size)

    def _damage(self, n_bytes: int) -> tuple[Trouble, str] | None:
        # A connection of its own, for ours holds pages in memory. Opening the file without SQLite would take away the
        # locks that this process has on it.
        try:
            with closing(connect(self._path)) as fresh:
                fresh.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                words = "ok"
                if n_bytes <= MOST_CHECKED_BYTES:
                    words = str(fresh.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                return None
            words = str(error)
        return None if words == "ok" else ("damaged", words)

    def clear_away(self, trouble: Trouble, detail: str, old: sqlite3.Connection) -> StoreError:
        """Make room for a file that can be opened anew, inside `schema.opening`, and close the old connection. What was
        deleted is written again, as far as it can still be read; what was replaced is kept beside the new file, and so
        is what is damaged. Gives what is to be told. Raises sqlite3.Error and OSError, as on a full disk: then `old`
        stays open, which holds it still."""
        now = _stat(self._path)
        if now is not None and self._file is not None and not os.path.samestat(self._file, now):
            trouble = "replaced"  # by another llmtui, which was quicker
        if trouble == "damaged":
            told = StoreError("set_aside", set_aside(self._path), detail)
        elif trouble == "replaced":
            inode = self._file.st_ino if self._file else 0
            aside = self._path.with_name(f"{self._path.name}.replaced-{inode}")
            if not aside.exists():
                _copy(old, aside)
            self._drop_journal()
            told = StoreError("replaced", aside, detail)
        else:
            anew = self._path.with_name(f"{self._path.name}.rescued")
            anew.unlink(missing_ok=True)
            _copy(old, anew)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            anew.replace(self._path)
            told = StoreError("rescued", self._path, detail)
        old.close()
        return told

    def _drop_journal(self) -> None:
        """A journal of the old file would be taken for one of the new."""
        wal = _stat(self._wal)
        if wal is not None and self._wal_file is not None and os.path.samestat(wal, self._wal_file):
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _copy(connection: sqlite3.Connection, path: Path) -> None:
    private.make_file(path)
    try:
        with closing(sqlite3.connect(path)) as target:
            connection.backup(target)
    except (sqlite3.Error, OSError):
        path.unlink(missing_ok=True)  # half of it
        raise


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
