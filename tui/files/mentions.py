"""`@path` in what is written: where such mentions stand, what they name, and how one is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tui.base.userpath import typed_path, user_path

MOST = 200
"""Mentions that are looked at in one text."""
_MOST_CHARS = 4096
"""Of a path."""
MOST_DROPPED = 16_000
"""Characters of what is dragged into a terminal."""
DROPPED_STARTS = ("/", "~", "'", '"', "file://", "./", "../")
"""What such a text begins with."""
_MENTION = re.compile(
    r"(?<![A-Za-z0-9._%+\-@/\\])@(?:\"([^\"\n]{1,4096})\"|'([^'\n]{1,4096})'|((?:\\.|[^\s\\\"'@]){1,4096}))"
)
_ESCAPED = re.compile(r"\\(.)")
_PLAIN = re.compile(r"[^\s\\\"'@]+")
_ENDS = ".,;:!?)]}>…。，、；：！？）】》」』”’"
"""What may stand behind a path without being a part of it."""
_FOREIGN = re.compile(r"(?<=[\x21-\x7e])[\u2e80-\u9fff\uac00-\ud7ff\uff00-\uffef]")
"""Where a sentence may go on without a blank."""
_MOST_TURNS = 20
_OPEN = re.compile(r"(?<![A-Za-z0-9._%+\-@/\\])@(?:\"([^\"\n]*)|'([^'\n]*)|((?:\\.|[^\s\\\"'@])*))$")


class Mention(NamedTuple):
    """One in a text, from `start` to `end`."""

    start: int
    end: int
    written: str
    """The path, without quotes and escapes."""
    is_quoted: bool


def mentions(text: str) -> Iterator[Mention]:
    """Those in a text, from the left, `MOST` at most. Whether there are such files is not looked at."""
    for number, found in enumerate(_MENTION.finditer(text)):
        if number >= MOST:
            return
        quoted = found[1] or found[2]
        yield Mention(found.start(), found.end(), quoted or _ESCAPED.sub(r"\1", found[3]), bool(quoted))


def mention_of(path: str) -> str:
    """A path as a mention that is read as this path."""
    if _PLAIN.fullmatch(path) and path[-1] not in _ENDS:
        return f"@{path}"
    return f"@'{path}'" if '"' in path else f'@"{path}"'


def dropped(text: str, folder: Path) -> str | None:
    """A text that names files and nothing else, as terminals write those that are dragged into them, as mentions; None
    for any other. Blocking."""
    text = text.strip()
    if len(text) > MOST_DROPPED or not text.startswith(DROPPED_STARTS):
        return None
    lines = text.splitlines()
    written = lines if all(_is_there(line, folder) for line in lines) else _words(text)
    if not written or len(written) > MOST or not all(_is_there(one, folder) for one in written):
        return None
    return "".join(f"{mention_of(str(typed_path(one)))} " for one in written)


def _words(text: str) -> list[str]:
    import shlex  # takes time that the first paint does not have

    try:
        return shlex.split(text)
    except ValueError:  # a quote without its end
        return []


def _is_there(written: str, folder: Path) -> bool:
    try:
        return (folder / typed_path(written)).exists()
    except (OSError, ValueError):
        return False


def open_mention(before: str) -> tuple[int, str] | None:
    """The mention that is being written at the end of `before`: where it begins, and the path as far as it goes. None
    where none is."""
    found = _OPEN.search(before[-_MOST_CHARS:])
    if found is None:
        return None
    start = max(0, len(before) - _MOST_CHARS) + found.start()
    quoted = found[1] if found[1] is not None else found[2]
    return start, quoted if quoted is not None else _ESCAPED.sub(r"\1", found[3])


class Named(NamedTuple):
    """A file or folder that is there, and how it is written."""

    written: str
    path: Path


def named_by(mention: Mention, folder: Path) -> Named | None:
    """What a mention names: a file or folder that is there, relative to `folder`; None for none. What stands behind the
    path without a blank is no part of it, unless there is such a file. Blocking."""
    for written in readings(mention):
        path = folder / user_path(written)
        try:
            if path.exists():
                return Named(written, path)
        except (OSError, ValueError):  # a name that is too long, a zero byte, a folder that is closed
            continue
    return None


def readings(mention: Mention) -> Iterator[str]:
    """What may be the path, the longest first: what stands behind it without a blank may be none of it."""
    yield mention.written
    if mention.is_quoted:
        return
    shorter = mention.written.rstrip(_ENDS)
    if shorter and shorter != mention.written:
        yield shorter
    for found in reversed(list(_FOREIGN.finditer(mention.written))[:_MOST_TURNS]):
        if before := mention.written[: found.start()].rstrip(_ENDS):
            yield before
