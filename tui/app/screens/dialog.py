"""What all dialogs share: a frame over the screen below, the keys of the table of actions, a key bar that can be
clicked, and lists that are filtered while one types. Knows nothing of models or conversations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.markup import escape
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, Static
from textual.widgets._button import ButtonVariant

from tui.app.bindings import Keymap, bind
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.line_input import LineInput
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.row_list import RowList
from tui.config.actions import BY_ID
from tui.config.keymap import display_keys
from tui.config.scopes import Scope
from tui.words import mark, tr

R = TypeVar("R")
CANCEL = mark("Cancel")
"""What it is to close a dialog whose values are lost then."""


class Dialog(ModalScreen[R], Generic[R]):
    """A modal screen that is dismissed with a result, or None when it is closed. `TITLE` is for its frame."""

    CSS_PATH = "dialog.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (64, "-narrow"), (100, "-medium"), (132, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (18, "-high")]  # noqa: RUF012

    def __init__(self, keymap: Keymap, *scopes: Scope, title: str = "") -> None:
        super().__init__()
        self.keymap = keymap
        self._frame_title = title
        self.key_titles = {"dialog_close": CANCEL} if {"form", "load"} & set(scopes) else {}
        """What actions are called at the moment, where that is not their title in the table."""
        bind(self, keymap, "dialog", *scopes)

    def compose(self) -> ComposeResult:
        """The frame around what `compose_body` gives, and the keys."""
        with Vertical(id="frame") as frame:
            frame.border_title = escape(self._frame_title)
            yield from self.compose_body()
            yield KeyBar()

    def compose_body(self) -> ComposeResult:
        """The dialog itself."""
        raise NotImplementedError

    def button_row(self, *action_ids: str) -> Horizontal:
        """A button for each action, which says what the key bar says. The first is the one that most come for: it has
        the colour, and its key beside it."""
        row = []
        for number, action_id in enumerate(action_ids):
            title = self.key_titles.get(action_id, BY_ID[action_id].title)
            label = tr(title)
            key = "" if number else display_keys(self.keymap.get(action_id, ()), limit=1)
            told = tr("{action} ({key})", action=label, key=key) if key else label
            variant: ButtonVariant = "default" if number else "primary"
            row.append(Button(told, variant, compact=True, action=f"screen.{action_id}", id=f"button-{action_id}"))
        return Horizontal(*row, id="buttons")

    def action_dialog_close(self) -> None:
        """Close and change nothing."""
        self.dismiss(None)

    async def on_paste(self, event: events.Paste) -> None:
        """What nothing that has the focus took goes where text is written."""
        event.stop()
        for place in self.query("LineInput, Prompt"):
            if isinstance(place, LineInput) and place.focusable:
                place.focus()
                place.paste(event.text)
                return
            if isinstance(place, Prompt) and place.focusable:
                place.focus()
                await place.paste(event.text)
                return
        self.notify(tr("There is nowhere to paste text here."), markup=False)

    def give_way(self, widget: Widget, *action_ids: str) -> None:
        """Take the keys of these actions, and of closing, away from a widget that would use them for editing."""
        for action_id in ("dialog_close", *action_ids):
            for key in self.keymap.get(action_id, ()):
                widget._bindings.key_to_bindings.pop(key, None)


class ListDialog(Dialog[R], Generic[R]):
    """A dialog with one `RowList` and a line to type in that filters it. The line keeps the focus, so that typing and
    moving in the list need no switching."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move_page(-1)", "Page up", show=False),
        Binding("pagedown", "move_page(1)", "Page down", show=False),
        Binding("ctrl+home", "move(-1000000)", "First", show=False),
        Binding("ctrl+end", "move(1000000)", "Last", show=False),
    ]
    AUTO_FOCUS = "#filter"

    @property
    def rows(self) -> RowList[Any]:
        """The list."""
        return self.query_one(RowList)

    @property
    def words(self) -> list[str]:
        """What was typed, in small letters; an entry is shown when it has all of them, in any order."""
        return self.query_one("#filter", Input).value.casefold().split()

    def filter_line(self, placeholder: str, *action_ids: str) -> ComposeResult:
        """The line to type in, with room for a count at its right. It leaves the keys of `action_ids` to the dialog."""
        line = LineInput(placeholder=placeholder, compact=True, id="filter", select_on_focus=False)
        self.give_way(line, *action_ids)
        with Horizontal(id="filter-line"):
            yield Static("❯", id="filter-mark", markup=False)
            yield line
            yield Static("", id="count", markup=False)

    def show_count(self, count: str, note: str = "") -> None:
        """Such as "12 of 200 models" at the right of the filter, after the note."""
        self.query_one("#count", Static).update(f"{note}  {count}".strip())

    def action_move(self, by: int) -> None:
        """Move in the list."""
        self.rows.move(by)

    def action_move_page(self, by: int) -> None:
        """Move by what is seen at once."""
        self.rows.move(by * self.rows.page)


def matches(words: Iterable[str], text: str) -> bool:
    """Whether `text`, which is in small letters, has all the words."""
    return all(word in text for word in words)
