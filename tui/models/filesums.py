"""SHA-256 of model files, computed when somebody asks and kept with size and time of the file: reading 18 GB takes a
while. The file that keeps them may vanish or be damaged at any time: that costs time and nothing else."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from tui.base import private
from tui.base.smallfile import read_small
from tui.models.source import FileSource

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 4 << 20
_PIECE = 4 << 20


class _KeptSum(msgspec.Struct, frozen=True, kw_only=True):
    size_bytes: int
    mtime_ns: int
    sha256: str


class FileSums:
    """The sums that are kept in a file. Blocking; for a thread."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def known(self, path: Path) -> str:
        """The sum of a file that has not changed since it was computed, in hexadecimal; "" when it is not known."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return ""
        kept = self._load().get(str(path))
        is_same = kept is not None and (kept.size_bytes, kept.mtime_ns) == (status.st_size, status.st_mtime_ns)
        return kept.sha256 if kept is not None and is_same else ""

    def compute(
        self,
        path: Path,
        on_progress: Callable[[float], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> str:
        """Read the file and keep its sum; "" when `should_stop` said so meanwhile. `on_progress` hears which part is
        done, often. Raises OSError."""
        digest, done = hashlib.sha256(), 0
        with FileSource(path) as source:
            size = source.size or 0
            while piece := source.read_at(done, _PIECE):
                if should_stop():
                    return ""
                digest.update(piece)
                done += len(piece)
                on_progress(done / size if size else 1.0)
            kept = _KeptSum(size_bytes=done, mtime_ns=source.stat.st_mtime_ns, sha256=digest.hexdigest())
        self._save({**self._load(), str(path): kept})
        return kept.sha256

    def _load(self) -> dict[str, _KeptSum]:
        try:
            return msgspec.json.decode(read_small(self._file, _MOST_BYTES), type=dict[str, _KeptSum])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _LOG.info("no kept sums at %s: %s", self._file, error)
            return {}

    def _save(self, sums: dict[str, _KeptSum]) -> None:
        here = {path: kept for path, kept in sums.items() if Path(path).exists()}
        try:
            private.write_file(self._file, msgspec.json.encode(here), is_durable=False)
        except OSError as error:
            _LOG.warning("the sums of models could not be written to %s: %s", self._file, error)
