"""One line on a terminal that says how far a benchmark is; nothing at all where there is no terminal."""

from __future__ import annotations

from typing import TextIO

from tui.base import format
from tui.base.text import cells, fit_columns
from tui.bench.render import for_encoding
from tui.measure.runner import Progress
from tui.words import tr

_WIDTH = 20
_MOST = 80
"""The line is shorter than this, in small terminals too."""
_ERASE = "\r\x1b[K"


class ProgressLine:
    """Rewrites one line of `stream`, which is stderr: stdout belongs to the figures."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = ""

    def show(self, progress: Progress) -> None:
        """Put this in place of what stands there."""
        self._put(describe(progress))

    def say(self, fraction: float, what: str) -> None:
        """As `show`, for what is no test."""
        self._put(fit_columns(f"{_bar(fraction)}  {what}", _MOST - 1, ""))

    def _put(self, text: str) -> None:
        line = for_encoding(text, self._stream.encoding)
        if self._live and line != self._shown:
            self._shown = line
            self._write(f"{_ERASE}{line}")

    def clear(self) -> None:
        """Leave an empty line, the cursor at its start."""
        if self._shown:
            self._shown = ""
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # The terminal is gone; the figures may go to a file and are still wanted.
            self._live = False


def describe(progress: Progress) -> str:
    """What the line says: a bar, the percentage, and what is being done."""
    bar = _bar(progress.fraction)
    name = progress.test.name if progress.test else progress.what
    if not name:
        return tr("{bar}  loading", bar=bar)
    if progress.repetition:
        line = tr("{bar}  {test} run {n}", bar=bar, test=name, n=progress.repetition)
    else:
        line = tr("{bar}  {test} warm-up", bar=bar, test=name)
    more = [f"{format.full_speed(progress.last_ts)} tok/s"] if progress.last_ts else []
    if progress.left_s is not None:
        more.insert(0, tr("{time} left", time=format.about(progress.left_s)))
    for part in more:
        if cells(line) + cells(part) + 3 < _MOST:
            line += f" · {part}"
    return line


def _bar(fraction: float) -> str:
    filled = int(fraction * _WIDTH)
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {100 * fraction:3.0f}%"
