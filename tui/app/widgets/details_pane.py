"""The pane beside or below a list: what is known of the highlighted entry, or what was just said about it."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.app.widgets.row_list import RowList
from tui.app.widgets.wrapped import Wrapped


class DetailsPane(VerticalScroll, can_focus=False):
    """What comes `of` an entry is known by that entry, compared by value. The class "-bad" is for what must be seen on
    a low terminal too."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self._remark_of: tuple[object] | None = None
        self._shown_of: object = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static("", markup=False)

    def show(self, content: Content, of: object, *, is_bad: bool = False) -> None:
        """Say what is known of an entry. What was remarked about it stays instead: the list may be shown again for many
        reasons, and its owner need not know."""
        if self._remark_of != (of,):
            self._remark_of = None
            self._put(content, of, is_bad)

    def remark(self, content: Content, of: object, *, is_bad: bool = True) -> None:
        """Say what came of an action on an entry, until something of another one is shown."""
        self._remark_of = (of,)
        self._put(content, of, is_bad)
        self.scroll_home(animate=False)

    def forget(self) -> None:
        """What was remarked is out of date: the next `show` is seen."""
        self._remark_of = None

    def _put(self, content: Content, of: object, is_bad: bool) -> None:
        self.query_one(Static).update(Wrapped(content))
        self.set_class(is_bad, "-bad")
        if of != self._shown_of:
            self._shown_of = of
            self.scroll_home(animate=False)


def with_details(rows: RowList[Any]) -> Container:
    """A list, and the pane beside or below it."""
    return Container(rows, DetailsPane(), id="middle")
