"""The line below the transcript in which text is typed that is looked for in the conversation, and how many hits there
are."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from tui.app.markdown.text import width_of
from tui.app.widgets.line_input import LineInput
from tui.app.widgets.lines import LineWidget, Row
from tui.words import mark, tr


class FindLine(Horizontal):
    """Says what is typed and where to go; whoever mounts it looks."""

    DEFAULT_CSS = """
    FindLine {
        height: 1;
        padding: 0 1;
        background: $surface;
        #find-mark { width: 2; color: $text-primary; }
        LineInput { width: 1fr; background: $surface; }
        FindCount { width: 20; height: 1; background: $surface; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", mark("Close")),
        Binding("up,shift+enter", "go(-1)", "Hit before", show=False),
        Binding("down", "go(1)", "Next hit", show=False),
    ]

    class Typed(Message):
        """Look for this."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Entered(Message):
        """It is typed: the hits are read now."""

    class Go(Message):
        """To the next hit, or the one before with -1."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Left(Message):
        """Nothing is looked for any more."""

    def compose(self) -> ComposeResult:
        """Mark, line, count."""
        yield Static("/", id="find-mark", markup=False)
        yield LineInput(placeholder=tr("Find in this conversation"), compact=True, select_on_focus=True)
        yield FindCount()

    def show(self, number: int, n: int) -> None:
        """The `number`th of `n` hits was gone to."""
        self.query_one(FindCount).show(number, n, is_asked=bool(self.text.strip()))

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(LineInput).value

    def take(self, text: str) -> None:
        """Have this in the line, and the cursor behind it; what is there already is selected without."""
        line = self.query_one(LineInput)
        if text:
            with line.prevent(Input.Changed):
                line.value = text
        line.focus()
        line.action_select_all()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered())

    def action_go(self, step: int) -> None:
        """To another hit."""
        self.post_message(self.Go(step))

    def action_leave(self) -> None:
        """End the search."""
        self.post_message(self.Left())


class FindCount(LineWidget):
    """Such as "3/17 ‹ › ✕": a click on a sign does what it says."""

    DEFAULT_CSS = "FindCount { pointer: pointer; }"
    COMPONENT_CLASSES = set()  # noqa: RUF012
    _SIGNS = (("‹", -1), ("›", 1), ("✕", 0))

    def __init__(self) -> None:
        super().__init__()
        self._told = ""
        self._is_bad = False

    def show(self, number: int, n: int, *, is_asked: bool) -> None:
        """Count."""
        self._told = f"{number:,}/{n:,}" if n else tr("no hits") if is_asked else ""
        self._is_bad = not n
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The one row."""
        signs = "".join(f" {sign}" for sign, _ in self._SIGNS)
        blanks = " " * max(1, width - width_of(self._told) - width_of(signs))
        return [((blanks + self._told, "full" if self._is_bad else "muted"), (signs, "key"))]

    def on_click(self, event: events.Click) -> None:
        """What the sign says."""
        event.stop()
        place = (event.x - (self.size.width - 2 * len(self._SIGNS))) // 2
        if 0 <= place < len(self._SIGNS):
            step = self._SIGNS[place][1]
            self.post_message(FindLine.Go(step) if step else FindLine.Left())
