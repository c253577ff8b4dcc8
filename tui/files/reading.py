"""Reading one file for a prompt: text of any encoding, or the text of a document. Blocking."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

from tui.base.oserrors import kept_reason
from tui.base.smallfile import read_small
from tui.files.attachment import Attachment
from tui.files.encodings import Decoded, NotText, decode
from tui.words import mark, tr
from tui.words.later import Later, later

MOST_BYTES = 8 << 20
"""Of all that a prompt is about: two million tokens or more, which no context holds."""
MOST_DOCUMENT_BYTES = 64 << 20
"""Of a PDF or DOCX file: most of one are pictures."""
DOCUMENTS = {".pdf": "pdf", ".docx": "docx"}

Problem = Literal["unread", "device", "too_large", "too_much", "not_text", "no_reader", "no_words", "damaged"]

_ADVICE: dict[Problem, str] = {
    "unread": mark("Check the path."),
    "device": mark("Give a file, or pipe it in."),
    "too_large": mark("Give only the part that matters."),
    "too_much": mark("Give only the part that matters."),
    "not_text": mark("Only text can be asked about."),
    "no_reader": mark('Install what reads it: pip install "llmtui[documents]".'),
    "no_words": mark("It may be made of pictures: have them read by a program that finds text (OCR)."),
    "damaged": mark("Open it in its own program, and save it as text."),
}


class Unreadable(Exception):
    """A file that cannot be asked about: `reason` and `advice` say why, and what to do."""

    def __init__(self, problem: Problem, reason: Later) -> None:
        super().__init__(problem, reason)
        self.problem = problem
        self._reason = reason

    @property
    def reason(self) -> str:
        """In the language in use, without a full stop."""
        return str(self._reason)

    @property
    def advice(self) -> str:
        """A sentence."""
        return tr(_ADVICE[self.problem])

    def __str__(self) -> str:
        return f"{tr('{problem}.', problem=self.reason)} {self.advice}"


def read_attachment(path: Path, name: str, most_bytes: int = MOST_BYTES) -> Attachment:
    """The file, called `name`. Raises `Unreadable`, also for a text of more than `most_bytes`."""
    kind = DOCUMENTS.get(path.suffix.lower(), "")
    try:
        about = path.stat()
        data = read_small(path, MOST_DOCUMENT_BYTES if kind else most_bytes)
    except (OSError, ValueError) as error:  # ValueError: a zero byte, which no name has
        raise _unread(error, most_bytes) from error
    text, encoding = _words_of(data, kind, most_bytes) if kind else text_of(data)
    return Attachment(
        name=_encodable(name),
        path=_encodable(os.path.abspath(path)),  # noqa: PTH100 - without following links
        text=text,
        n_bytes=len(data),
        modified_at=about.st_mtime,
        encoding=encoding,
    )


def _encodable(path: str) -> str:
    """A path that can be saved and sent, also where its bytes are no text: it then names nothing."""
    return path.encode("utf-8", "replace").decode()


def text_of(data: bytes) -> Decoded:
    """What the bytes say. Raises `Unreadable`."""
    try:
        return decode(data)
    except NotText:
        raise Unreadable("not_text", later("this is not text")) from None


def too_much(most_bytes: int = MOST_BYTES) -> Unreadable:
    """What is said of a text that is larger than that, alone or with what else is asked about."""
    if most_bytes < MOST_BYTES:
        return Unreadable(
            "too_much", later("all together is more than the {n} MiB that can be asked about", n=str(MOST_BYTES >> 20))
        )
    return Unreadable(
        "too_large", later("more than {n} MiB are asked about, and no context holds that", n=str(MOST_BYTES >> 20))
    )


def _unread(error: OSError | ValueError, most_bytes: int) -> Unreadable:
    if not isinstance(error, OSError):
        return Unreadable("unread", Later(str(error)))
    if error.errno == errno.EFBIG:
        return too_much(most_bytes)
    return Unreadable("unread" if error.errno else "device", kept_reason(error))


def _words_of(data: bytes, kind: str, most_bytes: int) -> Decoded:
    from tui.files.documents import document_text

    text = document_text(data, kind)
    if len(text.encode("utf-8", "replace")) > most_bytes:
        raise too_much(most_bytes)
    return Decoded(text, kind)
