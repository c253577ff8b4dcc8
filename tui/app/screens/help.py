"""The help screen: every action with its keys, from the same table as keymap, footer and palette."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.markdown.text import width_of
from tui.app.screens.dialog import ListDialog, matches
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.app.widgets.wrapped import Wrapped
from tui.config.action import Action
from tui.config.actions import ACTIONS
from tui.config.keymap import display_keys
from tui.words import tr, trn

_MOST_KEYS = 24
"""Cells. Of more keys those are shown that fit whole."""
_LEAST_DESCRIPTION = 16
"""Cells; with fewer it is left out: the sentence below the list has it."""
Entry = Action | str
"""An action, or the heading of a group."""


class HelpScreen(ListDialog[None]):
    """All keys; what is typed finds actions by key, title and description."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "help.tcss"]  # type: ignore[assignment]

    def __init__(self, keymap: Keymap) -> None:
        super().__init__(keymap, title=tr("Keys"))
        self._found = [
            (f"{tr(action.group)} {self._keys_of(action)} {_words(action)}".casefold(), action) for action in ACTIONS
        ]
        self._n_keys = min(_MOST_KEYS, max(width_of(self._keys_of(action)) for action in ACTIONS))
        self._n_title = max(width_of(tr(action.title)) for action in ACTIONS)

    def compose_body(self) -> ComposeResult:
        """Filter, list, the whole sentence about the highlighted action."""
        yield from self.filter_line(tr("Find a key or what it does"))
        yield RowList[Entry](self._paint, is_heading=lambda entry: isinstance(entry, str))
        yield Static("", id="sentence", markup=False)

    def on_mount(self) -> None:
        """Show everything."""
        self._refilter()

    @on(Input.Changed, "#filter")
    def _refilter(self) -> None:
        words = self.words
        found = [action for text, action in self._found if matches(words, text)]
        # The table has some groups in two places, as their actions have two scopes.
        order = list(dict.fromkeys(action.group for action in ACTIONS))
        found.sort(key=lambda action: order.index(action.group))
        entries: list[Entry] = []
        for group, actions in groupby(found, key=lambda action: action.group):
            entries += [group, *actions]
        self.rows.show(entries, hint=tr("No action matches."))
        self.show_count(_count(len(found), len(ACTIONS)))

    def _keys_of(self, action: Action, width: int | None = None) -> str:
        """All its keys; with a `width` those that fit whole, the first one at least."""
        keys = self.keymap.get(action.id, ())
        while width is not None and len(keys) > 1 and width_of(display_keys(keys)) > width:
            keys = keys[:-1]
        return display_keys(keys)

    def _paint(self, entry: Entry, width: int) -> Row:
        if isinstance(entry, str):
            return ((tr(entry), "title"),)
        n_keys = min(self._n_keys, width // 2)
        n_title = min(self._n_title, width - n_keys - 2)
        keys = self._keys_of(entry, n_keys)
        row: Row = (
            (column(keys or tr("palette"), n_keys), "key" if keys else "muted"),
            ("  ", ""),
            (column(tr(entry.title), n_title), ""),
        )
        free = width - n_keys - n_title - 4
        return row if free < _LEAST_DESCRIPTION else (*row, ("  ", ""), (column(tr(entry.description), free), "muted"))

    @on(RowList.Highlighted)
    def _tell(self, event: RowList.Highlighted) -> None:
        action = event.item
        sentence = Content("")
        if isinstance(action, Action):
            line = f'{action.id} = "{_first(self.keymap, action)}"'
            how = Content.styled(tr("In settings.toml, [keys]: {line}", line=line), "$foreground-muted")
            sentence = Content.assemble(tr(action.description), "\n", how)
        self.query_one("#sentence", Static).update(Wrapped(sentence))


def _words(action: Action) -> str:
    return f"{tr(action.title)} {tr(action.description)} {action.id}"


def _count(n_shown: int, n_all: int) -> str:
    if n_shown == n_all:
        return trn("{n} action", "{n} actions", n_all)
    return trn("{n_shown} of {n} action", "{n_shown} of {n} actions", n_all, n_shown=f"{n_shown:,}")


def _first(keymap: Keymap, action: Action) -> str:
    return next(iter(keymap.get(action.id, ())), "")
