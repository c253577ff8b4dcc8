"""Writing a text: many lines, as for a system prompt, or one, as for a title."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.suggester import Suggester
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.line_input import LineInput
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.wrapped import Wrapped
from tui.base.text import clean
from tui.words import tr


class TextEditScreen(Dialog[str]):
    """Gives the text as it stands, empty included; None when it was closed. Enter starts a new line; the key or the
    button saves."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "text_edit.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "Prompt"

    def __init__(
        self, title: str, text: str, keymap: Keymap, *, placeholder: str = "", hint: str = "", default: str = ""
    ) -> None:
        """`default` is what "Reset" goes back to; `hint` is told above the text."""
        # Enter is a new line here.
        saving = tuple(key for key in keymap.get("form_save", ()) if key != "enter")
        super().__init__({**keymap, "form_save": saving}, "form", title=title)
        self._text, self._placeholder, self._hint, self._default = text, placeholder, hint, default

    def compose_body(self) -> ComposeResult:
        """Hint, text, buttons."""
        if self._hint:
            yield Static(Wrapped(clean(self._hint)), id="hint", markup=False)
        # The prompt's editor, which moves by grapheme, without its keys.
        editor = Prompt({}, history_size=0, placeholder=self._placeholder)
        self.give_way(editor, "form_save", "form_reset")
        yield editor
        yield self.button_row("form_save", "form_reset", "dialog_close")

    def on_mount(self) -> None:
        """Show the text."""
        self.query_one(Prompt).set_text(self._text)

    def action_form_save(self) -> None:
        """Give the text."""
        self.dismiss(self.query_one(Prompt).text)

    def action_form_reset(self) -> None:
        """Go back to the default; nothing is saved yet."""
        self.query_one(Prompt).set_text(self._default)


class LineEditScreen(Dialog[str]):
    """Gives one line, without blanks at its ends; None when it was closed. Enter saves.

    `check` says what is wrong with a text, or nothing; without it, anything but an empty line is taken.
    """

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "small.tcss", "text_edit.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "Input"

    def __init__(
        self,
        title: str,
        text: str,
        keymap: Keymap,
        *,
        placeholder: str = "",
        hint: str = "",
        save: str = "",
        suggester: Suggester | None = None,
    ) -> None:
        """`save` is the English of what the button says that gives the line, "Save" by default; `hint` is told above
        it; `suggester` completes what is typed."""
        super().__init__(keymap, "form", title=title)
        if save:
            self.key_titles["form_save"] = save
        self.add_class("small")
        self._text, self._placeholder, self._hint = text, placeholder, hint
        self._suggester = suggester

    def compose_body(self) -> ComposeResult:
        """Hint, line, complaint, buttons."""
        if self._hint:
            yield Static(Wrapped(clean(self._hint)), id="hint", markup=False)
        line = LineInput(self._text, self._placeholder, suggester=self._suggester)
        self.give_way(line, "form_save")
        yield line
        yield Static("", id="complaint", markup=False)
        yield self.button_row("form_save", "dialog_close")

    @on(Input.Changed)
    def _changed(self) -> None:
        self.query_one("#complaint", Static).update("")

    @on(Input.Submitted)
    def action_form_save(self) -> None:
        """Give the line, unless something is wrong with it."""
        if text := self.query_one(Input).value.strip():
            self.dismiss(text)
        else:
            self.query_one("#complaint", Static).update(Wrapped(tr("Enter something.")))
