"""A file as it was read for a prompt, and the frame in which a model gets it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tui.base.text import one_line

_BACKTICKS = re.compile("`+")


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """One file, with all of its text as it was when it was read."""

    name: str
    """As it was written, and as the model is told."""
    text: str
    path: str = ""
    """Where it was read; absolute. Empty for what is not known here, as of an import."""
    n_bytes: int = 0
    """Size of the file."""
    modified_at: float = 0.0
    """When it was written last, in Unix seconds."""
    encoding: str = "utf-8"
    """What its bytes were, such as "gb18030"; "pdf" and "docx" for documents that a text was taken out of."""
    n_tokens: int = 0
    """What it took of the context, counted before it was sent; 0 where nobody counted."""


def frame(file: Attachment) -> str:
    """The file as a model gets it: its name, then its text between marks that do not stand in it."""
    return f"{one_line(file.name)}:\n{fenced(file.text)}"


def with_files(files: Sequence[Attachment], text: str) -> str:
    """A prompt with what it is about. The files come first: what another question about them begins with is the same,
    and need not be read again."""
    return "\n\n".join([*map(frame, files), text]) if files else text


def fenced(text: str) -> str:
    """The text as a block of code, between more backticks than stand in it."""
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.strip(chr(10))}\n{fence}"
