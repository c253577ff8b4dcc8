"""Completes a path while it is typed, by the first name that goes on with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.suggester import Suggester

from tui.base.userpath import user_path

_MOST_NAMES = 5000
"""Of a folder that are looked through."""


class PathSuggester(Suggester):
    """The right arrow takes what is suggested. Folders are read in a thread, for one may lie on a disk that sleeps."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole path, as it was begun."""
        return await asyncio.to_thread(_completed, value)


def _completed(value: str) -> str | None:
    folder, slash, start = value.rpartition("/")
    if not slash and not value.startswith("~"):
        return None
    names: list[str] = []
    try:
        with os.scandir(user_path(f"{folder}/")) as entries:
            for entry, _ in zip(entries, range(_MOST_NAMES), strict=False):
                if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                    names.append(entry.name + "/" * entry.is_dir())
    except OSError:
        return None
    best = min(names, default="")
    return f"{folder}/{best}" if best and best.isprintable() and Path(best).name != start else None
