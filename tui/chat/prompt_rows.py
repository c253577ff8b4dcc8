"""The prompts of all conversations, as rows: what was asked before is found again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from tui.chat.mending import moment

_MOST_CHARS = 1 << 20
"""Of a prompt that is given: what was pasted may be longer."""


class SaidBefore(msgspec.Struct, frozen=True):
    """A prompt."""

    text: str
    said_at: float
    """When it was sent last, in Unix seconds."""
    title: str
    """Of its conversation."""


def prompts(connection: sqlite3.Connection, words: Sequence[str], most: int) -> tuple[SaidBefore, ...]:
    """Prompts that have all the words, the newest first, each text once."""
    conditions = "".join(" AND turns.text LIKE ? ESCAPE '!'" for _ in words)
    rows = connection.execute(
        "SELECT substr(turns.text, 1, ?), turns.created_at, title FROM turns"
        f" JOIN conversations ON conversations.id = conversation_id WHERE role = 'user'{conditions}"
        " ORDER BY turns.position DESC",
        (_MOST_CHARS, *(f"%{_escaped(word)}%" for word in words)),
    )
    found: dict[str, SaidBefore] = {}
    for text, said_at, title in rows:
        if text.strip() and text not in found:
            found[text] = SaidBefore(text, moment(said_at), title)
            if len(found) >= most:
                break
    return tuple(found.values())


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
