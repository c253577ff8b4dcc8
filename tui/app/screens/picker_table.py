"""The picker's table: its columns, which give way in narrow terminals, and in which order they put the models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from tui.app.moments import when
from tui.app.verdict_marks import MARKS, STYLES
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import column
from tui.app.widgets.table_columns import GAP, TableColumn, title_cell
from tui.base import format
from tui.measure import forecast_words
from tui.measure.forecast import Forecast, Range
from tui.models.library import LibraryModel
from tui.planning.guardrail import LoadPermission
from tui.words import mark

_MIN_NAME, _GOOD_NAME = 18, 20
"""Cells that a name keeps beside what one chooses by, and beside the rest."""
_WITH_BOTH_SIGNS = 50
"""Cells of a row from which on a model that is loaded and a favourite has both signs."""
LOADED, FAVOURITE = "✓", "★"

Order = str | float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the picker knows of a model besides its header."""

    permission: LoadPermission | None = None
    """None until it is found out."""
    speed: Forecast | None = None
    used: float = 0.0
    """When a conversation was last held with it, in seconds since 1970; 0 for never."""
    is_current: bool = False
    """It is loaded."""
    is_favourite: bool = False

    @property
    def decode_tps(self) -> Range | None:
        """Tokens per second that it writes here, as far as there is any telling."""
        return self.speed.decode_tps if self.speed else None


class Sort(msgspec.Struct, frozen=True, kw_only=True):
    """By which column, and whether against the order that one looks for in it first."""

    key: str = "name"
    is_reversed: bool = False

    @property
    def is_descending(self) -> bool:
        """The greatest comes first."""
        return (self.key in _GREATEST_FIRST) != self.is_reversed

    @property
    def written(self) -> str:
        """As it is remembered: the key, and "-" before it when it is reversed."""
        return f"{'-' * self.is_reversed}{self.key}"

    @classmethod
    def read(cls, written: str) -> Sort:
        """As it was remembered; by name when that cannot be."""
        key = written.removeprefix("-")
        return cls(key=key, is_reversed=written != key) if key in SORT_KEYS else cls()


_COLUMNS = (
    TableColumn(key="params", title=mark("PARAMS"), cells=12, worth=2),
    TableColumn(key="quant", title=mark("QUANT"), cells=7, worth=4, right=False),
    TableColumn(key="size", title=mark("SIZE"), cells=9, worth=6),
    TableColumn(key="needs", title=mark("NEEDS"), cells=11, worth=5),
    TableColumn(key="speed", title=mark("SPEED"), cells=12, worth=3),
    TableColumn(key="used", title=mark("USED"), cells=10, worth=1, right=False),
)
SORT_KEYS = ("name", *(one.key for one in _COLUMNS))
_GREATEST_FIRST = ("params", "size", "speed", "used")
JUDGED = ("needs", "speed")
"""Columns that are known only of what was judged."""


class TableColumns:
    """Which columns a row of `width` cells has room for. The name gets what is left, and the mark that says whether it
    fits is always there. A column that nothing is known for, of those in `empty`, is left out."""

    def __init__(self, width: int, sort: Sort = Sort(), *, empty: frozenset[str] = frozenset()) -> None:  # noqa: B008
        self._sort = sort
        self.n_signs = 3 if width >= _WITH_BOTH_SIGNS else 2
        self.n_name = width - self.n_signs - GAP - 1
        shown = set()
        for one in sorted(_COLUMNS, key=lambda one: -one.worth):
            # The mark has its place already.
            cells = one.cells - 1 if one.key == "needs" else one.cells + GAP
            # What one does not choose by goes also where names would be short.
            least = _MIN_NAME if one.worth >= 3 else _GOOD_NAME
            if one.key not in empty and self.n_name - cells >= least:
                shown.add(one.key)
                self.n_name -= cells
        self._shown = [
            one if one.key in shown else msgspec.structs.replace(one, title="", cells=1)
            for one in _COLUMNS
            if one.key in shown or one.key == "needs"
        ]

    @property
    def header(self) -> Row:
        """The titles, and an arrow at that of the column that the table is sorted by."""
        row = [(" " * self.n_signs, ""), self._head("name", mark("NAME"), self.n_name)]
        for one in self._shown:
            row += [(" " * GAP, ""), self._head(one.key, one.title, one.cells, right=one.right)]
        return tuple(row)

    def _head(self, key: str, title: str, cells: int, *, right: bool = False) -> tuple[str, str]:
        arrow = "↓" if self._sort.is_descending else "↑"
        return title_cell(title, cells, right=right, arrow=arrow if key == self._sort.key and title else "")

    def at(self, x: int) -> str | None:
        """Key of the column at a cell of the row."""
        end = self.n_signs + self.n_name
        if x < end:
            return "name"
        for one in self._shown:
            end += GAP + one.cells
            if x < end:
                return one.key
        return None

    def row(self, model: LibraryModel, facts: Facts, now: datetime) -> Row:
        """One model: its signs, its name, its figures."""
        signs = LOADED * facts.is_current + FAVOURITE * facts.is_favourite
        row = [
            (column(signs[: self.n_signs - 1], self.n_signs), "key"),
            (column(model.info.name, self.n_name), "strong" if facts.is_current else ""),
        ]
        for one in self._shown:
            text, style = _cell(one.key, model, facts, now, is_short=one.cells == 1)
            row += [(" " * GAP, ""), (column(text, one.cells, right=one.right), style)]
        return tuple(row)


def _cell(key: str, model: LibraryModel, facts: Facts, now: datetime, *, is_short: bool) -> tuple[str, str]:
    """Text and style."""
    info, permission = model.info, facts.permission
    match key:
        case "params":
            return info.params_label, "muted"
        case "quant":
            return info.quant, "muted"
        case "size":
            return format.size(info.size_bytes), "muted"
        case "needs":
            if permission is None:
                return "…", "muted"
            sign = MARKS[permission.fit]
            needed = format.size(permission.outcome.plan.total_bytes)
            return sign if is_short else f"{sign}{needed:>10}", STYLES[permission.fit]
        case "speed" if (found := facts.decode_tps) is not None:
            return forecast_words.short(found), "strong" if found.basis == "own" else "muted"
        case "used" if facts.used:
            return when(facts.used, now), "muted"
        case _:
            return "", ""


def in_order(
    models: Sequence[LibraryModel], facts_of: Callable[[LibraryModel], Facts], sort: Sort
) -> list[LibraryModel]:
    """Favourites first; what the column is not known of comes last, whichever way it is sorted."""
    known: list[tuple[Order, LibraryModel]] = []
    unknown: list[LibraryModel] = []
    facts = {model.path: facts_of(model) for model in models}
    for model in models:
        value = _order(sort.key, model, facts[model.path])
        if value is None:
            unknown.append(model)
        else:
            known.append((value, model))
    known.sort(key=lambda one: one[0], reverse=sort.is_descending)
    found = [*(model for _, model in known), *unknown]
    return sorted(found, key=lambda model: not facts[model.path].is_favourite)


def _order(key: str, model: LibraryModel, facts: Facts) -> Order | None:
    """What a column is sorted by."""
    info = model.info
    match key:
        case "name":
            return info.name.casefold()
        case "params":
            return info.n_params
        case "quant":
            return info.quant
        case "size":
            return info.size_bytes
        case "needs":
            return facts.permission.outcome.plan.total_bytes if facts.permission else None
        case "speed":
            return facts.decode_tps.tps if facts.decode_tps else None
        case _:
            return facts.used or None
