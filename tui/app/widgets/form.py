"""A row of a form: what it is about, the widgets that say how it is set, and a note that tells what the value means or
what is wrong with it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static


class Form(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Rows that scroll to the focused one. Its own keys are the dialog's: home and end are for sliders."""

    DEFAULT_CSS = """
    Form { height: 1fr; scrollbar-size-vertical: 1; }
    """


class FormRow(Container):
    """`label`, `widgets`, and a note at the right, or below them in narrow terminals. The style sheet of dialogs says
    which; there, a note that is no complaint is left out. A mark at the left says that one of the widgets has the
    focus."""

    DEFAULT_CSS = """
    FormRow {
        height: auto;
        .form-line { height: auto; }
        .form-mark { width: 2; visibility: hidden; color: $footer-key-foreground; text-style: bold; }
        .form-label { width: 16; color: $foreground-muted; }
        &.-focused .form-mark { visibility: visible; }
        &.-focused .form-label { color: $footer-key-foreground; text-style: bold; }
        .form-end { width: 8; padding-left: 1; color: $foreground-muted; }
        .form-unit { width: auto; margin: 0 1; color: $foreground-muted; }
        .form-note { height: auto; color: $foreground-muted; }
        &.-wrong .form-note { color: $text-error; }
    }
    """

    def __init__(self, label: str, *widgets: Widget, note: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._label, self._widgets = label, widgets
        self._note = note

    def compose(self) -> ComposeResult:
        """From left to right."""
        with Horizontal(classes="form-line"):
            yield Static("▶", classes="form-mark", markup=False)
            yield Static(self._label, classes="form-label", markup=False)
            yield from self._widgets
        yield Static(self._note, classes="form-note", markup=False)

    def on_descendant_focus(self) -> None:
        """Light up. Textual's `:focus-within` misses rows that were hidden at first."""
        self.add_class("-focused")

    def on_descendant_blur(self) -> None:
        """No longer."""
        self.remove_class("-focused")

    def tell(self, complaint: str = "", note: str | None = None) -> None:
        """Show a complaint, or without one the note. The form is laid out again only where a text changes: it is told
        of every row at each key."""
        if note is not None:
            self._note = note
        self.set_class(bool(complaint), "-wrong")
        line = self.query_one(".form-note", Static)
        if (text := complaint or self._note) != line.content:
            line.update(text)


def unit(text: str) -> Static:
    """A word between the widgets of a row."""
    return Static(text, classes="form-unit", markup=False)


def end(text: str) -> Static:
    """The greatest value at the right of a slider, in a place of fixed width."""
    return Static(text, classes="form-end", markup=False)
