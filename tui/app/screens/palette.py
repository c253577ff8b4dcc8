"""The command palette: every action that can be done now, one line each, those that were run last first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.fuzzy import Matcher
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.markdown.text import width_of
from tui.app.screens.dialog import ListDialog
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.config.action import Action
from tui.config.actions import ACTIONS, BY_ID
from tui.config.keymap import display_keys
from tui.words import mark, tr, trn

N_RECENT = 5
"""Actions that are remembered as run last."""
_MOST_TITLE = 24
_BY_DESCRIPTION = 0.7
"""What a match of the description is worth beside one of the title."""


def with_newest(recent: Sequence[str], action_id: str) -> tuple[str, ...]:
    """The actions that were run last, the newest first, after one more was run."""
    return (action_id, *(one for one in recent if one != action_id))[:N_RECENT]


class PaletteScreen(ListDialog[str]):
    """Gives the id of the action to run, or None. `is_live` says whether an action can be done where the palette was
    opened; `recent` has the ids of those that were run last, the newest first."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "palette.tcss"]  # type: ignore[assignment]

    def __init__(
        self, keymap: Keymap, *, recent: Sequence[str] = (), is_live: Callable[[Action], bool] = lambda _: True
    ) -> None:
        super().__init__(keymap, "list", title=tr("Actions"))
        self.key_titles = {"list_choose": mark("Run")}
        live = [action for action in ACTIONS if action.palette and is_live(action)]
        newest = [BY_ID[one] for one in recent if one in BY_ID and BY_ID[one] in live]
        self._actions = [*newest, *(action for action in live if action not in newest)]
        self._recent = frozenset(newest)
        self._n_title = min(_MOST_TITLE, max((width_of(tr(action.title)) for action in live), default=0))

    def compose_body(self) -> ComposeResult:
        """What is looked for, and the actions."""
        yield from self.filter_line(tr("Find an action…"), "list_choose")
        yield RowList[Action](self._paint, choose_at_once=True)

    def on_mount(self) -> None:
        """Show all."""
        self._refilter()

    @on(Input.Changed, "#filter")
    def _refilter(self) -> None:
        """The best match first; without anything typed, those that were run last."""
        query = self.query_one("#filter", Input).value.strip()
        found = self._actions
        if query:
            matcher = Matcher(query)
            scores = {action: _score(matcher, action) for action in self._actions}
            found = sorted((one for one in found if scores[one] > 0), key=lambda one: -scores[one])
        self.rows.show(found, hint=tr("No action matches."))
        self.show_count(trn("{n} action", "{n} actions", len(found)))

    def _paint(self, action: Action, width: int) -> Row:
        """Title, description as far as there is room, and the key at the right end."""
        keys = display_keys(self.keymap.get(action.id, ()), limit=1)
        n_keys = width_of(keys)
        n_title = min(self._n_title, width - n_keys - 1)
        n_rest = width - n_title - n_keys - 3
        title = (column(tr(action.title), n_title), "strong" if action in self._recent else "")
        told = column(tr(action.description), n_rest) if n_rest >= 12 else " " * max(0, n_rest)
        return (title, ("  ", ""), (told, "muted"), (" ", ""), (keys, "key"))

    @on(RowList.Chosen)
    def action_list_choose(self) -> None:
        """Run the highlighted one."""
        action: Action | None = self.rows.item
        if action is not None:
            self.dismiss(action.id)


def _score(matcher: Matcher, action: Action) -> float:
    """By its English name too, which may be easier to type."""
    title = max(matcher.match(tr(action.title)), matcher.match(action.title))
    return max(title, matcher.match(tr(action.description)) * _BY_DESCRIPTION)
