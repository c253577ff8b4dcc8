"""A list of which only the visible rows are painted, so that a thousand entries are filtered as fast as ten. It knows
nothing of what it shows: the owner paints each row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual import events
from textual.geometry import Size, clamp
from textual.message import Message
from textual.strip import Strip

from tui.app.markdown.text import Line, Run, width_of
from tui.app.widgets.direct_paint import RowPainter
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.base.colors import legible
from tui.base.text import clean
from tui.words import tr

T = TypeVar("T")

_log = logging.getLogger("llmtui.lists")

_POINTER = 2
"""Cells at the left for the mark of the highlighted row; as many at the right for the scroll bar."""
_MARK: Run = ("▶ ", "strong")
_LIT = {"good": "lit.good", "tight": "lit.tight", "full": "lit.full"}
_HIGHLIGHTED = {"muted": "", "faint": "", "key": "strong", **_LIT}
"""Styles that may not be read on the background of the highlighted row, and what stands for them there."""


class RowList(LineWidget, Generic[T]):
    """Entries with one of them highlighted. It takes no focus: whoever owns it has the keys and calls `move`.

    A click highlights, a click on the highlighted entry posts `Chosen`; the wheel scrolls.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--cursor"}
    DEFAULT_CSS = """
    RowList {
        width: 1fr;
        height: 1fr;
        .row-list--cursor { background: $primary-muted; }
    }
    """

    class Highlighted(Message):
        """Another entry is highlighted, or the same one in a new list; `item` is None when there is none."""

        def __init__(self, row_list: RowList[Any], item: Any) -> None:
            super().__init__()
            self.row_list, self.item = row_list, item

        @property
        def control(self) -> RowList[Any]:
            """The list."""
            return self.row_list

    class Chosen(Highlighted):
        """The highlighted entry was clicked once more."""

    class HeadClicked(Message):
        """The header was clicked, at the cell `x` of the `width` cells that it has."""

        def __init__(self, row_list: RowList[Any], x: int, width: int) -> None:
            super().__init__()
            self.row_list, self.x, self.width = row_list, x, width

        @property
        def control(self) -> RowList[Any]:
            """The list."""
            return self.row_list

    def __init__(
        self,
        paint: Callable[[T, int], Row],
        *,
        header: Callable[[int], Row] | None = None,
        is_heading: Callable[[T], bool] = lambda _: False,
        choose_at_once: bool = False,
        id: str | None = None,
    ) -> None:
        """`paint` and `header` get the cells that a row has. Headings cannot be highlighted. With `choose_at_once` the
        first click chooses."""
        super().__init__(id=id)
        self._paint, self._header, self._is_heading = paint, header, is_heading
        self._choose_at_once = choose_at_once
        self.items: Sequence[T] = ()
        self._at = -1
        self._first = 0
        self._hint = ""

    @property
    def item(self) -> T | None:
        """The highlighted entry."""
        return self.items[self._at] if 0 <= self._at < len(self.items) else None

    @property
    def page(self) -> int:
        """Entries that are seen at once."""
        return max(1, self.size.height - (self._header is not None))

    @property
    def seen(self) -> Sequence[T]:
        """The entries in view."""
        return self.items[self._first : self._first + self.page]

    def show(self, items: Sequence[T], item: T | None = None, *, hint: str = "") -> None:
        """Take these entries, and highlight `item` if it is among them, else the first. `hint` stands in an empty
        list."""
        self.items, self._hint = items, hint
        places = (place for place, one in enumerate(items) if not self._is_heading(one))
        first = next(places, -1)
        self._at = next((place for place, one in enumerate(items) if one == item), first) if item else first
        self._first = 0
        self._follow()
        self.update_rows()
        self.post_message(self.Highlighted(self, self.item))

    def move(self, by: int) -> None:
        """Highlight the entry that many places further down, or up when negative; headings are stepped over."""
        self.highlight(self._at + by, 1 if by > 0 else -1)

    def highlight(self, place: int, step: int = 1) -> None:
        """Highlight the entry at this place, the nearest one in the direction `step` where that is a heading."""
        last = len(self.items) - 1
        place = clamp(place, 0, max(last, 0))
        for direction in (step, -step):
            at = place
            while 0 <= at <= last and self._is_heading(self.items[at]):
                at += direction
            if 0 <= at <= last:
                break
        else:
            return
        if at != self._at:
            self._at = at
            self.post_message(self.Highlighted(self, self.item))
        self._follow()
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """Header, the visible entries, and the scroll bar when there are more."""
        room = self._room
        rows: list[Row] = []
        if self._header is not None:
            rows.append(((" " * _POINTER, ""), *self._header(room)))
        if not self.items:
            return [*rows, *((((" " * _POINTER + line, "muted")),) for line in self._hint.split("\n"))]
        self._first = clamp(self._first, 0, max(0, len(self.items) - self.page))
        bar = self._scroll_bar(height - len(rows))
        for number, item in enumerate(self.seen):
            pointer = _MARK if self._first + number == self._at else (" " * _POINTER, "")
            row: Row = (pointer, *self._row_of(item, room))
            if bar:
                row = _fill(row, width - 1, bar[number])
            rows.append(row)
        return rows

    @property
    def _room(self) -> int:
        """Cells of a row."""
        return max(1, self.size.width - 2 * _POINTER)

    def _row_of(self, item: T, room: int) -> Row:
        """The row of one entry. One that cannot be painted takes none of the others along."""
        try:
            return self._paint(item, room)
        except Exception:  # noqa: BLE001 - what is wrong with one entry must not close the list
            _log.exception("A row of a list could not be painted: %.200r", item)
            return ((shorten(tr("(cannot be shown: see the log)"), room), "muted"),)

    def row_painter(self, size: Size) -> RowPainter:
        """Rows, on the cursor's background where one is highlighted."""
        palette, rows, width = self.palette, self._rows, size.width

        def paint(y: int) -> Strip:
            row = rows[y] if y < len(rows) else ()
            if not row or row[0] != _MARK:
                return palette.strip(Line(row), width, "", "", None)
            lit = tuple(
                (text, "+".join(_HIGHLIGHTED.get(name, name) for name in names.split("+"))) for text, names in row
            )
            return palette.strip(Line(lit, fill="cursor"), width, "", "", None)

        return paint

    def named_styles(self) -> dict[str, Style]:
        """Those of all rows, the cursor's background, and the states on it."""
        named = super().named_styles()
        ground = self.get_component_rich_style("row-list--cursor").bgcolor
        if self.has_few_colors or ground is None:
            lit = {name: Style(bold=named[plain].bold) for plain, name in _LIT.items()}
            return {**named, **lit, "cursor": Style(reverse=True)}
        behind = ground.get_truecolor()
        lit = {name: _on(named[plain], behind) for plain, name in _LIT.items()}
        return {**named, **lit, "cursor": Style(bgcolor=ground)}

    def on_resize(self) -> None:
        """Keep the highlighted entry in view, and all above it where there is room for them."""
        if self._at < self.page:
            self._first = 0
        self._follow()
        super().on_resize()

    def on_click(self, event: events.Click) -> None:
        """Highlight or choose."""
        offset = event.get_content_offset(self)
        if offset is None or not self.items:
            return
        event.stop()
        line = offset.y - (self._header is not None)
        if line < 0:
            self.post_message(self.HeadClicked(self, offset.x - _POINTER, self._room))
            return
        if len(self.items) > self.page and offset.x == self.size.width - 1:
            self._scroll_list(round(line / max(1, self.page - 1) * (len(self.items) - self.page)))
            return
        place = self._first + line
        if place >= len(self.items) or self._is_heading(self.items[place]):
            return
        was_here = place == self._at
        self.highlight(place)
        if was_here or self._choose_at_once:
            self.post_message(self.Chosen(self, self.item))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll; the highlighted entry may leave the view."""
        event.stop()
        self._scroll_list(self._first + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll."""
        event.stop()
        self._scroll_list(self._first - 3)

    def _scroll_list(self, first: int) -> None:
        self._first = clamp(first, 0, max(0, len(self.items) - self.page))
        self.update_rows()

    def _follow(self) -> None:
        """Scroll just so far that the highlighted entry is seen, with the heading above it."""
        if self._at < 0 or not self.size.height:
            return
        top = self._at - 1 if self._at and self._is_heading(self.items[self._at - 1]) else self._at
        self._first = min(max(self._first, self._at - self.page + 1), top)

    def _scroll_bar(self, height: int) -> list[Run]:
        n = len(self.items)
        if n <= self.page:
            return []
        thumb = max(1, round(height * height / n))
        start = round(self._first / (n - self.page) * (height - thumb))
        return [("┃", "muted") if start <= y < start + thumb else ("│", "faint") for y in range(height)]


def _on(style: Style, behind: ColorTriplet) -> Style:
    """The style with its colour as it can be read on that background."""
    if style.color is None:
        return style
    return Style(color=legible(style.color.get_truecolor().hex, [behind]), bold=style.bold)


def column(text: str, width: int, *, right: bool = False) -> str:
    """Text from anywhere in exactly `width` cells, shortened or padded."""
    text = shorten(clean(" ".join(text.split())), width)
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def _fill(row: Row, width: int, last: Run) -> Row:
    """The row, cut or padded to `width` cells, and one more run."""
    kept: list[Run] = []
    free = width
    for text, style in row:
        text = shorten(text, free)
        kept.append((text, style))
        free -= width_of(text)
        if free <= 0:
            break
    return (*kept, (" " * max(free, 0), ""), last)
