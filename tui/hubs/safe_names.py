"""Names that come from a hub, judged in one place: what a stranger calls a file becomes a path on this machine, and
what a repository is called becomes part of a URL."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable

from tui.hubs.records import RemoteFile

_LOG = logging.getLogger(__name__)
_MOST_OF_A_PATH = 1024
"""Bytes; Linux has 4096 for all of a path."""
_MOST_OF_A_PART = 240
"""Bytes. File systems have 255, and a download writes beside a file with a longer name."""
_REPO = re.compile(r"\w[\w.\-]*/\w[\w.\-]*")
_MOST_OF_A_REPO = 200
"""Characters; both hubs have fewer."""


def is_safe_path(path: str) -> bool:
    """Whether a file of a repository may have this path below a folder: relative, going nowhere up, of characters that
    can be seen, stored and told to another program."""
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return False
    parts = path.split("/")
    return (
        len(raw) <= _MOST_OF_A_PATH
        and "\\" not in path
        and not any(unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" for char in path)
        and all(part.strip() not in ("", ".", "..") and len(part.encode()) <= _MOST_OF_A_PART for part in parts)
    )


def is_safe_repo(name: str) -> bool:
    """Whether it is an "owner/name" that may stand in a URL and be a folder."""
    return len(name) <= _MOST_OF_A_REPO and ".." not in name and _REPO.fullmatch(name) is not None


def safe_files(files: Iterable[RemoteFile]) -> tuple[RemoteFile, ...]:
    """Those that can be stored beside one another, also where the file system takes capital and small letters, or
    composed and decomposed ones, for the same; what is left out is logged."""
    kept: dict[str, RemoteFile] = {}
    folders: set[str] = set()
    for file in files:
        key = unicodedata.normalize("NFC", file.path).casefold()
        above = {key[:at] for at, char in enumerate(key) if char == "/"}
        if not is_safe_path(file.path) or key in kept or key in folders or above & kept.keys():
            _LOG.warning("left out a file of a repository, for its name: %r", file.path[:_MOST_OF_A_PATH])
            continue
        kept[key] = file
        folders |= above
    return tuple(kept.values())
