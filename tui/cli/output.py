"""How the commands print: a headline, tables that give way in a narrow terminal, JSON. Results go to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import msgspec

from tui.base.columns import table, widths
from tui.base.stdout import put
from tui.base.terminal_style import Line, Piece, columns, page, plain, takes_colours
from tui.words import tr

_GAP = "  "


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table: what stands over it and what is in it, a cell for each row."""

    title: str
    """For `tr`."""
    cells: Sequence[Piece]
    right: bool = False
    worth: int = 9
    """In a terminal that is too narrow the least goes first; 9 never."""


def put_json(value: object) -> None:
    """A result for a program."""
    put(json.dumps(value, indent=2, ensure_ascii=False))


def put_lines(lines: Sequence[Line]) -> None:
    """A result for a person."""
    put(page(lines, colours=takes_colours(sys.stdout)))


def laid_out(all_columns: Sequence[Column]) -> list[list[Piece]]:
    """A table with a row of titles. What is empty in all rows is left out, and on a terminal what there is no room for;
    a pipe gets everything."""
    kept = [one for one in all_columns if any(map(plain, one.cells))]
    if sys.stdout.isatty():
        while len(kept) > 1 and _width(kept) > columns() and (least := min(kept, key=lambda one: one.worth)).worth < 9:
            kept.remove(least)
    rows = list(zip(*([tr(one.title), *one.cells] for one in kept), strict=True))
    return table(rows, "".join(">" if one.right else "<" for one in kept), _GAP)


def _width(kept: Sequence[Column]) -> int:
    wide = (widths([(text,) for text in (tr(one.title), *map(plain, one.cells))])[0] for one in kept)
    return sum(wide) + len(_GAP) * (len(kept) - 1)
