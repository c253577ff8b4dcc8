"""What was learned from GGUF headers, kept between starts in one file. It may vanish or be damaged at any time: that
costs time and nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

import msgspec

from tui import private
from tui.models.info import ModelInfo
from tui.models.purpose import Kind

_LOG = logging.getLogger(__name__)
_VERSION = 3
"""To be raised whenever `ModelInfo` changes or is computed in another way."""

Stamp = tuple[str, int, int]
"""Path, size in bytes and time of the last change in nanoseconds of one file."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What the files with these stamps hold: a model, or the reason why they cannot be used, and what else they are for
    where that is known."""

    stamps: tuple[Stamp, ...]
    info: ModelInfo | None = None
    reason: str = ""
    kind: Kind | None = None


class _File(msgspec.Struct, frozen=True, array_like=True):
    version: int
    entries: tuple[Entry, ...]


class HeaderCache:
    """Entries by the path of a model's first file. `load`, use `get` and `put`, then `save`: entries that were neither
    found nor put since are gone from the file after that."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._old: dict[str, Entry] = {}
        self._new: dict[str, Entry] = {}
        self._changed = False

    def load(self) -> None:
        """Read the file; a missing, damaged or outdated one counts as empty."""
        try:
            found = msgspec.msgpack.decode(self._file.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            _LOG.info("no cache of model headers at %s: %s", self._file, error)
            return
        if found.version == _VERSION:
            self._old = {entry.stamps[0][0]: entry for entry in found.entries if entry.stamps}

    def get(self, stamps: tuple[Stamp, ...]) -> Entry | None:
        """The entry for these files if none of them changed."""
        entry = self._old.get(stamps[0][0])
        if entry is None or entry.stamps != stamps:
            return None
        self._new[stamps[0][0]] = entry
        return entry

    def put(self, entry: Entry) -> None:
        """Remember an entry."""
        self._new[entry.stamps[0][0]] = entry
        self._changed = True

    def save(self) -> None:
        """Write what is in use, replacing the file in one step; nothing is written when nothing changed."""
        if not self._changed and self._new.keys() == self._old.keys():
            return
        try:
            data = msgspec.msgpack.encode(_File(_VERSION, tuple(self._new.values())))
            _replace(self._file, data)
        except (OSError, OverflowError) as error:
            _LOG.warning("the cache of model headers could not be written to %s: %s", self._file, error)


def _replace(path: Path, data: bytes) -> None:
    private.folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
