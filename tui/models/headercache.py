"""What was learned from GGUF headers, kept between starts in one file. It may vanish, be damaged or have something else
in its place at any time: that costs time and nothing else."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from tui.base import private
from tui.base.smallfile import read_small
from tui.models.info import ModelInfo
from tui.models.purpose import Kind
from tui.words.later import Later

_LOG = logging.getLogger(__name__)
_DIGEST_BYTES = 16
_MOST_BYTES = 64 << 20
VERSION = 11
"""To be raised whenever `ModelInfo` changes or is computed in another way, and when a reason is worded differently."""

Stamp = tuple[str, int, int]
"""Path, size in bytes and time of the last change in nanoseconds of one file."""


class CachedHeader(msgspec.Struct, frozen=True, array_like=True):
    """What the files with these stamps hold: a model, or why they cannot be used, and what else they are for where that
    is known."""

    stamps: tuple[Stamp, ...]
    info: ModelInfo | None = None
    why: Later | None = None
    kind: Kind | None = None
    fingerprint: bytes = b""
    """Of the content (`tui.models.samecontent`), where it had to be compared with another."""


class _CacheFile(msgspec.Struct, frozen=True, array_like=True):
    version: int
    entries: tuple[CachedHeader, ...]


class HeaderCache:
    """Entries by the path of a model's first file. `load`, use `get` and `put`, then `save`: entries that were neither
    found nor put since are gone from the file after that."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._old: dict[str, CachedHeader] = {}
        self._new: dict[str, CachedHeader] = {}
        self._changed = False

    def load(self) -> None:
        """Read the file; a missing, damaged or outdated one counts as empty."""
        try:
            raw = read_small(self._file, _MOST_BYTES)
            digest, data = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
            if digest != _digest(data):
                _LOG.info("the cache of model headers at %s is damaged or of another version", self._file)
                return
            found = msgspec.msgpack.decode(data, type=_CacheFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _LOG.info("no cache of model headers at %s: %s", self._file, error)
            return
        if found.version == VERSION:
            self._old = {entry.stamps[0][0]: entry for entry in found.entries if entry.stamps}

    def get(self, stamps: tuple[Stamp, ...]) -> CachedHeader | None:
        """The entry for these files if none of them changed."""
        entry = self._old.get(stamps[0][0])
        if entry is None or entry.stamps != stamps:
            return None
        self._new[stamps[0][0]] = entry
        return entry

    def put(self, entry: CachedHeader) -> None:
        """Remember an entry."""
        self._new[entry.stamps[0][0]] = entry
        self._changed = True

    def save(self) -> None:
        """Write what is in use, replacing the file in one step; nothing is written when nothing changed."""
        if not self._changed and self._new.keys() == self._old.keys():
            return
        try:
            data = msgspec.msgpack.encode(_CacheFile(VERSION, tuple(self._new.values())))
            private.write_file(self._file, _digest(data) + data, is_durable=False)
        except (OSError, OverflowError) as error:
            _LOG.warning("the cache of model headers could not be written to %s: %s", self._file, error)


def _digest(data: bytes) -> bytes:
    """Of what is kept: a figure that is damaged within may still be a figure."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
