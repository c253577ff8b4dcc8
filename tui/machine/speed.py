"""The history of decode speed, and drawing any history as a graph of braille characters."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import isfinite

_SILENT_S = 1.0
"""Text comes several times a second, or with each token where these are slower."""
_UNTOLD = 3
"""Tokens that show no text yet: a Chinese character, or an emoji, can take so many."""
_BLANK = 0x2800
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
"""Dots of a cell's left column, filled from below to a height of 0 to 4."""
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


class SpeedHistory:
    """The newest samples of decode speed in tokens per second, one a second; 0 while nothing is decoded."""

    def __init__(self, capacity: int = 240) -> None:
        self._samples: deque[float] = deque(maxlen=capacity)

    def add(self, decode_tps: float) -> None:
        """Append the speed of the second that just passed; the oldest sample goes when the ring is full."""
        self._samples.append(decode_tps)

    def clear(self) -> None:
        self._samples.clear()

    @property
    def values(self) -> tuple[float, ...]:
        """Oldest first."""
        return tuple(self._samples)

    @property
    def latest(self) -> float:
        """Tokens per second of the last sample; 0 before the first."""
        return self._samples[-1] if self._samples else 0.0

    @property
    def peak(self) -> float:
        """The highest sample kept; 0 before the first."""
        return max(self._samples, default=0.0)


def after_silence(tps: float, silent_s: float) -> float:
    """Tokens per second of an answer that nothing came of for `silent_s`, when it was last told to be `tps` fast: while
    a machine swaps, or its GPU hangs, no more than `_UNTOLD` tokens can have been computed meanwhile."""
    return min(tps, _UNTOLD / silent_s) if silent_s > _SILENT_S else tps


def braille_graph(values: Sequence[float], width: int, height: int, maximum: float | None = None) -> list[str]:
    """Draw `values` as bars, the newest at the right: `height` rows, the top one first, of `width` braille characters.

    A character is two samples wide and four dots high. A bar of full height is `maximum`, or the highest value drawn;
    larger values are cut to it. Any value above zero shows at least one dot; zero, negative and non-finite ones none.
    """
    n_columns, n_dots = 2 * width, 4 * height
    drawn = [value if isfinite(value) and value > 0 else 0.0 for value in values[-n_columns:]] if n_columns else []
    top = max(drawn, default=0.0) if maximum is None else maximum
    bars = [_dots(value, top, n_dots) for value in drawn]
    bars = [0] * (n_columns - len(bars)) + bars
    rows = []
    for row in range(height):
        floor = n_dots - 4 * (row + 1)
        cells = (
            _BLANK + _LEFT[min(4, max(0, left - floor))] + _RIGHT[min(4, max(0, right - floor))]
            for left, right in zip(bars[::2], bars[1::2], strict=True)
        )
        rows.append("".join(map(chr, cells)))
    return rows


def _dots(value: float, top: float, n_dots: int) -> int:
    if value <= 0:
        return 0
    return n_dots if value >= top else max(1, round(value / top * n_dots))
