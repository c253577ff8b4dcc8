"""Whether what a scan has seen is still so: folders, files and what is not there, by size and time. Cheap enough to ask
every few seconds while somebody looks."""

from __future__ import annotations

import os
from collections.abc import Sequence

Seen = tuple[str, int, int]
"""Path, size in bytes and time of the last change in nanoseconds; -1 and -1 for what is not there or closed to us."""
_GONE = (-1, -1)


def seen(path: str) -> Seen:
    """How it is now."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a thousand of them, several times a minute
    except (OSError, ValueError):  # ValueError: a zero byte, which no name has
        return path, *_GONE
    return path, status.st_size, status.st_mtime_ns


def is_as_seen(what: Sequence[Seen]) -> bool:
    """Whether all of it is as it was; blocking, for a thread."""
    return all(seen(one[0]) == one for one in what)
