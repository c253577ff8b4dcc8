"""The models on this machine: walks folders, groups split files, shows each content once, and tells apart what can be
chatted with, what is whole but no chat model, and what is broken. Blocking; meant for a thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from tui.base.splitfile import first_part, part_of
from tui.base.text import one_line
from tui.base.userpath import user_path
from tui.models import changes, samecontent
from tui.models.folders import Folder
from tui.models.headercache import CachedHeader, HeaderCache, Stamp
from tui.models.headermemo import HeaderMemo
from tui.models.info import ModelInfo
from tui.models.modelfile import LASTING, ModelFileError, missing_part, os_error, read_model, require_chat_model
from tui.models.purpose import Kind, why_not
from tui.models.stores.known import places, store_around, store_of
from tui.models.stores.modelstore import KeptModel, Source
from tui.models.stores.ollama import tags_of
from tui.words.later import Later, later

_NO_FOLDER = later("There is no such folder.")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model lies."""

    path: Path
    """Its first file."""
    source: Source
    name: str = ""
    """What its store calls it, where that is not a file's name."""


class LibraryModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be loaded: `path` is what llama.cpp wants, `paths` all its files."""

    path: Path
    paths: tuple[Path, ...]
    info: ModelInfo
    source: Source
    root: Path | None = None
    """The folder of the library that it was found in; None for a file that somebody named."""
    store_name: str = ""
    """As `Place.name`."""
    also: tuple[Place, ...] = ()
    """Where the same content lies too, under other names or in other stores."""

    @property
    def places(self) -> tuple[Place, ...]:
        """All of them; that of `path` first."""
        return (Place(path=self.path, source=self.source, name=self.store_name), *self.also)


class NotLoadable(msgspec.Struct, frozen=True, kw_only=True):
    """What lies where models are, and is none that can be loaded."""

    path: Path
    why: Later
    """In one sentence."""
    store_name: str = ""
    """As `Place.name`."""

    @property
    def reason(self) -> str:
        """Why not and what to do instead, in the language in use, safe for a terminal."""
        return one_line(str(self.why))

    @property
    def name(self) -> str:
        """What to call it."""
        return self.store_name or self.path.name


class OtherFile(NotLoadable, frozen=True, kw_only=True):
    """A whole GGUF file that is no chat model (`tui.models.purpose`), or what a store keeps in another format."""

    kind: Kind


class BrokenFile(NotLoadable, frozen=True, kw_only=True):
    """A file or folder that cannot be used."""


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found. Models are sorted by name, then size; the rest by path."""

    models: tuple[LibraryModel, ...] = ()
    other: tuple[OtherFile, ...] = ()
    broken: tuple[BrokenFile, ...] = ()
    seen: tuple[changes.Seen, ...] = ()
    """The folders and files that were looked at, as they were."""

    def has_same(self, other: Library) -> bool:
        """Whether what people see of both is the same, whenever each was looked for."""
        return (self.models, self.other, self.broken) == (other.models, other.other, other.broken)

    @property
    def is_up_to_date(self) -> bool:
        """Whether another scan would find the same, as far as sizes and times tell. Blocking, for a thread."""
        return changes.is_as_seen(self.seen)


def scan(
    folders: Sequence[Folder], cache_file: Path, on_model: Callable[[LibraryModel], None] | None = None
) -> Library:
    """Find all models in `folders` and below; where one shows twice (links, copies), the first folder wins and the
    others are in its `also`.

    `on_model` is called with each model as it is found, unsorted. Raises nothing: what cannot be read is in `broken`.
    """
    cache = HeaderCache(cache_file)
    cache.load()
    finder = _Finder(cache)
    for folder in folders:
        for model in finder.models(folder):
            if on_model:
                on_model(model)
    cache.save()
    return finder.library()


def sorted_library(
    models: Sequence[LibraryModel],
    other: Sequence[OtherFile] = (),
    broken: Sequence[BrokenFile] = (),
    seen: tuple[changes.Seen, ...] = (),
) -> Library:
    """A library of these, in its order."""
    return Library(
        models=tuple(sorted(models, key=lambda model: (model.info.name.casefold(), model.info.size_bytes, model.path))),
        other=tuple(sorted(other, key=lambda file: file.path)),
        broken=tuple(sorted(broken, key=lambda file: file.path)),
        seen=seen,
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
    root, source = store_around(path, places())
    name = next(iter(tags_of(path)), "")
    if name:
        info = msgspec.structs.replace(info, name=name)
    return LibraryModel(path=parts[0], paths=parts, info=info, source=source, root=root, store_name=name)


class _Finder:
    """One scan: remembers which folders and files were seen already, by device and inode."""

    def __init__(self, cache: HeaderCache) -> None:
        self._models: list[LibraryModel] = []
        self._other: list[OtherFile] = []
        self._broken: list[BrokenFile] = []
        self._also: dict[Path, list[Place]] = {}
        self._cache = cache
        self._memo = HeaderMemo()
        self._places = places()
        self._sources: dict[Path, Source] = {}
        """Whose a folder within one of the user's is."""
        self._folders: set[tuple[int, int]] = set()
        self._files: dict[tuple[int, int], Path] = {}
        """The path under which each file was seen first."""
        self._by_size: dict[tuple[int, ...], list[_Sized]] = {}
        self._seen: dict[str, changes.Seen] = {}

    def library(self) -> Library:
        """All that was found."""
        models = (
            msgspec.structs.replace(model, also=tuple(self._also[model.path])) if model.path in self._also else model
            for model in self._models
        )
        return sorted_library(tuple(models), self._other, self._broken, tuple(self._seen.values()))

    def models(self, folder: Folder) -> Iterator[LibraryModel]:
        """The models in a folder, and by the way what is other and broken."""
        store = store_of(folder.source)
        self._note(folder.path)
        for root in store.roots(folder.path) if store else (folder.path,):
            if store:
                self._note(root.parent)  # a repository whose first snapshot is still to come
            for directory, names in self._walk(root, folder.must_exist):
                for first in sorted({first_part(name) for name in names}):
                    path = Path(directory, first)
                    if model := self._take(folder, KeptModel(path=path, name=""), self._read(folder, path, names)):
                        yield model
        for path in store.watched(folder.path) if store else ():
            self._note(path)
        for kept in store.kept(folder.path) if store else ():
            if kept.why_not is not None:
                self._other.append(OtherFile(path=kept.path, kind="other", why=kept.why_not, store_name=kept.name))
            elif model := self._take(folder, kept, self._read(folder, kept.path, {kept.path.name}, kept.name)):
                yield model

    def _take(self, folder: Folder, kept: KeptModel, entry: CachedHeader | None) -> LibraryModel | None:
        """The model if it is one, and a new one; what is none is noted."""
        if entry is None:
            return None
        path, info, name = kept.path, entry.info, kept.name
        if info is not None and (why := why_not(info.kind, info.arch)):
            self._other.append(OtherFile(path=path, kind=info.kind, why=why, store_name=name))
        elif info is not None:
            # One of the user's folders may be a part of another program's.
            source = folder.source if folder.source != "folder" else self._source_at(path.parent)
            model = LibraryModel(
                path=path,
                paths=(path,) if len(entry.stamps) == 1 else tuple(Path(stamp[0]) for stamp in entry.stamps),
                info=msgspec.structs.replace(info, name=name) if name else info,
                source=source,
                root=folder.path,
                store_name=name,
            )
            if self._is_new(model, entry):
                self._models.append(model)
                return model
        elif entry.why is not None and entry.kind is not None:
            self._other.append(OtherFile(path=path, kind=entry.kind, why=entry.why, store_name=name))
        elif entry.why is not None:
            self._broken.append(BrokenFile(path=path, why=entry.why, store_name=name))
        return None

    def _source_at(self, directory: Path) -> Source:
        if directory not in self._sources:
            self._sources[directory] = store_around(directory / "file", self._places)[1]
        return self._sources[directory]

    def _is_new(self, model: LibraryModel, entry: CachedHeader) -> bool:
        """Whether no model of the same content was found before; if one was, that has one place more."""
        one = _Sized(model, entry, samecontent.known_sha256(model.path) if len(model.paths) == 1 else "")
        alike = self._by_size.setdefault(tuple(stamp[1] for stamp in entry.stamps), [])
        for other in alike:
            if self._is_same(one, other):
                self._also.setdefault(other.model.path, []).append(model.places[0])
                return False
        alike.append(one)
        return True

    def _is_same(self, one: _Sized, other: _Sized) -> bool:
        if one.sha256 and other.sha256:
            return one.sha256 == other.sha256
        first, second = self._fingerprint(one), self._fingerprint(other)
        return first == second and first is not None

    def _fingerprint(self, one: _Sized) -> bytes | None:
        """None for what can no longer be read."""
        if not one.entry.fingerprint:
            try:
                found = samecontent.fingerprint(one.model.paths, one.model.info)
            except OSError:
                return None
            one.entry = msgspec.structs.replace(one.entry, fingerprint=found)
            self._cache.put(one.entry)
        return one.entry.fingerprint

    def _walk(self, root: Path, must_exist: bool) -> Iterator[tuple[str, set[str]]]:
        """Folders that hold GGUF files, depth first, each once however many links lead to it."""
        pending = [str(root)]
        while pending:
            directory = pending.pop()
            names: set[str] = set()
            below: list[str] = []
            self._note(directory)
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
                    self._broken.append(BrokenFile(path=root, why=_NO_FOLDER))
                continue
            except OSError as error:
                self._broken.append(BrokenFile(path=Path(directory), why=os_error(Path(directory), error).why))
                continue
            except ValueError:  # a zero byte, which no name has
                self._broken.append(BrokenFile(path=root, why=_NO_FOLDER))
                continue
            pending.extend(sorted(below, reverse=True))
            if names:
                yield directory, names

    def _note(self, path: Path | str) -> None:
        """Remember how it is before it is looked at: what changes meanwhile is found by the next scan."""
        if (key := str(path)) not in self._seen:
            self._seen[key] = changes.noted(key)

    def _first_time(self, status: os.stat_result) -> bool:
        key = (status.st_dev, status.st_ino)
        if key in self._folders:
            return False
        self._folders.add(key)
        return True

    def _read(self, folder: Folder, first: Path, beside: set[str], name: str = "") -> CachedHeader | None:
        """What the model is whose first file is `first`; None when it was seen already, which is noted as a place of
        that one."""
        parts = part_of(first)[1]
        stamps: list[Stamp] = []
        try:
            for part in parts:
                if len(parts) > 1 and part.name not in beside:
                    raise missing_part(parts, part)
                status = part.stat()
                self._seen[str(part)] = (str(part), status.st_size, status.st_mtime_ns)
                if part is parts[0]:
                    earlier = self._files.setdefault((status.st_dev, status.st_ino), first)
                    if earlier is not first:
                        place = Place(path=first, source=folder.source, name=name)
                        self._also.setdefault(earlier, []).append(place)
                        return None
                stamps.append((str(part), status.st_size, status.st_mtime_ns))
            if cached := self._cache.get(tuple(stamps)):
                return cached
            entry = CachedHeader(tuple(stamps), read_model(parts, self._memo))
        except OSError as error:
            self._note(first)
            return CachedHeader(((str(first), 0, 0),), None, os_error(first, error).why)
        except ModelFileError as error:
            if error.kind not in LASTING:
                return CachedHeader(((str(first), 0, 0),), None, error.why, error.purpose)
            entry = CachedHeader(tuple(stamps), None, error.why)
        if entry.info is None or entry.info.kind != "unknown":  # another llama.cpp may know it
            self._cache.put(entry)
        return entry


class _Sized:
    """A model among others of its size, and what is known of its content."""

    def __init__(self, model: LibraryModel, entry: CachedHeader, sha256: str) -> None:
        self.model, self.entry, self.sha256 = model, entry, sha256


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads nowhere or in a circle is no folder; a file of that name would be reported.
        return False
