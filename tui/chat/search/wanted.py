"""What somebody looks for, as a line that is typed: words, and filters such as `model:qwen after:2026-11 tag:work`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

MOST_WORDS = 12
MOST_WORD_CHARS = 200
"""What is longer was pasted by mistake."""

_TOKEN = re.compile(r'(?P<key>[a-z]+)[:：](?P<value>"[^"]*"?|\S*)|"(?P<phrase>[^"]*)"?|(?P<word>\S+)', re.IGNORECASE)
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_AGO = re.compile(r"(\d{1,4})([dwmy])")
_BEGUN = re.compile(
    r"\d{0,4}(-(0\d?|1[0-2]?|[2-9])?(-([0-2]\d?|3[01]?|[4-9])?)?)?|t(o(d(ay?)?)?)?|y(e(s(t(e(r(d(ay?)?)?)?)?)?)?)?"
)
"""A date that is being typed says nothing yet, and is not complained of."""
_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """All of it must hold."""

    words: tuple[str, ...] = ()
    """Each is somewhere in one message, in any case, or in the title."""
    model: str = ""
    """A part of the model's name."""
    after: float = 0.0
    """Unix time: said at that time or later."""
    before: float = 0.0
    """Unix time: said earlier; 0 for any time."""
    tags: tuple[str, ...] = ()
    """Small letters."""
    is_pinned: bool = False
    is_archived: bool = False
    """Archived ones only."""
    unclear: tuple[str, ...] = ()
    """Filters that say nothing, as they were typed: `after:tomorow`. They are left out."""

    @property
    def has_filters(self) -> bool:
        """It asks for more than words."""
        return self != Wanted(words=self.words, unclear=self.unclear)


def wanted(typed: str, now: datetime) -> Wanted:
    """What a line means. Quotes keep blanks in a word; what looks like a filter and is none is a word."""
    words: list[str] = []
    tags: list[str] = []
    unclear: list[str] = []
    given: dict[str, object] = {}
    for token in _TOKEN.finditer(typed):
        key, value = (token["key"] or "").casefold(), (token["value"] or "").strip('"').strip()
        if key in _FILTERS:
            name, read = _FILTERS[key]
            found = read(value, now) if value else None
            if found is not None:
                given[name] = found
            elif value and not _BEGUN.fullmatch(value.casefold()):
                unclear.append(token[0])
        elif key == "tag":
            tags += [value.casefold()] if value else []
        elif key == "is" and value.casefold() in _STATES:
            given[_STATES[value.casefold()]] = True
        else:
            word = token["phrase"] if token["phrase"] is not None else token[0].strip('"')
            words += [word[:MOST_WORD_CHARS]] if word.strip() else []
    fields = {"words": tuple(dict.fromkeys(words))[:MOST_WORDS], "tags": tuple(tags), "unclear": tuple(unclear)}
    return msgspec.convert({**given, **fields}, Wanted)


def _model(value: str, _now: datetime) -> str:
    return value


def _moment(value: str, now: datetime) -> float | None:
    """The first moment of "2026", "2026-11", "2026-11-05", "today", "yesterday", or of the day that is so many days,
    weeks, months or years ago: "7d". None for what is none of them."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    value = value.casefold()
    try:
        if value in ("today", "yesterday"):
            return (midnight - timedelta(days=value == "yesterday")).timestamp()
        if ago := _AGO.fullmatch(value):
            return (midnight - timedelta(days=int(ago[1]) * _DAYS[ago[2]])).timestamp()
        if date := _DATE.fullmatch(value):
            year, month, day = (int(part or 1) for part in date.groups())
            return datetime(year, month, day).timestamp()
    except (ValueError, OverflowError, OSError):
        pass  # a day that no calendar has
    return None


_FILTERS: dict[str, tuple[str, Callable[[str, datetime], object]]] = {
    "model": ("model", _model),
    "after": ("after", _moment),
    "before": ("before", _moment),
}
_STATES = {"pinned": "is_pinned", "archived": "is_archived"}
