"""One line on a terminal that says how far a command is; nothing at all where there is no terminal."""

from __future__ import annotations

from typing import TextIO

from tui.base.text import fit_columns
from tui.shell.encoding import for_encoding

MOST = 80
"""The line is shorter than this, in small terminals too."""
_WIDTH = 20
_ERASE = "\r\x1b[K"


class ProgressLine:
    """Rewrites one line of `stream`, which is stderr: stdout belongs to the results."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = ""

    def say(self, fraction: float, what: str) -> None:
        """A bar, and what is being done."""
        self.put(fit_columns(f"{bar(fraction)}  {what}", MOST - 1, ""))

    def put(self, text: str) -> None:
        """Put this in place of what stands there; it is shorter than `MOST` cells."""
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
            # The terminal is gone; the results may go to a file and are still wanted.
            self._live = False


def bar(fraction: float) -> str:
    """How much is done, as twenty signs and a percentage."""
    filled = int(fraction * _WIDTH)
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {100 * fraction:3.0f}%"
