"""One out of a few: a question with several answers, or a list such as the themes, tried while one moves through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Static

from tui.app.bindings import Keymap
from tui.app.markdown.text import width_of
from tui.app.screens.dialog import ListDialog
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.app.widgets.wrapped import Wrapped
from tui.base.text import clean


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    id: str
    """The result when it is chosen."""
    label: str
    note: str = ""
    """A few words at its right."""
    key: str = ""
    """A letter that chooses it at once; it is shown."""


class ChoiceScreen(ListDialog[str]):
    """Gives the id of a choice, or None. `current` is highlighted at first. `on_highlight` hears each id that is moved
    to; when the dialog is closed, it hears `current` again, so that a preview is undone."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "small.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = ""

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        keymap: Keymap,
        *,
        question: str = "",
        current: str = "",
        on_highlight: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(keymap, "list", title=title)
        self.add_class("small")
        self._choices, self._question, self._current = tuple(choices), question, current
        self._on_highlight = on_highlight
        self._n_label = max((width_of(choice.label) for choice in choices), default=0)
        self._keys = any(choice.key for choice in choices)

    def compose_body(self) -> ComposeResult:
        """Question and list."""
        if self._question:
            yield Static(Wrapped(clean(self._question)), id="question", markup=False)
        yield RowList[Choice](self._paint, choose_at_once=True)

    def on_mount(self) -> None:
        """Show the choices, in a list just high enough for them."""
        self.rows.styles.height = max(1, len(self._choices))
        self.rows.styles.max_height = "60vh"
        current = next((choice for choice in self._choices if choice.id == self._current), None)
        self.rows.show(self._choices, current)

    def _paint(self, choice: Choice, width: int) -> Row:
        key = f"{choice.key:<3}" if self._keys else ""
        n_label = min(self._n_label, width - len(key))
        free = width - len(key) - n_label - 2
        label = (column(choice.label, n_label), "strong" if choice.id == self._current else "")
        if not choice.note or free < 4:
            return ((key, "key"), label)
        return ((key, "key"), label, ("  ", ""), (column(choice.note, free), "muted"))

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        if self._on_highlight is not None and event.item is not None and type(event) is RowList.Highlighted:
            self._on_highlight(event.item.id)

    @on(RowList.Chosen)
    def action_list_choose(self) -> None:
        """Take the highlighted one."""
        if (choice := self.rows.item) is not None:
            self.dismiss(choice.id)

    def on_key(self, event: events.Key) -> None:
        """A choice's own letter takes it."""
        found = next((choice for choice in self._choices if choice.key and choice.key == event.character), None)
        if found is not None:
            event.stop()
            self.dismiss(found.id)

    def action_dialog_close(self) -> None:
        """Leave everything as it was, the preview too."""
        if self._on_highlight is not None and self._current:
            self._on_highlight(self._current)
        self.dismiss(None)
