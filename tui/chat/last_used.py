"""When each model was last chatted with, read from the conversations' database without opening it for writing: for a
program that has no conversation itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tui.chat.rows import Summary, summaries


def last_used(database: Path) -> dict[str, float]:
    """By path of the model, in seconds since 1970. Empty where there is no database that can be read: the app says what
    is wrong with it. Blocking."""
    if not database.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return by_model(summaries(connection))
    except sqlite3.Error:
        return {}


def by_model(conversations: Iterable[Summary]) -> dict[str, float]:
    """The same, of conversations in which something was said."""
    used: dict[str, float] = {}
    for one in conversations:
        if one.n_turns and one.model_path:
            used[one.model_path] = max(used.get(one.model_path, 0.0), one.updated_at)
    return used
