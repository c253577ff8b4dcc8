"""What is in a folder: the text files that a prompt may be about, without what .gitignore leaves out, and what a path
that is being written may become. Bounded in entries and time. Blocking."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.base.smallfile import read_small
from tui.base.userpath import user_path
from tui.files.reading import DOCUMENTS, MOST_BYTES, MOST_DOCUMENT_BYTES

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MOST_FILES = 2_000
MOST_ENTRIES = 20_000
"""That are looked at for a list."""
MOST_S = 2.0
MOST_OFFERED = 200
_LEFT_OUT = frozenset({"node_modules", "__pycache__", "venv"})
"""Folders that nobody asks about, also where no .gitignore says so; hidden ones are left out too."""
_SNIFFED = 1024
_MOST_RULES = 2_000
_MOST_RULE_CHARS = 200
_MOST_IGNORE_BYTES = 1 << 20
_MOST_PARENTS = 20
_MOST_DEPTH = 40


class FolderFile(msgspec.Struct, frozen=True):
    """One file of a folder."""

    name: str
    """Its path within the folder."""
    n_bytes: int


class FolderListing(msgspec.Struct, frozen=True):
    """What a folder has."""

    files: tuple[FolderFile, ...]
    """By name."""
    is_whole: bool
    """Nothing was left out for want of time or room."""


class Offer(msgspec.Struct, frozen=True):
    """What a path that is being written may become."""

    path: str
    """As it would be written; of a folder with a slash at its end."""
    name: str
    """The last part of it."""
    n_bytes: int = 0
    is_folder: bool = False


_Rules = Sequence[tuple[Path, "GitIgnoreSpec"]]


def list_folder(folder: Path) -> FolderListing:
    """The text files and documents in a folder and those below it. Raises OSError where it cannot be read at all."""
    os.scandir(folder).close()
    walk = _Walk()
    found = sorted(walk.files(folder, "", tuple(_rules_above(folder))), key=lambda file: file.name)
    return FolderListing(tuple(found), walk.is_whole)


class _Walk:
    """One walk through a folder."""

    def __init__(self) -> None:
        self.is_whole = True
        self._n_entries = self._n_files = 0
        self._until = time.monotonic() + MOST_S

    def files(self, folder: Path, within: str, rules: _Rules, depth: int = 0) -> Iterator[FolderFile]:
        """Those of one folder, and of those below it."""
        if depth > _MOST_DEPTH:
            self.is_whole = False
            return
        rules = (*rules, *_rules_of(folder))
        try:
            with os.scandir(folder) as entries:
                found = sorted(self._some(entries), key=lambda entry: entry.name)
        except OSError:  # closed to us, or gone meanwhile
            return
        for entry in found:
            name = f"{within}{entry.name}"
            if (
                entry.name.startswith(".")
                or not _is_text(entry.name)
                or _is_ignored(rules, Path(entry.path), entry.is_dir(follow_symlinks=False))
            ):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _LEFT_OUT:
                    yield from self.files(Path(entry.path), f"{name}/", rules, depth + 1)
            elif (n_bytes := _size_of_text(entry)) is not None:
                self._n_files += 1
                if self._n_files > MOST_FILES:
                    self.is_whole = False
                    return
                yield FolderFile(name, n_bytes)

    def _some(self, entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            self._n_entries += 1
            if self._n_entries > MOST_ENTRIES or time.monotonic() > self._until:
                self.is_whole = False
                return
            yield entry


def _is_text(name: str) -> bool:
    """Whether the bytes of a name are text, so that it can be written."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size_of_text(entry: os.DirEntry[str]) -> int | None:
    """How large a file is that can be asked about, by its first bytes; None for any other."""
    try:
        if not entry.is_file():
            return None
        size = entry.stat().st_size
        if Path(entry.name).suffix.lower() in DOCUMENTS:
            return size if size <= MOST_DOCUMENT_BYTES else None
        if not 0 < size <= MOST_BYTES:
            return None
        with open(entry.path, "rb", buffering=0) as file:  # noqa: PTH123 - thousands of them
            first = file.read(_SNIFFED)
    except OSError:
        return None
    return size if b"\0" not in first or first[:2] in (b"\xff\xfe", b"\xfe\xff") else None


def _rules_of(folder: Path) -> Iterator[tuple[Path, GitIgnoreSpec]]:
    """The rules of the .gitignore in a folder, if there is one that can be read."""
    try:
        lines = read_small(folder / ".gitignore", _MOST_IGNORE_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return
    from pathspec import GitIgnoreSpec

    kept = [line for line in lines[:_MOST_RULES] if len(line) <= _MOST_RULE_CHARS]
    try:
        yield folder, GitIgnoreSpec.from_lines(kept)
    except ValueError:  # a rule that git does not take either
        return


def _rules_above(folder: Path) -> Iterator[tuple[Path, GitIgnoreSpec]]:
    """Those of the folders above, up to the one that is a repository."""
    above = list(folder.absolute().parents)[:_MOST_PARENTS]
    top = next((place for place, one in enumerate(above) if (one / ".git").exists()), -1)
    if (folder / ".git").exists():
        return
    for one in reversed(above[: top + 1]):
        yield from _rules_of(one)


def _is_ignored(rules: _Rules, path: Path, is_folder: bool) -> bool:
    """By the nearest rule that says anything of it."""
    for folder, spec in reversed(rules):
        within = str(path.absolute().relative_to(folder.absolute())) + ("/" if is_folder else "")
        if (include := spec.check_file(within).include) is not None:
            return include
    return False


def offers(written: str, folder: Path) -> tuple[Offer, ...]:
    """What a path may become of which so much is written, relative to `folder`: those first whose name begins with its
    last part, then those that have it elsewhere. Hidden files only where a dot is written."""
    if written == "~":
        return (Offer("~/", "~", is_folder=True),)
    above, _, part = written.rpartition("/")
    above = f"{above}/" if "/" in written else ""
    wanted = part.casefold()
    found: list[tuple[int, bool, str, Offer]] = []
    until = time.monotonic() + MOST_S
    try:
        with os.scandir(folder / user_path(above)) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_ENTRIES or time.monotonic() > until:
                    break
                name = entry.name.casefold()
                if wanted not in name or (name.startswith(".") and not part.startswith(".")):
                    continue
                if offer := _offer(entry, above):
                    found.append((not name.startswith(wanted), not offer.is_folder, name, offer))
    except (OSError, ValueError):
        return ()
    return tuple(offer for *_, offer in sorted(found, key=lambda one: one[:3])[:MOST_OFFERED])


def _offer(entry: os.DirEntry[str], above: str) -> Offer | None:
    if not _is_text(entry.name):
        return None
    try:
        if entry.is_dir():
            return Offer(f"{above}{entry.name}/", f"{entry.name}/", is_folder=True)
        return Offer(f"{above}{entry.name}", entry.name, entry.stat().st_size) if entry.is_file() else None
    except OSError:
        return None
