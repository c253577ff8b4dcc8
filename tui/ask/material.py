"""What is asked: the question of the command line with what is piped in, and the files that it is about."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tui.base.oserrors import os_reason
from tui.base.userpath import user_path
from tui.files.attachment import Attachment, fenced
from tui.files.reading import MOST_BYTES, Unreadable, read_attachment, text_of, too_much
from tui.words import tr

_PIECE = 1 << 16


class NothingToAsk(Exception):
    """There is no question, or what it is about cannot be read; the message says why, and what to do."""


def read_piped(descriptor: int) -> bytes:
    """All that is piped in. Blocks until its end. Raises `NothingToAsk` for more than any context holds."""
    pieces, n_bytes = [], 0
    try:
        while piece := os.read(descriptor, _PIECE):
            pieces.append(piece)
            if (n_bytes := n_bytes + len(piece)) > MOST_BYTES:
                error = too_much()
                raise NothingToAsk(_told(tr("what is piped in"), error.reason, error.advice))
    except OSError as error:
        raise NothingToAsk(tr("{file}: {reason}.", file=tr("what is piped in"), reason=os_reason(error))) from error
    return b"".join(pieces)


def prompt_of(question: str, piped: bytes, has_files: bool = False) -> str:
    """The question, then what was piped in, between marks that do not stand in it. Without a question, what was piped
    in is the question. Raises `NothingToAsk`."""
    try:
        text = text_of(piped).text.strip("\n")
    except Unreadable as error:
        raise NothingToAsk(
            _told(tr("what is piped in"), error.reason, tr("Pipe a text in, or name a file with -f."))
        ) from None
    parts = [question.strip()] if question.strip() else []
    if parts and text.strip():
        parts.append(fenced(text))
    elif text.strip():
        parts.append(text.strip())
    if not parts:
        raise NothingToAsk(
            tr("say what to ask about the files: {example}.", example='llmtui ask "Summarize this" -f notes.txt')
            if has_files
            else tr("say what to ask: {example}.", example='llmtui ask "What is a mutex?"')
        )
    return "\n\n".join(parts)


def files_of(names: Sequence[str], most_bytes: int = MOST_BYTES) -> tuple[Attachment, ...]:
    """The files that are asked about. Raises `NothingToAsk`."""
    files: list[Attachment] = []
    for name in names:
        try:
            if most_bytes <= 0:
                raise too_much(most_bytes)
            files.append(read_attachment(user_path(name), name, most_bytes))
        except Unreadable as error:
            advice = tr("Pipe it in instead: {example}.", example="… | llmtui ask")
            raise NothingToAsk(
                _told(f"-f {name}", error.reason, advice if error.problem == "device" else error.advice)
            ) from None
        most_bytes -= len(files[-1].text)
    return tuple(files)


def _told(what: str, reason: str, advice: str) -> str:
    return f"{tr('{file}: {reason}.', file=what, reason=reason)}\n{advice}"
