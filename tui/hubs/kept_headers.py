"""Headers of remote files that were read before, a file each in a folder of the cache. They may vanish or be damaged:
that costs time and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from pathlib import Path

import msgspec

from tui.base import private
from tui.base.smallfile import read_small
from tui.hubs.records import Variant
from tui.models.headercache import VERSION
from tui.models.info import ModelInfo

_LOG = logging.getLogger(__name__)
_DIGEST_BYTES = 16
_MOST_BYTES = 4 << 20
_MOST_FILES = 2000
"""Some 10 KB each; the oldest go."""


class KeptHeaders:
    """What `tui.hubs.remote_header` has read, by what the files hold and not by where they lie: the same file on the
    other hub is known too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, variant: Variant) -> ModelInfo | None:
        """What was read of it before."""
        if (path := self._path(variant)) is None:
            return None
        try:
            raw = read_small(path, _MOST_BYTES)
            digest, data = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
            return msgspec.msgpack.decode(data, type=ModelInfo) if digest == _digest(data) else None
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _LOG.info("no kept header at %s: %s", path, error)
            return None

    def put(self, variant: Variant, info: ModelInfo) -> None:
        """Keep it, as far as there is room."""
        if (path := self._path(variant)) is None:
            return
        try:
            data = msgspec.msgpack.encode(info)
            private.write_file(path, _digest(data) + data, is_durable=False)
            self._remove_oldest()
        except (OSError, OverflowError) as error:
            _LOG.warning("a header could not be kept at %s: %s", path, error)

    def _remove_oldest(self) -> None:
        files = list(self._folder.glob("*.msgpack"))
        if len(files) <= _MOST_FILES:
            return
        by_age = sorted((file.stat().st_mtime, file) for file in files)
        for _, file in by_age[: len(files) - _MOST_FILES * 9 // 10]:
            with contextlib.suppress(OSError):
                file.unlink()

    def _path(self, variant: Variant) -> Path | None:
        """None where nothing tells whether it is still the same: a branch without commit and sums."""
        told = [
            file.sha256 or (variant.commit and f"{variant.repo.name}@{variant.commit}/{file.path}")
            for file in variant.files
        ]
        if not all(told):
            return None
        name = hashlib.blake2b("\n".join([str(VERSION), *told]).encode(), digest_size=20).hexdigest()
        return self._folder / f"{name}.msgpack"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
