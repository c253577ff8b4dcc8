"""Tables and paragraphs of plain text, measured in terminal cells: a Chinese character takes two."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tui.base.terminal_style import Piece, Tone, Toned, plain
from tui.base.text import cells

_PIECE = re.compile(r" +|[^ \u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+|.")
"""Where a line may be broken: at spaces, and around characters of a script that has none."""
_NEVER_FIRST = "，。：；、？！）》”’…,.:;?!)"


def padded(rows: Sequence[tuple[str, ...]], sides: str, gap: str) -> list[str]:
    """Rows with every column as wide as its widest cell, `sides` saying where each is aligned: "<" or ">"."""
    columns_wide = widths(rows)
    return [
        gap.join(pad(cell, wide, side) for cell, wide, side in zip(row, columns_wide, sides, strict=True))
        for row in rows
    ]


def table(rows: Sequence[Sequence[Piece]], sides: str, gap: str = "   ", *, head: Tone = "quiet") -> list[list[Piece]]:
    """As `padded`, of cells that may have a tone; `head` is that of the first row."""
    columns_wide = widths([tuple(map(plain, row)) for row in rows])
    lines: list[list[Piece]] = []
    for row in rows:
        line: list[Piece] = []
        for cell, wide, side in zip(row, columns_wide, sides, strict=True):
            text = plain(cell)
            tone = head if row is rows[0] else cell.tone if isinstance(cell, Toned) else None
            line += [*([gap] if line else []), *_padded(Toned(text, tone) if tone else text, wide - cells(text), side)]
        lines.append(line)
    return lines


def _padded(piece: Piece, n: int, side: str) -> tuple[Piece, Piece]:
    return (" " * n, piece) if side == ">" else (piece, " " * n)


def widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    """Cells of the widest entry of each column."""
    return [max(map(cells, column)) for column in zip(*rows, strict=True)]


def pad(text: str, wide: int, side: str = "<") -> str:
    """`text` filled up with spaces to so many cells, at the left ("<") or the right (">") of them."""
    space = " " * (wide - cells(text))
    return space + text if side == ">" else text + space


def wrap(text: str, wide: int, *, first: str = "", rest: str = "") -> list[str]:
    """`text`, which is one line, in lines of at most `wide` cells: `first` stands before the first of them, `rest`
    before the others. Words are never cut, so that commands can be copied, and no line begins with a full stop."""
    lines, line, is_empty = [], first, True
    for piece in _PIECE.findall(text):
        room = wide - cells(line)
        if not (is_empty or piece.isspace()) and cells(piece) > room and piece[0] not in _NEVER_FIRST:
            lines.append(line.rstrip())
            line, is_empty = rest, True
        if not (is_empty and piece.isspace()):
            line, is_empty = line + piece, False
    return [*lines, line.rstrip()] if not is_empty else lines
