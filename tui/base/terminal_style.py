"""How the command line looks on a terminal: lines of pieces with a tone each, coloured where the stream takes colours
and plain everywhere else; and the sentences that go to stderr. What is written is made safe here, whatever it quotes.
Imports nothing that takes time, as `--help` waits for it."""

# Annotations that are strings would be compiled one by one where a named tuple is made.
import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TextIO

from tui.words import tr

Tone = Literal["headline", "quiet", "good", "tight", "bad"]
"""What a piece of text is: the one line that is read first, what only names or explains the rest, and the states."""
CANNOT_DRAW = ("", "dumb", "unknown")
"""Values of TERM for a terminal that shows lines and nothing else."""
_CODES: dict[Tone, str] = {"headline": "1", "quiet": "2", "good": "32", "tight": "33", "bad": "31"}
"""Of the terminal's own sixteen colours, so that they suit its background."""


class Toned(NamedTuple):
    """A piece of a line that is more than plain text."""

    text: str
    tone: Tone


Piece = str | Toned
Line = Piece | Sequence[Piece]
"""One line; a text may have several, as an error has that quotes somebody."""


def takes_colours(stream: TextIO) -> bool:
    """Whether what is written there is seen in colours: on a terminal that has them, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in CANNOT_DRAW


def columns() -> int:
    """Cells of a line of the terminal, 80 where there is none. As `shutil.get_terminal_size` says, which takes longer
    to import than all of `tui.cli`."""
    with contextlib.suppress(ValueError):
        if (n := int(os.environ.get("COLUMNS", ""))) > 0:
            return n
    with contextlib.suppress(AttributeError, ValueError, OSError):  # None, closed, no terminal
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    return 80


def painted(text: str, code: str) -> str:
    """`text` between the commands to a terminal that switch an SGR `code` on and everything off."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and text.strip() else text


def page(lines: Iterable[Line], *, colours: bool = False) -> str:
    """Lines as one text. Only what this puts around the pieces is a command for a terminal."""
    from tui.base.text import clean

    if not colours:
        return clean("\n".join("".join(map(_text, _pieces(line))).rstrip() for line in lines))
    return "\n".join("".join(_coloured(piece) for piece in _pieces(line)).rstrip() for line in lines)


def plain(line: Line) -> str:
    """A line without its tones."""
    return "".join(map(_text, _pieces(line)))


def _pieces(line: Line) -> Sequence[Piece]:
    return (line,) if isinstance(line, str | Toned) else line


def _text(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece.text


def _coloured(piece: Piece) -> str:
    from tui.base.text import clean

    if isinstance(piece, str):
        return clean(piece)
    return painted(clean(piece.text), _CODES[piece.tone])


def say(sentence: str) -> None:
    """Tell something on stderr that is no error. Raises OSError when it cannot be written."""
    _tell(Toned("llmtui:", "quiet"), sentence)


def say_error(sentence: str) -> None:
    """Tell on stderr what went wrong; lines after the first say what to do next. A pipe gets what `say` gives it.
    Raises OSError when it cannot be written."""
    _tell(Toned(tr("error:") if takes_colours(sys.stderr) else "llmtui:", "bad"), sentence)


def _tell(head: Toned, sentence: str) -> None:
    gap = "" if head.text.endswith("：") else " "
    print(page([(head, gap, sentence)], colours=takes_colours(sys.stderr)), file=sys.stderr)
