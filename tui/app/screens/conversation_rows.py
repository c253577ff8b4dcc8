"""Rows of the list of conversations: title, model, messages and time, and below a title the messages in which words
were found, with the words lit."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from tui.app.markdown.text import Run, width_of
from tui.app.moments import when
from tui.app.widgets.lines import Row, shorten
from tui.app.widgets.row_list import column
from tui.base.text import clean
from tui.chat.conversation import UNTITLED
from tui.chat.rows import Summary
from tui.chat.search.found import Found
from tui.chat.search.query import Hit, Snippet
from tui.words import mark, tr

Order = Literal["used", "begun", "title", "size"]
ORDERS: dict[Order, str] = {
    "used": mark("last used first"),
    "begun": mark("newest first"),
    "title": mark("by title"),
    "size": mark("longest first"),
}
"""What the list can be sorted by."""

PINNED = "★ "
_TIME, _COUNT, _MODEL = 12, 6, 28
_INDENT = 4


class FoundMessage(msgspec.Struct, frozen=True):
    """A message in which all words were found."""

    conversation: Summary
    hit: Hit


Entry = Found | FoundMessage


def title_of(one: Summary) -> str:
    """Its title, or what stands for one."""
    return one.title.strip() or tr(UNTITLED)


def entries(found: list[Found]) -> list[Entry]:
    """One row for each conversation and for each message below it."""
    rows: list[Entry] = []
    for one in found:
        rows.append(one)
        rows += [FoundMessage(one.conversation, hit) for hit in one.hits]
    return rows


def place(entry: Entry | None) -> tuple[str, str]:
    """What tells an entry from others, also in the next list."""
    if entry is None:
        return "", ""
    return entry.conversation.id, entry.hit.turn_id if isinstance(entry, FoundMessage) else ""


def ordered(found: list[Found], order: Order) -> list[Found]:
    """In this order, the pinned ones first."""
    match order:
        case "used":
            found = sorted(found, key=lambda one: -one.conversation.updated_at)
        case "begun":
            found = sorted(found, key=lambda one: -one.conversation.created_at)
        case "title":
            found = sorted(found, key=lambda one: title_of(one.conversation).casefold())
        case "size":
            found = sorted(found, key=lambda one: -one.conversation.n_turns)
    return sorted(found, key=lambda one: not one.conversation.is_pinned)


class ConversationRows:
    """For rows of so many cells."""

    def __init__(self, width: int, now: datetime, words: re.Pattern[str], order: Order = "used") -> None:
        """`words` finds what is lit."""
        self._width, self._now, self._words, self._order = width, now, words, order
        self._n_count = _COUNT if width >= 44 else 0
        self._n_title = width - _TIME - 2 - self._n_count
        self._n_model = _MODEL if self._n_title >= 66 else 0

    @property
    def header(self) -> Row:
        """The names of the columns."""
        text = column(tr("TITLE"), self._n_title - self._n_model)
        if self._n_model:
            text += "  " + column(tr("MODEL"), self._n_model - 2)
        if self._n_count:
            text += column(tr("MSGS"), self._n_count, right=True)
        time = tr("BEGUN") if self._order == "begun" else tr("LAST USED")
        return ((text + "  " + column(time, _TIME), "muted"),)

    def row(self, entry: Entry, *, is_open: bool) -> Row:
        """One entry; `is_open` is the conversation that is shown behind the list."""
        if isinstance(entry, FoundMessage):
            return self._message(entry.hit)
        one = entry.conversation
        row = [*self._title(one, "strong" if is_open else "")]
        if self._n_model:
            model = Path(one.model_path).stem if one.model_path else ""
            row.append(("  " + column(model, self._n_model - 2), "muted"))
        if self._n_count:
            row.append((column(f"{one.n_turns:,}", self._n_count, right=True), "muted"))
        time = one.created_at if self._order == "begun" else one.updated_at
        return (*row, ("  " + column(when(time, self._now), _TIME), "muted"))

    def _title(self, one: Summary, style: str) -> Row:
        room = self._n_title - self._n_model
        sign: Row = ((PINNED, "tight"),) if one.is_pinned else ()
        told = " ".join([*([tr("archived")] if one.is_archived else ()), *(f"#{tag}" for tag in one.tags)])
        n_told = min(width_of(told) + 2, room // 2) if told else 0
        text = shorten(clean(" ".join(title_of(one).split())), room - n_told - 2 * one.is_pinned)
        runs = [*sign, *self._lit(text, style)]
        if n_told:
            runs.append(("  " + shorten(clean(told), n_told - 2), "muted"))
        used = sum(width_of(text) for text, _ in runs)
        return (*runs, (" " * (room - used), ""))

    def _lit(self, text: str, style: str) -> Row:
        return pieces(text, [found.span() for found in self._words.finditer(text)], style)

    def _message(self, hit: Hit) -> Row:
        sign = "❯ " if hit.role == "user" else "~ " if hit.part == "thinking" else "· "
        return (
            (" " * (_INDENT - 2) + sign, "faint"),
            *fitted(hit.snippet, max(1, self._width - _INDENT)),
        )


def fitted(snippet: Snippet, width: int) -> Row:
    """A snippet in at most so many cells, the first of its words in view."""
    text, lit = clean(snippet.text), snippet.lit
    if text != snippet.text:  # other characters may stand at other places
        lit = ()
    start = 0
    if lit and width_of(text[: lit[0][1]]) > width * 2 // 3:
        start = lit[0][0]
        room = max(0, width // 3)
        while start > 0 and width_of(text[start - 1 : lit[0][0]]) < room:
            start -= 1
    lead = "…" if start else ""
    spans = [(first - start + len(lead), last - start + len(lead)) for first, last in lit if first >= start]
    shown = shorten(lead + text[start:], width)
    n_whole = len(shown) - shown.endswith("…")
    return pieces(shown, [(first, min(last, n_whole)) for first, last in spans if first < n_whole], "muted")


def pieces(text: str, lit: list[tuple[int, int]], style: str) -> Row:
    """A text with some of its characters lit."""
    runs: list[Run] = []
    at = 0
    for first, last in lit:
        runs += [(text[at:first], style), (text[first:last], "key")]
        at = last
    return tuple((piece, name) for piece, name in (*runs, (text[at:], style)) if piece)
