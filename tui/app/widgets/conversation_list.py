"""The conversations at the left of a wide screen, by day. The open one is marked; with the focus, arrows move and enter
opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from tui.app.moments import period
from tui.app.widgets.lines import Row, shorten
from tui.app.widgets.row_list import RowList, column
from tui.chat.conversation import UNTITLED
from tui.chat.store import Summary
from tui.words import tr


class PeriodHeading(msgspec.Struct, frozen=True, kw_only=True):
    """The line above the conversations of some days."""

    title: str


Entry = Summary | PeriodHeading


class ConversationList(RowList[Entry], can_focus=True):
    """Show it conversations with `take`; a click or enter posts `Chosen`."""

    DEFAULT_CSS = """
    ConversationList {
        width: 30;
        height: 1fr;
        border-right: solid $border-blurred;
        background: $background;
        &:focus { border-right: solid $border; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = set()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move_page(-1)", "Page up", show=False),
        Binding("pagedown", "move_page(1)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            self._paint_entry,
            header=_header,
            is_heading=lambda entry: isinstance(entry, PeriodHeading),
            choose_at_once=True,
            id=id,
        )
        self._open = ""

    def take(self, conversations: Sequence[Summary], open_id: str, now: datetime) -> None:
        """Show these, pinned ones first, then the newest. `open_id` is marked; where it is not among them, none is."""
        was_open, self._open = self._open, open_id
        first, here = self._first, self.item
        wanted = here.id if self.has_focus and isinstance(here, Summary) else open_id
        found = next((one for one in conversations if one.id == wanted), None)
        self.show(tuple(_by_period(conversations, now)), found, hint=tr("No conversations yet"))
        if found is None and not self.has_focus:
            self._at = -1
        if was_open == open_id:  # nobody has gone elsewhere: the list stays where it was scrolled to
            self._first = first
        self.update_rows()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Arrows begin at the open conversation, or at the first; without the focus the open one is marked."""
        if has_focus:
            if self._at < 0:
                self.highlight(0)
        elif isinstance(item := self.item, Summary) and item.id != self._open:
            places = (
                place for place, one in enumerate(self.items) if isinstance(one, Summary) and one.id == self._open
            )
            self._at = next(places, -1)
        super().watch_has_focus(has_focus)

    def action_move(self, by: int) -> None:
        """Mark another one."""
        self.move(by)

    def action_move_page(self, by: int) -> None:
        """Move by what is seen at once."""
        self.move(by * self.page)

    def action_choose(self) -> None:
        """Open the marked one."""
        if self.item is not None:
            self.post_message(self.Chosen(self, self.item))

    def _paint_entry(self, entry: Entry, width: int) -> Row:
        if isinstance(entry, PeriodHeading):
            return ((shorten(entry.title, width), "muted"),)
        title = entry.title.strip() or tr(UNTITLED)
        return ((column(title, width), "strong" if entry.id == self._open else ""),)


def _by_period(conversations: Sequence[Summary], now: datetime) -> Iterator[Entry]:
    before = ""
    for one in sorted(conversations, key=lambda one: not one.is_pinned):
        title = tr("Pinned") if one.is_pinned else period(one.updated_at, now)
        if title != before:
            yield PeriodHeading(title=title)
            before = title
        yield one


def _header(width: int) -> Row:
    return ((shorten(tr("CONVERSATIONS"), width), "title"),)
