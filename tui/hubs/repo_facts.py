"""What can be read from a repository's name and tags, where a hub does not say it in a field of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from tui.base.text import one_line

_PARAMS = re.compile(r"(?<![A-Za-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([BbMm])(?![A-Za-z0-9])")
_UNITS = {"b": 10**9, "m": 10**6}
_MOST_OF_A_LICENCE = 40
"""Characters."""


def params_in_name(name: str) -> int | None:
    """Parameters by the name of a repository: 30 * 10**9 for "Qwen/Qwen3-30B-A3B-GGUF"; None when it does not tell.
    "8x7B" counts what its experts share once for each, as such names do."""
    match = _PARAMS.search(name.rpartition("/")[2])
    if match is None:
        return None
    return round(int(match[1] or 1) * float(match[2]) * _UNITS[match[3].lower()])


def licence_in(tags: Iterable[object]) -> str:
    """The licence by the tags of a repository, such as "apache-2.0"; "" when none says it."""
    found = (tag.removeprefix("license:") for tag in tags if isinstance(tag, str) and tag.startswith("license:"))
    return one_line(next(found, ""))[:_MOST_OF_A_LICENCE]


def seconds_of(time: object) -> float | None:
    """A time as seconds since 1970; None for what is none."""
    if not isinstance(time, datetime):
        return None
    try:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError, OSError):
        return None
