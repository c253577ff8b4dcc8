"""Where a conversation stands among the others: pinned, archived, tagged."""

from __future__ import annotations

import re
import sqlite3

import msgspec

from tui.base.text import fit_columns, one_line
from tui.chat.conversation import Place, encodable
from tui.chat.rows import MissingError, Summary, tags_in

__all__ = ["MOST_TAGS", "TAG_COLUMNS", "Place", "place_of", "put_in_place", "read_place", "tags_of"]

MOST_TAGS = 20
TAG_COLUMNS = 24


def place_of(one: Summary) -> Place:
    """Where it stands now."""
    return Place(is_pinned=one.is_pinned, is_archived=one.is_archived, tags=one.tags)


def tags_of(typed: str) -> tuple[str, ...]:
    """The tags of a line: words without blanks, in small letters, once each, in the order of the alphabet."""
    words = re.split(r"[\s,;，、；]+", one_line(encodable(typed)).casefold())
    tags = {fit_columns(word.lstrip("#＃").replace('"', ""), TAG_COLUMNS) for word in words}
    return tuple(sorted(tags - {""}))[:MOST_TAGS]


def put_in_place(connection: sqlite3.Connection, conversation_id: str, where: Place) -> None:
    """Nothing of the conversation is newer for that. Raises `MissingError`."""
    tags = msgspec.json.encode(where.tags).decode()
    changed = connection.execute(
        "UPDATE conversations SET is_pinned = ?, is_archived = ?, tags = ? WHERE id = ?",
        (where.is_pinned, where.is_archived, tags, conversation_id),
    )
    if not changed.rowcount:
        raise MissingError(conversation_id)


def read_place(connection: sqlite3.Connection, conversation_id: str) -> Place:
    """Where it stands now. Raises `MissingError`."""
    row = connection.execute(
        "SELECT is_pinned, is_archived, tags FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if row is None:
        raise MissingError(conversation_id)
    return Place(is_pinned=bool(row[0]), is_archived=bool(row[1]), tags=tags_in(row[2]))
