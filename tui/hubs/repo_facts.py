"""What a hub's answer says of a repository, field by field: of the right type and size, or nothing. Where there is no
field, the name and the tags may tell."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tui.base.text import one_line

_PARAMS = re.compile(r"(?<![A-Za-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([BbMm])(?![A-Za-z0-9])")
_UNITS = {"b": 10**9, "m": 10**6}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MOST_OF_A_WORD = 40
"""Characters."""
_LARGEST = 1 << 60
"""Of what is counted, bytes included."""


def params_in_name(name: str) -> int | None:
    """Parameters by the name of a repository: 30 * 10**9 for "Qwen/Qwen3-30B-A3B-GGUF"; None when it does not tell.
    "8x7B" counts what its experts share once for each, as such names do."""
    match = _PARAMS.search(name.rpartition("/")[2])
    if match is None:
        return None
    return round(int(match[1] or 1) * float(match[2]) * _UNITS[match[3].lower()])


def count_of(value: object) -> int | None:
    """A count; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST else None


def sha256_of(value: object) -> str:
    """A sum in small hexadecimal digits; "" for what is none."""
    return value.lower() if isinstance(value, str) and _SHA256.fullmatch(value) else ""


def short_text(value: object) -> str:
    """A word of a hub, such as a licence, as one short line; "" for what is no text."""
    return one_line(value)[:_MOST_OF_A_WORD] if isinstance(value, str) else ""


def licence_in(tags: object) -> str:
    """The licence by the tags of a repository, such as "apache-2.0"; "" when none says it."""
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    found = (tag.removeprefix("license:") for tag in texts if tag.startswith("license:"))
    return short_text(next(found, ""))


def seconds_of(time: object) -> float | None:
    """A time as seconds since 1970; None for what is none."""
    if not isinstance(time, datetime):
        return None
    try:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError, OSError):
        return None
