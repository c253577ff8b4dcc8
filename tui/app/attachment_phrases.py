"""What the app says of files that prompts are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.base import format
from tui.base.text import one_line
from tui.files.attachment import Attachment
from tui.words import tr, trn

if TYPE_CHECKING:
    from tui.files.gathering import Gathered

_PLAIN = ("utf-8", "pdf", "docx")
"""Of which nobody needs to be told how they were read."""


def file_label(file: Attachment) -> str:
    """Such as "notes.txt · 3.2 KiB · 812 tokens"."""
    return " · ".join([one_line(file.name), *_facts((file,)), *_encoding(file)])


def file_note(file: Attachment) -> str:
    """The same without the name."""
    return " · ".join([*_facts((file,)), *_encoding(file)])


def gathered_note(one: Gathered) -> str:
    """What is known of what a mention stands for, or why it stands for nothing."""
    if one.problem is not None:
        return one.problem.reason
    if one.is_said:
        return tr("already in the conversation")
    files = one.files
    parts = [trn("{n} file", "{n} files", len(files))] if one.is_folder else []
    parts += [*_facts(files), *(() if one.is_folder else _encoding(files[0]))]
    if one.is_changed:
        parts.append(tr("as it was sent; the file has changed since"))
    return " · ".join(parts)


def all_files(files: Sequence[Attachment], n_left: int | None) -> str:
    """What all of them come to, and whether that fits into the `n_left` tokens of the context that are free."""
    said = " · ".join([trn("{n} file", "{n} files", len(files)), *_facts(files)])
    return f"{said} · {too_long(n_left)}" if n_left is not None else said


def too_long(n_left: int) -> str:
    """Files do not fit into so many tokens."""
    return trn("too long: {n} token is left", "too long: {n} tokens are left", max(0, n_left))


def read_again(changed: Sequence[Attachment], gone: Sequence[Attachment], n: int) -> str:
    """What came of reading `n` files again."""
    parts = []
    if changed:
        parts.append(
            trn(
                "{files} has changed: it is mentioned in the prompt, and read when that is sent.",
                "{files} have changed: they are mentioned in the prompt, and read when that is sent.",
                len(changed),
                files=_named(changed),
            )
        )
    if gone:
        parts.append(tr("No longer readable: {files}.", files=_named(gone)))
    return " ".join(parts) or trn("The file is as it was sent.", "All {n} files are as they were sent.", n)


def _named(files: Sequence[Attachment]) -> str:
    names = [one_line(file.name) for file in files[:3]]
    more = len(files) - len(names)
    return format.listed(*names, *([trn("{n} more", "{n} more", more)] if more else []))


def _facts(files: Sequence[Attachment]) -> list[str]:
    found = [format.size(sum(file.n_bytes for file in files))] if any(file.n_bytes for file in files) else []
    if n_tokens := sum(file.n_tokens for file in files):
        found.append(trn("{n} token", "{n} tokens", n_tokens))
    return found


def _encoding(file: Attachment) -> list[str]:
    return [file.encoding.upper()] if file.encoding not in _PLAIN else []
