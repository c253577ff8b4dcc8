"""Text as a terminal sees it: widths, folding and line breaking in cells.

Widths are those of `rich.cells`, the same that Textual's compositor uses, so that no row is ever wider than planned.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rich.cells import cell_len, split_graphemes

Run = tuple[str, str]
"""Text and the name of its style; a name may join several with "+", the empty one is plain text."""


_LINK = "link:"
_PLUS = "\t"
"""For the "+" of an address, which would end the part; an address has no tabs."""
_MAX_URL = 2000
_SCHEMES = ("http://", "https://", "mailto:")


def link_part(url: str) -> str:
    """The part of a style's name that makes text lead to an address where the terminal can; "" for an address that
    is none of the web, or that could be taken for more than an address."""
    if not url.lower().startswith(_SCHEMES) or len(url) > _MAX_URL or not url.isascii() or not url.isprintable():
        return ""
    return f"{_LINK}{url.replace('+', _PLUS)}"


def link_of(part: str) -> str:
    """The address of such a part; "" for any other part of a style's name."""
    return part.removeprefix(_LINK).replace(_PLUS, "+") if part.startswith(_LINK) else ""


class Line(NamedTuple):
    """One row on the screen, no wider than the width that it was rendered for."""

    runs: tuple[Run, ...] = ()
    fill: str = ""
    """Style of the row to its end, under the runs as well; "" is the background."""
    lead: int = 0
    """Characters at the start that are decoration (indent, bullet, bar) and repeat on rows that go on."""
    joint: str | None = None
    """Not None when the row continues the one above: what wrapping swallowed between them, "" or a space."""
    action: str = ""
    """What a click at the end of the row does: "copy" or "thinking"; "" is nothing."""

    @property
    def text(self) -> str:
        """The characters of the row, decoration included."""
        return "".join(text for text, _ in self.runs)


BLANK = Line()


def width_of(text: str) -> int:
    """Cells that the text takes."""
    return len(text) if text.isascii() else cell_len(text)


# Characters that take a line break on either side, as in Chinese and Japanese.
_CJK = (
    "\u2e80-\u312f\u31a0-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003ffff"
)
# What may not start a row: closing punctuation, small kana, and marks that belong to the character before.
_CLOSE = (
    "、。，．・：；？！）］｝〕〉》」』】〙〗〟”’…‥～ー々ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
    ",.!?:;)\\]}%°\u3099\u309a\ufe00-\ufe0f\u200d\u0300-\u036f"
)
_OPEN = "（［｛〔〈《「『【〘〖〝“‘(\\[{"
_ATOM = re.compile(f"(?:[{_OPEN}]*(?:[{_CJK}]|[^ {_CJK}]+)|[{_OPEN}]+)[{_CLOSE}]* *|[{_CLOSE}]+ *| +")

_BEFORE_ATOM = re.compile(f" |[^{_OPEN}](?=[{_CJK}])(?![{_CLOSE}])")
"""A character behind which an atom starts for sure."""


def fold(text: str, width: int) -> list[tuple[int, int]]:
    """Offsets of the pieces when the text is cut wherever a row is full; at least one piece."""
    if text.isascii():
        return [(start, min(start + width, len(text))) for start in range(0, len(text), width)] or [(0, 0)]
    pieces: list[tuple[int, int]] = []
    start = column = 0
    for first, _, cells in split_graphemes(text)[0]:
        if column + cells > width and first > start:
            pieces.append((start, first))
            start, column = first, 0
        column += cells
    pieces.append((start, len(text)))
    return pieces


def wrap(text: str, width: int) -> list[tuple[int, int]]:
    """Offsets of the rows of one line of text, broken at spaces and between CJK characters; longer words are folded.

    Spaces at the end of a row belong to none. Greedy, so more text at the end changes the last row only.
    """
    if text.isascii() and len(text) <= width:
        return [(0, len(text.rstrip(" ")))]
    rows: list[tuple[int, int]] = []
    start = end = column = 0
    for match in _ATOM.finditer(text):
        atom = match.group()
        word = atom.rstrip(" ")
        first, last = match.start(), match.start() + len(word)
        cells = width_of(word)
        if word and column + cells > width:
            if column:
                rows.append((start, end))
                start, column = first, 0
            if cells > width:
                pieces = fold(word, width)
                rows += [(first + a, first + b) for a, b in pieces[:-1]]
                start = first + pieces[-1][0]
                cells = width_of(text[start:last])
        if word:
            end = last
        column += cells + len(atom) - len(word)
    rows.append((start, max(start, end)))
    return rows


class GrowingText:
    """`wrap` for a line of text that is being written: while it only grows, the rows before the last are kept."""

    def __init__(self) -> None:
        self._text, self._width = "", 0
        self._rows: list[tuple[int, int]] = []

    def wrap(self, text: str, width: int) -> list[tuple[int, int]]:
        """What `wrap` gives."""
        if width == self._width and text.startswith(self._text):
            kept = len(self._rows) - 1
            # A row that starts within a word, which was too long for one, cannot be broken without what is before it.
            while kept > 0 and not _BEFORE_ATOM.match(text, self._rows[kept][0] - 1):
                kept -= 1
        else:
            kept = 0
        if kept > 0:
            start = self._rows[kept][0]
            rows = [*self._rows[:kept], *((start + first, start + end) for first, end in wrap(text[start:], width))]
        else:
            rows = wrap(text, width)
        self._text, self._width, self._rows = text, width, rows
        return rows


def slice_runs(runs: list[Run], ranges: list[tuple[int, int]]) -> list[list[Run]]:
    """The runs cut into one list for each range of characters; ranges ascend and do not overlap."""
    result: list[list[Run]] = []
    index = offset = 0
    for start, end in ranges:
        row: list[Run] = []
        while index < len(runs):
            text, style = runs[index]
            stop = offset + len(text)
            if stop > start:
                piece = text[max(0, start - offset) : end - offset]
                if piece:
                    row.append((piece, style))
            if stop > end:
                break
            offset = stop
            index += 1
        result.append(row)
    return result


def wrap_runs(
    runs: list[Run], width: int, *, folded: bool = False, growing: GrowingText | None = None
) -> list[tuple[list[Run], str | None]]:
    """Rows of styled text with hard breaks at newlines. Each row comes with its `Line.joint`.

    `folded` cuts at the width alone, as code wants it, instead of between words. `growing` remembers the rows of a text
    that is still being written.
    """
    text = "".join(text for text, _ in runs)
    ranges: list[tuple[int, int]] = []
    joints: list[str | None] = []
    base = 0
    parts = text.split("\n")
    for index, part in enumerate(parts):
        break_up = growing.wrap if growing is not None and index == len(parts) - 1 else wrap
        rows = fold(part, width) if folded else break_up(part, width)
        for number, (start, end) in enumerate(rows):
            joints.append(None if number == 0 else " " if start > rows[number - 1][1] else "")
            ranges.append((base + start, base + end))
        base += len(part) + 1
    return list(zip(slice_runs(runs, ranges), joints, strict=True))
