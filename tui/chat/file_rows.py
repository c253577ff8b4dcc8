"""The files of prompts as rows, like `rows`: in a table of their own, each text once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from tui.chat.conversation import Turn, encodable
from tui.chat.mending import mended_file
from tui.files.attachment import Attachment


def insert_files(connection: sqlite3.Connection, turn: Turn) -> None:
    """Save the files of a prompt that was saved just now."""
    if not turn.files:
        return
    import hashlib  # takes time that the first paint does not have

    for file in turn.files:
        text = encodable(file.text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        connection.execute("INSERT OR IGNORE INTO file_texts(digest, text) VALUES (?, ?)", (digest, text))
        connection.execute(
            "INSERT INTO files(turn_id, digest, name, path, n_bytes, modified_at, encoding, n_tokens)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                turn.id, digest, encodable(file.name), encodable(file.path), file.n_bytes, file.modified_at,
                encodable(file.encoding), file.n_tokens,
            ),
        )  # fmt: skip


def with_files_of(connection: sqlite3.Connection, conversation_id: str, turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """These turns of a conversation, each with its files."""
    found: dict[str, list[Attachment]] = {}
    rows = connection.execute(
        "SELECT turn_id, name, path, n_bytes, modified_at, encoding, n_tokens, file_texts.text FROM files"
        " JOIN turns ON turns.id = turn_id JOIN file_texts USING (digest)"
        " WHERE turns.conversation_id = ? ORDER BY files.position",
        (conversation_id,),
    )
    for turn_id, name, path, n_bytes, modified_at, encoding, n_tokens, text in rows:
        file = Attachment(
            name=name,
            path=path,
            text=text,
            n_bytes=n_bytes,
            modified_at=modified_at,
            encoding=encoding,
            n_tokens=n_tokens,
        )
        found.setdefault(turn_id, []).append(mended_file(file))
    if not found:
        return tuple(turns)
    return tuple(
        msgspec.structs.replace(turn, files=tuple(found[turn.id])) if turn.id in found else turn for turn in turns
    )
