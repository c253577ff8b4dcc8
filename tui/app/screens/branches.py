"""All branches of a conversation at a glance: its messages as a tree, of which one is chosen to go to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.branch_rows import BranchRow, branch_rows
from tui.app.markdown.text import width_of
from tui.app.moments import when
from tui.app.screens.dialog import ListDialog, matches
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.base import format
from tui.base.text import clean
from tui.chat.store import Node
from tui.words import tr, trn

_SHOWN, _HIDDEN = "● ", "○ "
_TIME, _SPEED, _MODEL = 12, 12, 16
"""Columns, the blanks before them included."""
_LEAST_WORDS = 24
"""Cells of the words, below which a column at the right is left out."""


class BranchesScreen(ListDialog[str]):
    """Gives the id of the message to go to, or None. `current` is highlighted at first, else the last that is shown."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "branches.tcss"]  # type: ignore[assignment]

    def __init__(self, nodes: Sequence[Node], keymap: Keymap, *, current: str = "") -> None:
        super().__init__(keymap, "list", title=tr("Branches"))
        self._rows = branch_rows(nodes)
        self._current, self._now = current, datetime.now()
        self._has_models = len({node.model for node in nodes if node.model}) > 1

    def compose_body(self) -> ComposeResult:
        """Line to type in, and the tree."""
        yield from self.filter_line(tr("Filter by words, model"), "list_choose")
        yield RowList[BranchRow](self._paint, choose_at_once=True)

    def on_mount(self) -> None:
        """Show all of it."""
        self._show(self._current)

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._show(self.rows.item.id if self.rows.item is not None else self._current)

    def _show(self, current: str) -> None:
        words = self.words
        rows = [row for row in self._rows if matches(words, f"{row.node.words} {row.node.model}".casefold())]
        last = next((row for row in reversed(rows) if not row.node.place.left_at), None)
        self.rows.show(rows, next((row for row in rows if row.id == current), last))
        total = trn("{n} message", "{n} messages", len(self._rows))
        found = tr("{n} of {total}", n=f"{len(rows):,}", total=total)
        self.show_count(found if len(rows) < len(self._rows) else total)

    def _paint(self, row: BranchRow, width: int) -> Row:
        node = row.node
        is_shown = not node.place.left_at
        speed = f"{format.speed(node.decode_tps)} tok/s" if node.decode_tps else ""
        before = row.lines[: max(0, width - _LEAST_WORDS)] if not self.words else ""
        free = width - width_of(before) - len(_SHOWN)
        columns = [(when(node.created_at, self._now), _TIME)]
        columns += [(speed, _SPEED)]
        columns += [(clean(node.model), _MODEL)] if self._has_models else []
        right: list[tuple[str, str]] = []
        for text, n in columns:
            if free - n < _LEAST_WORDS:
                break
            right.insert(0, (f"  {column(text, n - 2)}", "muted"))
            free -= n
        said = clean(node.words) or tr("(no words)")
        words = said if node.is_answer else tr("You: {words}", words=said)
        return (
            (before, "muted"),
            (_SHOWN if is_shown else _HIDDEN, "key" if is_shown else "muted"),
            (column(words, max(1, free)), "" if is_shown else "muted"),
            *right,
        )

    @on(RowList.Chosen)
    def action_list_choose(self) -> None:
        """Go to the highlighted one."""
        if (row := self.rows.item) is not None:
            self.dismiss(row.id)
