"""One line on a terminal that says how far a benchmark is; nothing at all where there is no terminal."""

from __future__ import annotations

from typing import TextIO

from tui.bench.render import for_encoding
from tui.measure.runner import Progress

_WIDTH = 20
_ERASE = "\r\x1b[K"


class ProgressLine:
    """Rewrites one line of `stream`, which is stderr: stdout belongs to the figures."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = ""

    def show(self, progress: Progress) -> None:
        """Put this in place of what stands there."""
        line = for_encoding(describe(progress), self._stream.encoding)
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
    filled = int(progress.fraction * _WIDTH)
    bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {100 * progress.fraction:3.0f}%"
    if progress.test is None:
        return f"{bar}  loading"
    what = f"run {progress.repetition}" if progress.repetition else "warm-up"
    last = f" · {progress.last_ts:.2f} tokens/s" if progress.last_ts else ""
    return f"{bar}  {progress.test.name} {what}{last}"
