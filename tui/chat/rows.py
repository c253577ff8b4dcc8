"""Conversations as rows: every SQL statement on them, as functions of a connection inside the caller's transaction.

Which thread calls them, when, and what happens when they fail is the business of `store`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar, get_args

import msgspec

from tui.chat.conversation import Conversation, MadeWith, Turn, encodable
from tui.chat.file_rows import insert_files, with_files_of
from tui.chat.mending import mended, mended_turn, moment
from tui.protocol.records import AnswerFormat, Effort, PartialSampling, Role, StopReason, Timings
from tui.words import mark, tr

CRASHED = mark("llmtui ended before this answer was complete; what had arrived is kept.")

_TURNS_OF_SPEED = 200
"""So many of the newest answers are looked through for a speed: all of them would take long."""

_ROLES = frozenset(get_args(Role))
_STOPS = frozenset((None, "crashed", *get_args(StopReason)))

R = TypeVar("R", PartialSampling, Timings, MadeWith)
L = TypeVar("L", str, float)


Stamp = tuple[float, str]
"""What is different after every change of a conversation but the text of an answer that streams: see `stamp`."""


class MissingError(LookupError):
    """There is no conversation or turn of this id."""


class ChangedError(LookupError):
    """The conversation has other turns than whoever wants to replace some of them knows."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as a list shows it."""

    id: str
    title: str
    model_path: str
    created_at: float
    updated_at: float
    n_turns: int
    """Of what is shown."""
    is_pinned: bool = False
    """Listed before the others."""
    is_archived: bool = False
    """Out of the way: listed only when asked for, found like the others."""
    tags: tuple[str, ...] = ()
    """In the order of the alphabet."""


def insert_conversation(connection: sqlite3.Connection, conversation: Conversation) -> None:
    """A new conversation, without its turns."""
    values = {"id": conversation.id, "title": encodable(conversation.title), **_settings(conversation)}
    values |= {"created_at": conversation.created_at, "updated_at": conversation.updated_at}
    _insert(connection, "conversations", values)


def update_conversation(connection: sqlite3.Connection, conversation: Conversation, now: float) -> None:
    """Everything but the turns and the title."""
    values = _settings(conversation)
    assignments = ", ".join(f"{name} = ?" for name in values)
    changed = connection.execute(
        f"UPDATE conversations SET {assignments} WHERE id = ?", (*values.values(), conversation.id)
    )
    _expect(changed, conversation.id)
    touch(connection, conversation.id, now)


def rename(connection: sqlite3.Connection, conversation_id: str, title: str) -> None:
    _expect(
        connection.execute("UPDATE conversations SET title = ? WHERE id = ?", (encodable(title), conversation_id)),
        conversation_id,
    )


def retitle(connection: sqlite3.Connection, conversation_id: str, before: str, title: str) -> None:
    """As `rename`, of a conversation that has the title `before`. Raises `ChangedError` for one that has another."""
    changed = connection.execute(
        "UPDATE conversations SET title = ? WHERE id = ? AND title = ?",
        (encodable(title), conversation_id, encodable(before)),
    )
    if changed.rowcount == 0:
        raise ChangedError(conversation_id)


def delete(connection: sqlite3.Connection, conversation_id: str) -> None:
    connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))


def insert_turn(connection: sqlite3.Connection, conversation_id: str, turn: Turn, writer: str) -> None:
    """Put `turn` at the end of what is shown; one that streams is marked with `writer`, the process that streams it."""
    if stamp(connection, conversation_id) is None:
        raise MissingError(conversation_id)
    parent = connection.execute(
        "SELECT id FROM turns WHERE conversation_id = ? AND superseded_at IS NULL ORDER BY position DESC LIMIT 1",
        (conversation_id,),
    ).fetchone()
    add_turn(connection, conversation_id, turn, writer, parent=parent[0] if parent else "")
    touch(connection, conversation_id, turn.created_at)


def add_turn(
    connection: sqlite3.Connection,
    conversation_id: str,
    turn: Turn,
    writer: str,
    *,
    parent: str,
    left_at: float = 0.0,
) -> None:
    """Put `turn` behind the turn `parent`, or first where that is empty; `left_at` as in `tree.Place`."""
    values: dict[str, str | float | None] = {"id": turn.id, "conversation_id": conversation_id}
    values |= {"parent_id": parent or None, "superseded_at": left_at or None, "role": turn.role}
    values |= {"created_at": turn.created_at, "writer": writer if turn.is_streaming else None}
    values |= _content(turn)
    _insert(connection, "turns", values)
    insert_files(connection, turn)


def reopen_turn(connection: sqlite3.Connection, turn: Turn, writer: str, now: float) -> None:
    """An answer that ended is written again, with what it has so far. Raises `MissingError` where there is none that
    ended."""
    done = connection.execute(
        "UPDATE turns SET writer = ?, stop = NULL, error = NULL, text = '', reasoning = ''"
        " WHERE id = ? AND writer IS NULL",
        (writer, turn.id),
    )
    _expect(done, turn.id)
    append_chunk(connection, turn.id, turn.text, turn.reasoning)
    owner = connection.execute("SELECT conversation_id FROM turns WHERE id = ?", (turn.id,)).fetchone()
    touch(connection, owner[0], now)


def append_chunk(connection: sqlite3.Connection, turn_id: str, text: str, reasoning: str) -> None:
    """Add to the text of a streaming turn; without effect on a turn that is finished or gone."""
    connection.execute(
        "INSERT INTO chunks(turn_id, text, reasoning) SELECT id, ?, ? FROM turns WHERE id = ? AND writer IS NOT NULL",
        (encodable(text), encodable(reasoning), turn_id),
    )


def drop_chunks(connection: sqlite3.Connection, turn_id: str) -> None:
    """Forget the text of a streaming turn: what was written was something else."""
    connection.execute("DELETE FROM chunks WHERE turn_id = ?", (turn_id,))


def finish_turn(connection: sqlite3.Connection, turn: Turn, now: float) -> None:
    """Save the turn as it is at its end; the pieces that it was streamed in go."""
    values = _content(turn) | {"writer": None}
    assignments = ", ".join(f"{name} = ?" for name in values)
    done = connection.execute(f"UPDATE turns SET {assignments} WHERE id = ?", (*values.values(), turn.id))
    _expect(done, turn.id)
    connection.execute("DELETE FROM chunks WHERE turn_id = ?", (turn.id,))
    owner = connection.execute("SELECT conversation_id FROM turns WHERE id = ?", (turn.id,)).fetchone()
    touch(connection, owner[0], now)


def stamp(connection: sqlite3.Connection, conversation_id: str) -> Stamp | None:
    """Differs after each change of the conversation, of which the text of an answer that streams is none; None when it
    is not there."""
    row = connection.execute("SELECT updated_at, title FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    return (float(row[0]), str(row[1])) if row else None


def summaries(connection: sqlite3.Connection) -> tuple[Summary, ...]:
    """All conversations, the one used last first."""
    rows = connection.execute(
        """SELECT id, title, model_path, created_at, updated_at, is_pinned, is_archived, tags,
            (SELECT count(*) FROM turns WHERE conversation_id = conversations.id AND superseded_at IS NULL)
        FROM conversations ORDER BY updated_at DESC, id"""
    )
    return tuple(
        Summary(
            id=id_,
            title=title,
            model_path=model,
            created_at=moment(created),
            updated_at=moment(updated),
            n_turns=n_turns,
            is_pinned=bool(pinned),
            is_archived=bool(archived),
            tags=tags_in(tags),
        )
        for id_, title, model, created, updated, pinned, archived, tags, n_turns in rows
    )


def tags_in(column: str) -> tuple[str, ...]:
    """The tags of a conversation."""
    return _list(column, str) if column != "[]" else ()


def last_speed(connection: sqlite3.Connection, model: str, backend: str) -> float:
    """Decode speed of the newest answer by this model and backend among the last turns, in tokens per second; 0 when
    none of them tells."""
    found = connection.execute(
        "SELECT model, backend, timings FROM turns WHERE role = 'assistant' ORDER BY position DESC LIMIT ?",
        (_TURNS_OF_SPEED,),
    )
    for name, used, timings in found:
        if name == model and _list(used, str) == (backend,):
            measured = record(timings, Timings)
            if measured is not None and measured.decode_tps:
                return measured.decode_tps
    return 0.0


def read_conversation(connection: sqlite3.Connection, conversation_id: str) -> Conversation:
    """What is shown of the conversation, as if there were nothing else. Raises `MissingError`."""
    row = connection.execute(
        "SELECT title, system_prompt, thinking, effort, sampling, max_tokens, thinking_budget, answer_format, preset,"
        " model_path, created_at, updated_at FROM conversations WHERE id = ?",
        (conversation_id,),
    ).fetchone()
    if row is None:
        raise MissingError(conversation_id)
    (
        title, system_prompt, thinking, effort, sampling, max_tokens, thinking_budget, answer_format, preset,
        model_path, created_at, updated_at,
    ) = row  # fmt: skip
    turns = fetched(
        connection,
        f"SELECT {TURN_COLUMNS} FROM turns WHERE conversation_id = ? AND superseded_at IS NULL ORDER BY position",
        conversation_id,
    )
    conversation = Conversation(
        id=conversation_id,
        title=title,
        system_prompt=system_prompt,
        thinking=bool(thinking),
        effort=effort if effort in get_args(Effort) else "",
        sampling=record(sampling, PartialSampling),
        max_tokens=max_tokens,
        thinking_budget=thinking_budget,
        answer_format=_format(answer_format),
        preset=preset,
        model_path=model_path,
        created_at=created_at,
        updated_at=updated_at,
    )
    told = with_files_of(connection, conversation_id, (turn_of(connection, turn) for turn in turns))
    return msgspec.structs.replace(mended(conversation), turns=told)


def fetched(connection: sqlite3.Connection, statement: str, conversation_id: str) -> list[tuple[Any, ...]]:
    """All rows of a query about a conversation, of which there may be ten thousand. SQLite's own way to make texts of
    them takes half the time of ours, which is for texts that are no UTF-8."""
    patient, connection.text_factory = connection.text_factory, str
    try:
        return connection.execute(statement, (conversation_id,)).fetchall()
    except sqlite3.OperationalError:
        pass
    finally:
        connection.text_factory = patient
    return connection.execute(statement, (conversation_id,)).fetchall()


def streaming_writers(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Marks of the processes that stream a turn, or died while they did."""
    return tuple(row[0] for row in connection.execute("SELECT DISTINCT writer FROM turns WHERE writer IS NOT NULL"))


def close_turns_of(connection: sqlite3.Connection, writer: str) -> int:
    """End the turns that a dead process was streaming, with the text that arrived; gives how many."""
    rows = connection.execute(f"SELECT {TURN_COLUMNS} FROM turns WHERE writer = ?", (writer,)).fetchall()
    for row in rows:
        turn = msgspec.structs.replace(turn_of(connection, row), stop="crashed", error=tr(CRASHED))
        finish_turn(connection, turn, turn.created_at)
    return len(rows)


TURN_COLUMNS = (
    "id, role, text, reasoning, reasoning_s, n_reasoning, timings, stop, model, backend, error, swapped_bytes,"
    " speeds, is_loop, is_thought_cut, is_incomplete, made_with, edited_at, created_at, writer"
)


def _settings(conversation: Conversation) -> dict[str, str | float | None]:
    """The columns of what can be chosen for a conversation."""
    return {
        "system_prompt": encodable(conversation.system_prompt),
        "thinking": conversation.thinking,
        "effort": conversation.effort,
        "sampling": _json(conversation.sampling),
        "max_tokens": conversation.max_tokens,
        "thinking_budget": conversation.thinking_budget,
        "answer_format": _json(conversation.answer_format),
        "preset": encodable(conversation.preset),
        "model_path": encodable(conversation.model_path),
    }


def _content(turn: Turn) -> dict[str, str | float | None]:
    """The columns that change while a turn streams and ends."""
    return {
        "text": encodable(turn.text),
        "reasoning": encodable(turn.reasoning),
        "reasoning_s": turn.reasoning_s,
        "n_reasoning": turn.n_reasoning,
        "timings": _json(turn.timings),
        "stop": turn.stop,
        "model": encodable(turn.model),
        "backend": msgspec.json.encode(turn.backend).decode(),
        "error": None if turn.error is None else encodable(turn.error),
        "swapped_bytes": turn.swapped_bytes,
        "speeds": msgspec.json.encode(turn.speeds).decode(),
        "is_loop": turn.is_loop,
        "is_thought_cut": turn.is_thought_cut,
        "is_incomplete": turn.is_incomplete,
        "made_with": _json(turn.made_with),
        "edited_at": turn.edited_at,
    }


def turn_of(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Turn:
    """A turn of `TURN_COLUMNS`, with what has been written of it so far."""
    (
        id_, role, text, reasoning, reasoning_s, n_reasoning, timings, stop, model, backend, error, swapped_bytes,
        speeds, is_loop, is_thought_cut, is_incomplete, made_with, edited_at, created_at, writer,
    ) = row  # fmt: skip
    if writer is not None:
        chunks = connection.execute("SELECT text, reasoning FROM chunks WHERE turn_id = ? ORDER BY position", (id_,))
        pieces = chunks.fetchall()
        text += "".join(piece[0] for piece in pieces)
        reasoning += "".join(piece[1] for piece in pieces)
    turn = Turn(
        id=id_,
        role=role if role in _ROLES else "user",
        text=text,
        reasoning=reasoning,
        reasoning_s=reasoning_s,
        n_reasoning=n_reasoning,
        timings=record(timings, Timings),
        stop=stop if stop in _STOPS else "stop",
        model=model,
        backend=_list(backend, str),
        error=error,
        swapped_bytes=swapped_bytes,
        speeds=_list(speeds, float),
        is_loop=bool(is_loop),
        is_thought_cut=bool(is_thought_cut),
        is_incomplete=bool(is_incomplete),
        made_with=record(made_with, MadeWith),
        edited_at=edited_at,
        created_at=created_at,
    )
    return mended_turn(turn)


@lru_cache(maxsize=64)  # there are few, and each stands in thousands of rows
def _list(raw: str, kind: type[L]) -> tuple[L, ...]:
    """A list from its column, empty for what is none."""
    try:
        return msgspec.json.decode(raw, type=tuple[kind, ...])  # type: ignore[valid-type]
    except msgspec.DecodeError:
        return ()


def _insert(connection: sqlite3.Connection, table: str, values: Mapping[str, str | float | None]) -> None:
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table}({', '.join(values)}) VALUES ({places})", tuple(values.values()))


def touch(connection: sqlite3.Connection, conversation_id: str, now: float = 0.0) -> None:
    """The conversation has changed: others who show it see that. Without `now` it stays where it is in the list."""
    # Always another time than before, which tells those who show the conversation; and one that clocks show.
    connection.execute(
        "UPDATE conversations SET updated_at = CASE WHEN updated_at BETWEEN 0 AND 1e11 THEN max(updated_at + 1e-6, ?)"
        " ELSE ? END WHERE id = ?",
        (now, now, conversation_id),
    )


def _expect(changed: sqlite3.Cursor, id_: str) -> None:
    if changed.rowcount == 0:
        raise MissingError(id_)


def _json(record: PartialSampling | Timings | AnswerFormat | MadeWith | None) -> str | None:
    return None if record is None else msgspec.json.encode(record).decode()


def record(raw: str | None, kind: type[R]) -> R | None:
    """A record from its column. Fields that this version does not know, or that hold what it does not expect, are left
    out: the settings of an old answer are never a reason not to open its conversation."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        known = {field.name: field.type for field in msgspec.structs.fields(kind)}
    try:
        fields = msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    kept = {name: value for name, value in fields.items() if name in known and _is_a(value, known[name])}
    return msgspec.convert(kept, type=kind)


def _format(raw: str | None) -> AnswerFormat | None:
    try:
        return msgspec.json.decode(raw, type=AnswerFormat) if raw is not None else None
    except msgspec.MsgspecError:
        return None


def _is_a(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
