"""The base of the boards on which the bench and the tuning show what they find: rows on top that stay, rows below that
can be moved, and how progress and sentences are set in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from tui.app.markdown.text import wrap
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.app.widgets.readings import bar
from tui.base.text import clean

State = TypeVar("State")


class Board(LineWidget, Generic[State]):
    """Its rows are as many as they are; `move` shows others."""

    DEFAULT_CSS = "Board { width: 1fr; height: 1fr; }"

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state
        self._first = 0

    def show(self, state: State) -> None:
        """Take another state."""
        self.state = state
        self.update_rows()

    def move(self, by: int) -> None:
        """Show the rows further down, or up."""
        self._first = max(0, self._first + by)
        self.update_rows()

    def top_rows(self, width: int) -> Iterable[Row]:
        """Those that stay."""
        raise NotImplementedError

    def rows_below(self, width: int) -> Iterable[Row]:
        """Those that can be moved."""
        raise NotImplementedError

    def compose_rows(self, width: int, height: int) -> Sequence[Row]:
        """The two parts, a blank row between them."""
        top = [*self.top_rows(width), ()]
        below = list(self.rows_below(width))
        room = max(1, height - len(top))
        self._first = max(0, min(self._first, len(below) - room))
        return [*top, *below[self._first : self._first + room]]


def cut(text: str, width: int) -> str:
    """What names a model or quotes somebody, in one row."""
    return shorten(clean(text), width)


def wrapped(text: str, width: int, style: str) -> Iterator[Row]:
    """The same in as many rows as it takes."""
    text = clean(text)
    for start, end in wrap(text, width) or [(0, 0)]:
        yield ((text[start:end].strip(), style),)


def progress(fraction: float, told: str, width: int) -> Row:
    """A bar, and what is told of it at its right."""
    n = max(10, min(40, width // 3))
    filled, rest = bar(fraction, n)
    return ((filled, "key"), (rest, "faint"), (cut(told, width - n), ""))
