"""What is asked: the question of the command line, what is piped in and files, put together as one prompt."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

from tui.base.oserrors import os_reason
from tui.base.smallfile import read_small
from tui.base.text import one_line
from tui.base.userpath import user_path
from tui.words import tr

MOST_BYTES = 8 << 20
"""Of all of it: two million tokens or more, which no context holds."""
_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""What a text in UTF-16 begins with."""
_PIECE = 1 << 16
_BACKTICKS = re.compile("`+")


class NothingToAsk(Exception):
    """There is no question, or what it is about cannot be read; the message says why, and what to do."""


def read_piped(descriptor: int) -> bytes:
    """All that is piped in. Blocks until its end. Raises `NothingToAsk` for more than any context holds."""
    pieces, n_bytes = [], 0
    try:
        while piece := os.read(descriptor, _PIECE):
            pieces.append(piece)
            if (n_bytes := n_bytes + len(piece)) > MOST_BYTES:
                raise NothingToAsk(_too_large(tr("what is piped in")))
    except OSError as error:
        raise NothingToAsk(tr("{file}: {reason}.", file=tr("what is piped in"), reason=os_reason(error))) from error
    return b"".join(pieces)


def prompt_of(question: str, piped: bytes, names: Sequence[str]) -> str:
    """The question, then what was piped in and the files, each between marks that do not stand in it. Without a
    question, what was piped in is the question. Raises `NothingToAsk`."""
    text = _text(piped, tr("what is piped in"), tr("Pipe a text in, or name a file with -f.")).strip("\n")
    parts = [question.strip()] if question.strip() else []
    if parts and text.strip():
        parts.append(_fenced(text))
    elif text.strip():
        parts.append(text.strip())
    if not parts:
        raise NothingToAsk(
            tr("say what to ask about the files: {example}.", example='llmtui ask "Summarize this" -f notes.txt')
            if names
            else tr("say what to ask: {example}.", example='llmtui ask "What is a mutex?"')
        )
    left = MOST_BYTES - len(piped)
    for name in names:
        data = _read(name, max(left, 0))
        left -= len(data)
        told = _text(data, f"-f {name}", tr("Only text can be asked about."))
        parts.append(f"{one_line(name)}:\n{_fenced(told)}")
    return "\n\n".join(parts)


def _read(name: str, most_bytes: int) -> bytes:
    try:
        return read_small(user_path(name), most_bytes)
    except (OSError, ValueError) as error:  # ValueError: a zero byte, which no name has
        raise NothingToAsk(_unread(name, error)) from error


def _unread(name: str, error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return _too_large(f"-f {name}")
    why = tr("{file}: {reason}.", file=f"-f {name}", reason=os_reason(error) if isinstance(error, OSError) else error)
    if isinstance(error, OSError) and error.errno is None:
        return f"{why}\n{tr('Pipe it in instead: {example}.', example='… | llmtui ask')}"
    return f"{why}\n{tr('Check the path.')}"


def _too_large(what: str) -> str:
    return tr(
        "{file}: more than {n} MiB are asked about, and no context holds that.\nGive only the part that matters.",
        file=what,
        n=MOST_BYTES >> 20,
    )


def _text(data: bytes, what: str, advice: str) -> str:
    """What the bytes say. Raises `NothingToAsk` for what is no text in UTF-8."""
    if b"\0" in data and not data.startswith(_MARKS):
        raise NothingToAsk(f"{tr('{file}: this is not text.', file=what)}\n{advice}")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        wrong = tr("{file}: this is not a text in UTF-8.", file=what)
        raise NothingToAsk(f"{wrong}\n{tr('Convert it first, as with iconv.')}") from None


def _fenced(text: str) -> str:
    """The text as a block of code, between more backticks than stand in it."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.strip(chr(10))}\n{fence}"
