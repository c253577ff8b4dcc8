"""A question with two answers."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Static

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.wrapped import Wrapped
from tui.base.text import clean
from tui.words import tr


class ConfirmScreen(Dialog[bool]):
    """True for yes. No has the focus, and closing is no too, as False; "y" and "n" answer at once.

    `yes` and `no` are what the buttons say, best a verb such as "Delete", and "Yes" and "No" by default; `detail` is
    told below the question.
    """

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "small.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "app.focus_previous", "Other answer", show=False),
        Binding("right,down", "app.focus_next", "Other answer", show=False),
    ]

    def __init__(self, question: str, keymap: Keymap, *, detail: str = "", yes: str = "", no: str = "") -> None:
        super().__init__(keymap)
        self.add_class("small")
        self._question, self._detail, self._yes, self._no = question, detail, yes or tr("Yes"), no or tr("No")
        self.key_titles = {"dialog_close": self._no}

    def compose_body(self) -> ComposeResult:
        """Question, detail, answers."""
        yield Static(Wrapped(clean(self._question)), id="question", markup=False)
        if self._detail:
            yield Static(Wrapped(clean(self._detail)), id="detail", markup=False)
        with Horizontal(id="buttons"):
            yield Button(tr("{action} ({key})", action=self._yes, key="y"), compact=True, id="yes")
            yield Button(tr("{action} ({key})", action=self._no, key="n"), compact=True, id="no")

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def on_key(self, event: events.Key) -> None:
        """Letters answer."""
        if event.key.casefold() in ("y", "n"):
            event.stop()
            self.dismiss(event.key.casefold() == "y")

    def action_dialog_close(self) -> None:
        """No."""
        self.dismiss(False)
