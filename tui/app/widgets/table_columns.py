"""What tables of models have in common: columns that give way where a terminal is narrow, and their titles."""

from __future__ import annotations

import msgspec

from tui.app.markdown.text import Run
from tui.app.widgets.row_list import column
from tui.words import tr

GAP = 2
"""Cells between two columns."""


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column beside the name, which gets what the others leave."""

    key: str
    title: str
    """Shown through `tr`."""
    cells: int
    worth: int
    """Where there is no room for all, the least goes first."""
    right: bool = True
    """Its texts end at its right."""


def title_cell(title: str, cells: int, *, right: bool, arrow: str = "") -> Run:
    """The title of a column; with an arrow it is the one that the table is sorted by."""
    if not arrow:
        return column(tr(title) if title else "", cells, right=right), "muted"
    return column(f"{tr(title)} {arrow}", cells, right=right), "strong"
