"""Emoji that are sequences, on terminals that do not agree how wide they are.

A warning sign with a variation selector, a keycap, a family joined of three people, a flag: some terminals give each
two cells, others add up the parts, and all that stands to the right of it in the row moves. So behind each of them the
cursor is put where we count on it being.
"""

from __future__ import annotations

import re

from wcwidth import wcwidth

from tui.app.markdown.text import width_of

PARTS = "\u200d\u20e3\ufe00-\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
"""Joiner, keycap, variation selectors, letters of flags, tones of skin, tags: a set of characters for patterns."""
UNSURE = re.compile(f"[{PARTS}]")
_SEQUENCE = re.compile(
    "[\U0001f1e6-\U0001f1ff]{1,2}"
    "|[^\x00-\x1f\x7f\u200d](?:[\u20e3\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d[^\x00-\x1f\x7f]?)+"
)
_MOVE = re.compile(r"(\x1b\[\d+;\d+H)")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))|[\x00-\x1f]")


def placed(frame: str) -> str:
    """A frame, in which each row begins with a move of the cursor, with moves behind all that terminals measure
    differently. What would go beyond the part of the row that the frame paints, on a terminal that adds up the parts,
    is shown as its first part."""
    if frame.isascii() or UNSURE.search(frame) is None:
        return frame
    pieces = _MOVE.split(frame)
    for index in range(2, len(pieces), 2):
        if UNSURE.search(pieces[index]):
            pieces[index] = _place(pieces[index], int(pieces[index - 1][2:-1].partition(";")[2]))
    return "".join(pieces)


def _place(row: str, column: int) -> str:
    """A piece of a row that begins at a column, counted from 1."""
    end = column + width_of(_ESCAPE.sub("", row))
    out: list[str] = []
    done = 0
    for match in _SEQUENCE.finditer(row):
        text = match.group()
        before = row[done : match.start()]
        column += width_of(_ESCAPE.sub("", before))
        done = match.end()
        out.append(before)
        cells = width_of(text)
        if column + _most_cells(text) > end:
            text = text[0] if width_of(text[0]) <= cells else ""
        # Blanks first: a terminal that takes fewer cells would leave in the others what was there before.
        out.append(f"{' ' * cells}\x1b[{column}G{text}\x1b[{column + cells}G")
        column += cells
    return "".join([*out, row[done:]])


def _most_cells(text: str) -> int:
    """The cells that a terminal may give to a sequence: none counts any part as more than two."""
    return max(2, sum(2 if "\U0001f1e6" <= char <= "\U0001f1ff" else max(0, wcwidth(char)) for char in text))
