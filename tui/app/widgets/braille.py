"""Any history as a graph of braille characters."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

_BLANK = 0x2800
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
"""Dots of a cell's left column, filled from below to a height of 0 to 4."""
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_CELLS = tuple(tuple(chr(_BLANK + left + right) for right in _RIGHT) for left in _LEFT)
"""By the heights of both columns."""


def braille_graph(values: Sequence[float], width: int, height: int, maximum: float | None = None) -> list[str]:
    """Draw `values` as bars, the newest at the right: `height` rows, the top one first, of `width` braille characters.

    A character is two samples wide and four dots high. A bar of full height is `maximum`, or the highest value drawn;
    larger values are cut to it. Any value above zero shows at least one dot; zero, negative and non-finite ones none.
    """
    n_columns, n_dots = 2 * width, 4 * height
    drawn = [value if isfinite(value) and value > 0 else 0.0 for value in values[-n_columns:]] if n_columns else []
    if not any(drawn):
        return [chr(_BLANK) * width] * height
    top = max(drawn) if maximum is None else maximum
    bars = [_dots(value, top, n_dots) for value in drawn]
    bars = [0] * (n_columns - len(bars)) + bars
    rows = []
    for row in range(height):
        floor = n_dots - 4 * (row + 1)
        heights = [min(4, max(0, dots - floor)) for dots in range(n_dots + 1)]
        pairs = zip(bars[::2], bars[1::2], strict=True)
        rows.append("".join([_CELLS[heights[left]][heights[right]] for left, right in pairs]))
    return rows


def _dots(value: float, top: float, n_dots: int) -> int:
    if value <= 0:
        return 0
    return n_dots if value >= top else max(1, round(value / top * n_dots))
