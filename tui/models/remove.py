"""Deleting a model: first a plan, which says honestly what that frees and whom it concerns, then the deed. Only names
below the folder that the model was found in are ever taken away, and nothing that another name in a cache still needs.

Of Ollama's a tag goes as `ollama rm` would take it: its manifest, then the files that no other manifest names. Where
that cannot be told for sure, it is left to `ollama rm`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tui.base import format
from tui.base.oserrors import english_reason
from tui.base.text import one_line
from tui.config import paths
from tui.models.library import LibraryModel, Place
from tui.models.stores.known import store_of
from tui.models.stores.modelstore import Source
from tui.models.stores.ollama import files_of_tag, tags_of
from tui.words.later import Later, later

_BLOBS = "blobs"
"""The folder in which caches keep contents under their sums, with links to them under readable names."""
_BLOCK = 512
"""Bytes of a block, whatever the file system: POSIX."""


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """What deleting a model comes to."""

    model: LibraryModel
    paths: tuple[Path, ...] = ()
    """What is deleted, in that order: files, links to them, and what their program noted about them alone."""
    frees_bytes: int = 0
    """Room on the disk that comes back; 0 where other names keep the content."""
    refused: Later | None = None
    """Why it is not deleted, and what to do instead; None when it can be."""
    warnings: tuple[Later, ...] = ()
    """What one should know before, a sentence each."""
    stamps: tuple[tuple[int, int, int], ...] = ()
    """Device, inode and size of each path: what is there by then must be what was planned."""

    @property
    def source(self) -> Source:
        """Whose the files are."""
        return self.model.source


class RemovalError(Exception):
    """It could not be deleted, or not all of it; `str` of it is a sentence in the language in use."""

    def __init__(self, why: Later) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return one_line(str(self.why))


def plan(model: LibraryModel) -> Removal:
    """What deleting the model where it is shown, not its other places, would do. Blocking: it looks at the disk, and
    changes nothing."""
    try:
        return _Plan(model).made()
    except OSError as error:
        why = later("It cannot be deleted: {reason}.", reason=Later(english_reason(error)))
        return Removal(model=model, refused=why)


def carry_out(removal: Removal) -> int:
    """Delete what was planned; the bytes that came free. Blocking. Raises `RemovalError`, also when something is not as
    it was planned: then nothing was deleted."""
    if removal.refused is not None:
        raise RemovalError(removal.refused)
    try:
        if tuple(map(_stamp, removal.paths)) != removal.stamps:
            raise RemovalError(later("It has changed in the meantime, and nothing was deleted. Try again."))
        for path in removal.paths:
            path.unlink()
    except OSError as error:
        raise RemovalError(
            later(
                "{file} could not be deleted: {reason}.",
                file=Path(str(error.filename or removal.model.path)).name,
                reason=Later(english_reason(error)),
            )
        ) from error
    _prune(removal.model.path.parent)
    return removal.frees_bytes


class _Plan:
    """Collects what goes with the files of a model."""

    def __init__(self, model: LibraryModel) -> None:
        self._model = model
        self._root = Path(os.path.realpath(model.root or model.path.parent))
        self._names: list[Path] = []
        self._warnings: list[Later] = []

    def made(self) -> Removal:
        """Raises OSError where the disk does not say how it is."""
        model = self._model
        if model.source == "ollama" and not self._add_tag():
            return self._refused(
                later(
                    "Ollama is changing its store, or it cannot be read. Delete it with `{command}`.",
                    command=f"ollama rm {model.store_name}".strip(),
                )
            )
        for path in model.paths if model.source != "ollama" else ():
            if not _real(path).is_relative_to(self._root):
                return self._refused(
                    later(
                        "It lies outside of {folder}, behind a link to a folder. Delete it where it is: {path}.",
                        folder=format.path(self._root),
                        path=format.path(_real(path)),
                    )
                )
            self._add(path)
        if (link := self._link_left_over()) is not None:
            return self._refused(
                later("{path} is a link to it, and would lead nowhere. Delete that first.", path=format.path(link.path))
            )
        closed = next((path.parent for path in self._names if not _may_write(path.parent)), None)
        if closed is not None:
            return self._refused(
                later("Nothing in {folder} may be deleted: permission denied.", folder=format.path(closed))
            )
        frees = self._frees()
        self._warn(frees)
        return Removal(
            model=model,
            paths=tuple(self._names),
            frees_bytes=frees,
            warnings=tuple(self._warnings),
            stamps=tuple(map(_stamp, self._names)),
        )

    def _refused(self, why: Later) -> Removal:
        return Removal(model=self._model, refused=why)

    def _add(self, path: Path) -> None:
        """The file; in a cache, the content that it links to as well, unless something else there links to that."""
        self._names.append(path)
        if store := store_of(self._model.source):
            self._names += (note for note in store.notes(path) if os.path.lexists(note))
        while path.is_symlink():
            target = _target(path)
            if (holder := self._holder(target)) is None:
                self._tell(later("Only a link is deleted: the file itself stays ({path}).", path=format.path(target)))
                return
            own = set(map(_real, self._names))
            if any(_target(link) == target for link in _links(holder) if link not in own):
                self._tell(later("The content stays in the cache, where another snapshot or repository needs it."))
                return
            self._names.append(target)
            references = target.with_name(f"{target.name}.refs")
            self._names += [references] if references.is_file() else []
            path = target

    def _add_tag(self) -> bool:
        """What goes with the name that Ollama has for the file; whether that can be told."""
        model = self._model
        if (files := files_of_tag(model.path, model.store_name)) is None:
            return False
        self._names += files
        if model.path not in files:
            others = format.listed(*(name for name in tags_of(model.path) if name != model.store_name))
            self._tell(later("Only this name is removed: the file stays, as it is also {names}.", names=others))
        return True

    def _holder(self, target: Path) -> Path | None:
        """The folder whose links may lead to a content of a cache: that above its `blobs`. None for another file."""
        for folder in target.parents:
            if folder.name == _BLOBS and folder.parent.is_relative_to(self._root):
                return folder.parent
        return None

    def _link_left_over(self) -> Place | None:
        gone = {_real(path) for path in self._names if not path.is_symlink()}
        names = {_real(path) for path in self._names}
        also = (place for place in self._model.also if place.path.is_symlink() and _real(place.path) not in names)
        return next((place for place in also if Path(os.path.realpath(place.path)) in gone), None)

    def _frees(self) -> int:
        """Of files whose last names are among those that go."""
        found = [status for status in (path.lstat() for path in self._names) if stat.S_ISREG(status.st_mode)]
        n_names: dict[tuple[int, int], int] = {}
        for one in found:
            n_names[one.st_dev, one.st_ino] = n_names.get((one.st_dev, one.st_ino), 0) + 1
        gone = {(one.st_dev, one.st_ino): one for one in found if n_names[one.st_dev, one.st_ino] == one.st_nlink}
        if len(gone) < len(n_names):
            self._tell(later("The same file has other names on this disk (hard links), which keep its content."))
        return sum(one.st_blocks * _BLOCK for one in gone.values())

    def _warn(self, frees: int) -> None:
        if store := store_of(self._model.source):
            self._tell(
                later(
                    "It belongs to another program ({place}), which will no longer find it.", place=Later(store.title)
                )
            )
        own = set(map(_real, self._names))
        for place in self._model.also if frees else ():
            if _real(place.path) in own:
                continue
            if (other := store_of(place.source)) is not None and place.name:
                told = later("A copy of it stays in {place}, as {name}.", place=Later(other.title), name=place.name)
            else:
                told = later("A copy of it stays: {path}.", path=format.path(place.path))
            self._tell(told)

    def _tell(self, warning: Later) -> None:
        if warning not in self._warnings:
            self._warnings.append(warning)


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _real(path: Path) -> Path:
    """The path without links in its folders; the file itself may be one."""
    return Path(os.path.realpath(path.parent)) / path.name


def _target(link: Path) -> Path:
    """Where a link leads, one step on, as a real path."""
    return _real(Path(os.path.realpath(link.parent), link.readlink()))


def _links(folder: Path) -> Iterator[Path]:
    """All symbolic links in a folder and below, as real paths."""
    pending = [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino, status.st_size


def _prune(folder: Path) -> None:
    """Remove folders of our own that are empty now: downloads make one for each repository."""
    own = paths.models_dir()
    while folder != own and folder.is_relative_to(own):
        try:
            folder.rmdir()
        except OSError:  # something else is in it
            return
        folder = folder.parent
