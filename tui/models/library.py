"""The models on this machine: walks folders, groups split files, shows each file once, and tells apart what can be
chatted with, what is whole but no chat model, and what is broken. Blocking; meant for a thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from tui.base.splitfile import first_part, part_of
from tui.base.text import one_line
from tui.base.userpath import user_path
from tui.models.arraymemo import ArrayMemo
from tui.models.folders import Folder, Source
from tui.models.headercache import CachedHeader, HeaderCache, Stamp
from tui.models.info import ModelInfo
from tui.models.modelfile import LASTING, ModelFileError, missing_part, os_error, read_model, require_chat_model
from tui.models.purpose import Kind, why_not
from tui.words.later import Later, later

_NO_FOLDER = later("There is no such folder.")


class LibraryModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be loaded: `path` is what llama.cpp wants, `paths` all its files."""

    path: Path
    paths: tuple[Path, ...]
    info: ModelInfo
    source: Source


class OtherFile(msgspec.Struct, frozen=True, kw_only=True):
    """A whole GGUF file that is no chat model (`tui.models.purpose`)."""

    path: Path
    kind: Kind
    why: Later

    @property
    def reason(self) -> str:
        """Why not and what to do instead, in the language in use, safe for a terminal."""
        return one_line(str(self.why))


class BrokenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that cannot be used, and why, in one sentence."""

    path: Path
    why: Later

    @property
    def reason(self) -> str:
        """As `OtherFile.reason`."""
        return one_line(str(self.why))


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found. Models are sorted by name, then size; the rest by path."""

    models: tuple[LibraryModel, ...] = ()
    other: tuple[OtherFile, ...] = ()
    broken: tuple[BrokenFile, ...] = ()


def scan(
    folders: Sequence[Folder], cache_file: Path, on_model: Callable[[LibraryModel], None] | None = None
) -> Library:
    """Find all models in `folders` and below; where one shows twice (links), the first folder wins.

    `on_model` is called with each model as it is found, unsorted. Raises nothing: what cannot be read is in `broken`.
    """
    cache = HeaderCache(cache_file)
    cache.load()
    finder = _Finder(cache)
    models: list[LibraryModel] = []
    for folder in folders:
        for model in finder.models(folder):
            models.append(model)
            if on_model:
                on_model(model)
    cache.save()
    return Library(
        models=tuple(sorted(models, key=lambda model: (model.info.name.casefold(), model.info.size_bytes, model.path))),
        other=tuple(sorted(finder.other, key=lambda file: file.path)),
        broken=tuple(sorted(finder.broken, key=lambda file: file.path)),
    )


def inspect(path: Path) -> LibraryModel:
    """The model at a path given by the user; any part of a split model will do. Raises `ModelFileError`."""
    path = user_path(path)
    try:
        path.stat()
    except (FileNotFoundError, ValueError) as error:  # ValueError: a zero byte, which no name has
        raise ModelFileError("not_found", path, later("There is no such file.")) from error
    except OSError as error:
        raise os_error(path, error) from error
    parts = part_of(path)[1]
    info = read_model(parts)
    require_chat_model(info, path)
    return LibraryModel(path=parts[0], paths=parts, info=info, source="folder")


class _Finder:
    """One scan: remembers which folders and files were seen already, by device and inode."""

    def __init__(self, cache: HeaderCache) -> None:
        self.other: list[OtherFile] = []
        self.broken: list[BrokenFile] = []
        self._cache = cache
        self._memo = ArrayMemo()
        self._seen: set[tuple[int, int]] = set()

    def models(self, folder: Folder) -> Iterator[LibraryModel]:
        """The models in a folder, and by the way what is other and broken."""
        for path, files in self._groups(folder):
            entry = self._read(path, files)
            if entry is None:
                continue
            info, paths = entry.info, tuple(Path(stamp[0]) for stamp in entry.stamps)
            if info is not None and (why := why_not(info.kind, info.arch)):
                self.other.append(OtherFile(path=path, kind=info.kind, why=why))
            elif info is not None:
                yield LibraryModel(path=path, paths=paths, info=info, source=folder.source)
            elif entry.why is not None and entry.kind is not None:
                self.other.append(OtherFile(path=path, kind=entry.kind, why=entry.why))
            elif entry.why is not None:
                self.broken.append(BrokenFile(path=path, why=entry.why))

    def _groups(self, folder: Folder) -> Iterator[tuple[Path, set[str]]]:
        """The first part of each model, with the names of all GGUF files beside it."""
        for root in _roots(folder):
            for directory, names in self._walk(root, folder.must_exist):
                for first in sorted({first_part(name) for name in names}):
                    yield Path(directory, first), names

    def _walk(self, root: Path, must_exist: bool) -> Iterator[tuple[str, set[str]]]:
        """Folders that hold GGUF files, depth first, each once however many links lead to it."""
        pending = [str(root)]
        while pending:
            directory = pending.pop()
            names: set[str] = set()
            below: list[str] = []
            try:
                if not self._first_time(Path(directory).stat()):
                    continue
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        if _is_folder(entry):
                            below.append(entry.path)
                        elif entry.name.lower().endswith(".gguf"):
                            names.add(entry.name)
            except (FileNotFoundError, NotADirectoryError):
                if must_exist and directory == str(root):
                    self.broken.append(BrokenFile(path=root, why=_NO_FOLDER))
                continue
            except OSError as error:
                self.broken.append(BrokenFile(path=Path(directory), why=os_error(Path(directory), error).why))
                continue
            except ValueError:  # a zero byte, which no name has
                self.broken.append(BrokenFile(path=root, why=_NO_FOLDER))
                continue
            pending.extend(sorted(below, reverse=True))
            if names:
                yield directory, names

    def _first_time(self, status: os.stat_result) -> bool:
        key = (status.st_dev, status.st_ino)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _read(self, first: Path, beside: set[str]) -> CachedHeader | None:
        """What the model is whose first file is `first`; None when it was seen already."""
        parts = part_of(first)[1]
        stamps: list[Stamp] = []
        try:
            for part in parts:
                if len(parts) > 1 and part.name not in beside:
                    raise missing_part(parts, part)
                status = part.stat()
                if part is parts[0] and not self._first_time(status):
                    return None
                stamps.append((str(part), status.st_size, status.st_mtime_ns))
            if cached := self._cache.get(tuple(stamps)):
                return cached
            entry = CachedHeader(tuple(stamps), read_model(parts, self._memo))
        except OSError as error:
            return CachedHeader(((str(first), 0, 0),), None, os_error(first, error).why)
        except ModelFileError as error:
            if error.kind not in LASTING:
                return CachedHeader(((str(first), 0, 0),), None, error.why, error.purpose)
            entry = CachedHeader(tuple(stamps), None, error.why)
        if entry.info is None or entry.info.kind != "unknown":  # another llama.cpp may know it
            self._cache.put(entry)
        return entry


def _roots(folder: Folder) -> tuple[Path, ...]:
    """Where to start: in the Hugging Face cache only the snapshots, which link to the blobs under readable names."""
    if folder.source != "huggingface":
        return (folder.path,)
    return tuple(sorted(folder.path.glob("models--*/snapshots")))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads nowhere or in a circle is no folder; a file of that name would be reported.
        return False
