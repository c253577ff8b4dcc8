"""The branches of a conversation as rows: which path is shown, what stands beside it, and every statement that changes
that. As `rows`, functions of a connection inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from tui.base.text import one_line
from tui.chat import rows, tree
from tui.chat.conversation import Conversation, Turn, WholeConversation, places_of
from tui.chat.file_rows import with_files_of
from tui.chat.mending import moment
from tui.chat.place import read_place
from tui.protocol.records import Timings

FIRST_CHARS = 400
"""Of a text that is shown as a line."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A message as the tree shows it."""

    place: tree.Place
    is_answer: bool
    words: str
    """Its first words, in one line."""
    model: str
    created_at: float
    decode_tps: float
    """Tokens per second of an answer; 0 where unknown."""
    n_decode: int
    """Tokens of an answer; 0 where unknown."""


def supersede(connection: sqlite3.Connection, conversation_id: str, turn_ids: Sequence[str], now: float) -> None:
    """Take these turns, which are the last ones, out of what is shown: they are a branch then. Raises `ChangedError`
    when others have come after them or some are gone: whoever asks has not seen that."""
    if _shown(connection, conversation_id)[-len(turn_ids) :] != list(turn_ids):
        raise rows.ChangedError(conversation_id)
    connection.executemany("UPDATE turns SET superseded_at = ? WHERE id = ?", [(now, turn_id) for turn_id in turn_ids])
    rows.touch(connection, conversation_id, now)


def put_back(
    connection: sqlite3.Connection, conversation_id: str, cut: Sequence[str], came: Sequence[str], now: float
) -> None:
    """Undo `supersede` of the turns `cut`, whether it was done or refused; `came`, which came in their place, is a
    branch then."""
    connection.executemany("UPDATE turns SET superseded_at = ? WHERE id = ?", [(now, turn_id) for turn_id in came])
    connection.executemany("UPDATE turns SET superseded_at = NULL WHERE id = ?", [(turn_id,) for turn_id in cut])
    rows.touch(connection, conversation_id, now)


def show(connection: sqlite3.Connection, conversation_id: str, turn_id: str, seen: Sequence[str], now: float) -> None:
    """Show the branch that this turn is in, up to where it was left; the conversation is no newer for that. `seen` is
    what is shown as whoever asks knows it; raises `ChangedError` when it is something else, `MissingError` when there
    is no such turn."""
    places = _expect_seen(connection, conversation_id, seen)
    try:
        path = tree.path_through(places, turn_id)
    except KeyError:
        raise rows.MissingError(turn_id) from None
    _keep(connection, places, tree.with_shown(places, path, now))
    rows.touch(connection, conversation_id)


def remove(connection: sqlite3.Connection, conversation_id: str, turn_id: str, seen: Sequence[str], now: float) -> None:
    """Delete this turn for good; what follows it follows the one before it. Raises as `show` does."""
    places = _expect_seen(connection, conversation_id, seen)
    place = next((place for place in places if place.id == turn_id), None)
    if place is None:
        raise rows.MissingError(turn_id)
    left = tree.without(places, turn_id)
    beside = [other for other in left if other.parent == place.parent]
    if beside and not place.left_at and all(other.left_at for other in beside):
        # It was shown, and nothing that follows it is: what stands beside it is what there is to see now.
        left = tree.with_shown(left, tree.path_through(left, tree.latest(beside).id), now)
    _keep(connection, places, left)
    connection.execute("DELETE FROM turns WHERE id = ?", (turn_id,))
    rows.touch(connection, conversation_id, now)


def read_conversation(connection: sqlite3.Connection, conversation_id: str) -> Conversation:
    """What is shown of the conversation, and where all of its turns stand. Raises `MissingError`."""
    conversation = rows.read_conversation(connection, conversation_id)
    if not _has_branches(connection, conversation_id):
        return conversation
    return msgspec.structs.replace(conversation, places=_places(connection, conversation_id))


def read_whole(connection: sqlite3.Connection, conversation_id: str) -> WholeConversation:
    """The conversation with all of its branches. Raises `MissingError`."""
    shown = read_conversation(connection, conversation_id)
    there = {place.id for place in shown.places}
    hidden = connection.execute(
        f"SELECT {rows.TURN_COLUMNS} FROM turns WHERE conversation_id = ? AND superseded_at IS NOT NULL"
        " ORDER BY position",
        (conversation_id,),
    ).fetchall()
    turns = with_files_of(connection, conversation_id, (rows.turn_of(connection, row) for row in hidden))
    return WholeConversation(
        shown=shown,
        hidden=tuple(turn for turn in turns if turn.id in there),
        place=read_place(connection, conversation_id),
    )


def insert_whole(connection: sqlite3.Connection, whole: WholeConversation, writer: str) -> None:
    """Save a new conversation with its branches."""
    shown = whole.shown
    by_id = {turn.id: turn for turn in (*shown.turns, *whole.hidden)}
    rows.insert_conversation(connection, shown)
    for place in places_of(shown):
        turn = by_id.get(place.id)
        if turn is not None:
            rows.add_turn(connection, shown.id, turn, writer, parent=place.parent, left_at=place.left_at)


def read_turn(connection: sqlite3.Connection, turn_id: str) -> Turn:
    """A turn, shown or not. Raises `MissingError`."""
    row = connection.execute(
        f"SELECT conversation_id, {rows.TURN_COLUMNS} FROM turns WHERE id = ?", (turn_id,)
    ).fetchone()
    if row is None:
        raise rows.MissingError(turn_id)
    return with_files_of(connection, row[0], [rows.turn_of(connection, row[1:])])[0]


def nodes(connection: sqlite3.Connection, conversation_id: str) -> tuple[Node, ...]:
    """All messages of a conversation, each behind the one that it follows."""
    found = connection.execute(
        "SELECT id, role, substr(CASE WHEN text = '' THEN reasoning ELSE text END, 1, ?), model, created_at, timings"
        " FROM turns WHERE conversation_id = ?",
        (FIRST_CHARS, conversation_id),
    )
    by_id = {row[0]: row for row in found}
    result = []
    for place in _places(connection, conversation_id):
        _, role, words, model, created_at, raw = by_id[place.id]
        timings = rows.record(raw, Timings)
        result.append(
            Node(
                place=place,
                is_answer=role == "assistant",
                words=one_line(words.strip()),
                model=model,
                created_at=moment(created_at),
                decode_tps=timings.decode_tps if timings else 0.0,
                n_decode=timings.n_decode if timings else 0,
            )
        )
    return tuple(result)


def _shown(connection: sqlite3.Connection, conversation_id: str) -> list[str]:
    found = connection.execute(
        "SELECT id FROM turns WHERE conversation_id = ? AND superseded_at IS NULL ORDER BY position", (conversation_id,)
    )
    return [row[0] for row in found]


def _expect_seen(connection: sqlite3.Connection, conversation_id: str, seen: Sequence[str]) -> tree.Places:
    if rows.stamp(connection, conversation_id) is None:
        raise rows.MissingError(conversation_id)
    places = _places(connection, conversation_id)
    if tree.shown(places) != tuple(seen):
        raise rows.ChangedError(conversation_id)
    return places


def _has_branches(connection: sqlite3.Connection, conversation_id: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM turns WHERE conversation_id = ? AND superseded_at IS NOT NULL LIMIT 1", (conversation_id,)
    )
    return found.fetchone() is not None


def _places(connection: sqlite3.Connection, conversation_id: str) -> tree.Places:
    """Of all turns but answers that ended before their first word and led nowhere."""
    found = rows.fetched(
        connection,
        """SELECT id, parent_id, superseded_at FROM turns WHERE conversation_id = ?
        AND (superseded_at IS NULL OR role != 'assistant' OR text != '' OR reasoning != '' OR writer IS NOT NULL
            OR EXISTS (SELECT 1 FROM turns AS next WHERE next.parent_id = turns.id))
        ORDER BY position""",
        conversation_id,
    )
    return tree.agreed(found)


def _keep(connection: sqlite3.Connection, before: tree.Places, now: tree.Places) -> None:
    """Write what is different."""
    known = {place.id: place for place in before}
    connection.executemany(
        "UPDATE turns SET parent_id = ?, superseded_at = ? WHERE id = ?",
        [(place.parent or None, place.left_at or None, place.id) for place in now if known[place.id] != place],
    )
