"""A line that shows the rows below it, or hides them."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import LineWidget, Row
from tui.base import format
from tui.words import mark


class FoldLine(LineWidget, can_focus=True):
    """What the rows are about, behind a sign that says whether they are shown."""

    DEFAULT_CSS = """
    FoldLine { width: 1fr; height: 1; pointer: pointer; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "fold", mark("Show or hide"), key_display="enter")]

    class Changed(Message):
        """The rows are to be shown, or hidden."""

        def __init__(self, fold_line: FoldLine) -> None:
            super().__init__()
            self.fold_line = fold_line

        @property
        def control(self) -> FoldLine:
            """The line."""
            return self.fold_line

    def __init__(self, *about: str, is_open: bool = False, id: str | None = None) -> None:
        """`about` names what the rows have; as many are shown as there is room for."""
        super().__init__(id=id)
        self._about = about
        self.is_open = is_open

    def show(self, *, is_open: bool) -> None:
        """Show the rows or hide them; a message tells the owner, who has them."""
        if is_open != self.is_open:
            self.is_open = is_open
            self.update_rows()
            self.post_message(self.Changed(self))

    def less(self) -> None:
        """Hide them."""
        self.show(is_open=False)

    def more(self) -> None:
        """Show them."""
        self.show(is_open=True)

    least, most = less, more

    def action_fold(self) -> None:
        """The other of the two."""
        self.show(is_open=not self.is_open)

    def on_click(self, event: events.Click) -> None:
        """As its key."""
        event.stop()
        self.action_fold()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """One row."""
        style = "key" if self.has_focus else "muted"
        return [((f"{'▾' if self.is_open else '▸'} ", style), (self._as_many_as_fit(width - 2), style))]

    def _as_many_as_fit(self, width: int) -> str:
        texts = (
            format.listed(*self._about[:n], *["…"] * (n < len(self._about))) for n in range(len(self._about), 0, -1)
        )
        return next((text for text in texts if width_of(text) <= width), "")
