"""The files that a prompt is about, read as they are mentioned in it. Blocking."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.base.oserrors import kept_reason
from tui.base.userpath import user_path
from tui.files.attachment import Attachment
from tui.files.folders import MOST_FILES, list_folder
from tui.files.mentions import Mention, mentions, named_by
from tui.files.reading import MOST_BYTES, Unreadable, read_attachment, too_much
from tui.words.later import later

_KEPT_CHARS = 2 * MOST_BYTES
"""Of files that were read last, kept so that they are not read again while more is written."""


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What one mention stands for."""

    name: str
    """The path, as it is written."""
    files: tuple[Attachment, ...] = ()
    """One, or those of a folder."""
    problem: Unreadable | None = None
    """Why there are none."""
    is_folder: bool = False
    is_said: bool = False
    """What it stands for is in the conversation already, and need not go along."""
    is_changed: bool = False
    """The file says something else now than what is given here, which was sent before."""


class Gathering:
    """Reads files, and keeps what it has read as long as they stay as they are. For any thread."""

    def __init__(self, folder: Path) -> None:
        """`folder` is what paths are relative to."""
        self.folder = folder
        self._kept: dict[tuple[str, str, float, int], Attachment] = {}
        self._lock = threading.Lock()

    def gather(self, text: str, known: Sequence[Attachment] = (), *, but_folder_at: int = -1) -> tuple[Gathered, ...]:
        """What the mentions in a text stand for, each once; nothing for those that name no file, which are text.
        Files that are `known` are given as they were then. A folder whose mention ends at `but_folder_at` is left out:
        it is being written."""
        found: list[Gathered] = []
        seen: set[str] = set()
        left = MOST_BYTES
        by_name = {file.name: file for file in known}
        with self._lock:
            for mention in mentions(text):
                one = self._one(mention, by_name, seen, left, may_be_folder=mention.end != but_folder_at)
                if one is not None:
                    left -= sum(len(file.text) for file in one.files)
                    found.append(one)
        return tuple(found)

    def _one(
        self, mention: Mention, known: dict[str, Attachment], seen: set[str], left: int, *, may_be_folder: bool
    ) -> Gathered | None:
        named = named_by(mention, self.folder)
        name = named.written if named is not None else mention.written
        old = known.get(name)
        if (old is None and named is None) or (name in seen):
            return None
        path = self.folder / user_path(name)
        if old is not None:
            seen.add(name)
            return Gathered(name=name, files=(old,), is_changed=named is not None and _is_changed(old, path))
        is_folder = path.is_dir()
        if is_folder and not may_be_folder:
            return None
        seen.add(name)
        try:
            if is_folder:
                return Gathered(name=name, files=self._of_folder(path, name, known, left), is_folder=True)
            return Gathered(name=name, files=(self._read(path, name, left),))
        except Unreadable as problem:
            return Gathered(name=name, problem=problem, is_folder=is_folder)
        except OSError as error:
            return Gathered(name=name, problem=Unreadable("unread", kept_reason(error)), is_folder=is_folder)

    def _of_folder(self, folder: Path, name: str, known: dict[str, Attachment], left: int) -> tuple[Attachment, ...]:
        """Those that can be read. Raises `Unreadable` where they are too much, or where there are none."""
        within = name if name.endswith("/") else f"{name}/"
        listing = list_folder(folder)
        found: list[Attachment] = []
        for file in listing.files:
            name = f"{within}{file.name}"
            try:
                found.append(known.get(name) or self._read(folder / file.name, name, left))
            except Unreadable as problem:
                if problem.problem in ("too_large", "too_much"):
                    raise
                continue
            left -= len(found[-1].text)
        if not listing.is_whole:
            raise Unreadable("too_much", later("there are more than {n} files in it", n=f"{MOST_FILES:,}"))
        if not found:
            raise Unreadable("not_text", later("there is no text file in it"))
        return tuple(found)

    def _read(self, path: Path, name: str, left: int) -> Attachment:
        if left <= 0:
            raise too_much(left)
        try:
            about = path.stat()
        except OSError as error:
            raise Unreadable("unread", kept_reason(error)) from error
        key = str(path), name, about.st_mtime, about.st_size
        if (kept := self._kept.pop(key, None)) is None:
            kept = read_attachment(path, name, left)
        elif len(kept.text) > left:
            raise too_much(left)
        self._kept[key] = kept
        while sum(len(file.text) for file in self._kept.values()) > _KEPT_CHARS:
            del self._kept[next(iter(self._kept))]
        return kept


def changed_of(files: Sequence[Attachment]) -> tuple[tuple[Attachment, ...], tuple[Attachment, ...]]:
    """Which of these files say something else now than when they were read, and which cannot be read any more."""
    changed, gone = [], []
    for file in files:
        try:
            if read_attachment(Path(file.path), file.name).text != file.text:
                changed.append(file)
        except Unreadable:
            gone.append(file)
    return tuple(changed), tuple(gone)


def _is_changed(file: Attachment, path: Path) -> bool:
    try:
        about = path.stat()
        if (about.st_mtime, about.st_size) == (file.modified_at, file.n_bytes):
            return False
        return read_attachment(path, file.name).text != file.text
    except (OSError, Unreadable):
        return False
