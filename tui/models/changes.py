"""Whether what a scan has seen is still so: folders, files and what is not there, by size and time. Cheap enough to ask
every few seconds while somebody looks."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

Seen = tuple[str, int, int]
"""Path, size in bytes and time of the last change in nanoseconds; -1 and -1 for what is not there or closed to us."""
_GONE = (-1, -1)
_UNSETTLED_NS = -2
"""In place of a time, which it never equals."""
_TICK_NS = 20_000_000
"""Kernels before Linux 6.13 count the times of files in ticks of up to 10 ms."""


def seen(path: str) -> Seen:
    """How it is now."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a thousand of them, several times a minute
    except (OSError, ValueError):  # ValueError: a zero byte, which no name has
        return path, *_GONE
    return path, status.st_size, status.st_mtime_ns


def noted(path: str) -> Seen:
    """How it is now, for `is_as_seen` later. What was changed within this tick may be changed once more in it, which
    its time would not tell: so it counts as changed, and whoever looks again a moment later is sure."""
    path, size, time_ns = seen(path)
    is_settled = not 0 <= time.time_ns() - time_ns < _TICK_NS
    return path, size, time_ns if is_settled else _UNSETTLED_NS


def is_as_seen(what: Sequence[Seen]) -> bool:
    """Whether all of it is as it was; blocking, for a thread."""
    return all(seen(one[0]) == one for one in what)
