"""What the word at the cursor of the prompt may become, above the prompt: paths, commands, snippets."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from textual import events
from textual.message import Message

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.app.widgets.row_list import column

MOST_ROWS = 7
_POINTER = "▶ "


class Completion(msgspec.Struct, frozen=True):
    """One of them."""

    id: str
    label: str
    note: str = ""
    """A few words behind it."""
    end: str = ""
    """At the right end: a size, or a key."""


class CompletionList(LineWidget):
    """As tall as what it shows, and not there when there is nothing. It takes no focus: the prompt has the keys."""

    DEFAULT_CSS = """
    CompletionList {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $background;
        display: none;
    }
    """

    class Chosen(Message):
        """One was clicked."""

        def __init__(self, completion: Completion) -> None:
            super().__init__()
            self.completion = completion

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.items: tuple[Completion, ...] = ()
        """What is offered."""
        self._at = self._first = 0
        self._was_moved = False
        """Another one than the first was chosen to be highlighted."""

    @property
    def item(self) -> Completion | None:
        """The highlighted one."""
        return self.items[self._at] if self.items else None

    def show(self, items: Sequence[Completion]) -> None:
        """Show these in place of what is there; one that was moved to stays highlighted, else the first is."""
        before = self.item if self._was_moved else None
        self.items = tuple(items)
        ids = [one.id for one in self.items]
        self._at = ids.index(before.id) if before is not None and before.id in ids else 0
        self._was_moved = self._was_moved and bool(self._at)
        self._first = 0
        most = MOST_ROWS if self.app.size.height >= 20 else 3
        height = max(1, min(len(items), most))
        if self.display != bool(items) or self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
            self.display = bool(items)
        self._follow(height)
        self.update_rows()

    def move(self, by: int) -> None:
        """Highlight another one, round and round."""
        if self.items:
            self._at = (self._at + by) % len(self.items)
            self._was_moved = True
            self._follow(self.size.height)
            self.update_rows()

    def _follow(self, height: int) -> None:
        self._first = max(min(self._first, self._at), self._at - max(1, height) + 1)

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """Those in view, in columns."""
        shown = self.items[self._first : self._first + height]
        n_label = min(max((width_of(one.label) for one in self.items), default=0), max(8, width * 2 // 3))
        return [self._row(one, n_label, width) for one in shown]

    def _row(self, one: Completion, n_label: int, width: int) -> Row:
        is_lit = one is self.item
        end = shorten(one.end, max(0, width - n_label - len(_POINTER) - 2))
        n_label = min(n_label, width - len(_POINTER) - width_of(end) - 1)
        n_note = width - len(_POINTER) - n_label - width_of(end) - 3
        note = column(one.note, n_note) if n_note >= 8 else " " * max(0, n_note)
        pointer = (_POINTER, "key") if is_lit else ("  ", "")
        return (
            pointer,
            (column(one.label, n_label), "strong" if is_lit else ""),
            (f"  {note} ", "muted"),
            (end, "muted"),
        )

    def on_click(self, event: events.Click) -> None:
        """Take one."""
        offset = event.get_content_offset(self)
        if offset is not None and self._first + offset.y < len(self.items):
            self.post_message(self.Chosen(self.items[self._first + offset.y]))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The next one."""
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The one before."""
        event.stop()
        self.move(-1)
