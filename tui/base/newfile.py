"""Files that appear whole or not at all: written beside their place under another name, then moved there in one step.
What a process leaves of them that is killed meanwhile is removed by whoever writes into the same folder next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_PREFIX, _SUFFIX = ".llmtui-", ".tmp"
_LONG_S = 3600.0
"""Where files cannot be locked, one that is older was left behind."""


class NewFile:
    """A file in `folder`, for its owner alone. Use it as a context manager, and let it `become` what it is for; else
    nothing stays of it. Making it and all that it does raise OSError."""

    def __init__(self, folder: Path) -> None:
        remove_dead(folder)
        self._path, self.stream = _made(folder)
        """To write into."""
        self._is_there = False

    def become(self, path: Path, *, is_synced: bool = True) -> None:
        """Take the place of `path`, in the same folder, whatever is there. When `is_synced`, what was written is on the
        disk by then."""
        self._finish(is_synced=is_synced)
        self._path.replace(path)
        self._is_there = True

    def become_new(self, path: Path) -> None:
        """As `become`, where nothing is at `path`: raises FileExistsError."""
        self._finish(is_synced=True)
        try:
            os.link(self._path, path)  # the other name goes at the end
        except FileExistsError:
            raise
        except OSError:  # not on every disk: then the name is taken first, as an empty file
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self.become(path)

    def _finish(self, *, is_synced: bool) -> None:
        self.stream.flush()
        if is_synced:
            os.fsync(self.stream.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_there:
            # Nothing is to be said of a file that has no name yet; what went wrong is being raised.
            with contextlib.suppress(OSError):
                self._path.unlink()
        with contextlib.suppress(OSError):  # a full disk, which refuses for the second time what waits to be written
            self.stream.close()


def remove_dead(folder: Path) -> None:
    """Remove what writers left in this folder that were killed. What cannot be removed stays, for the next time."""
    for path in _listing(folder):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if _is_dead(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)


def _made(folder: Path) -> tuple[Path, BinaryIO]:
    """A new file, locked for as long as it is open: so others see that its writer lives. A process id would not do, as
    it is reused, and means nothing to another container with the same home folder."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder)
        with contextlib.suppress(OSError):  # not on every disk
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return Path(name), os.fdopen(descriptor, "wb")
        os.close(descriptor)  # somebody took it for dead before it was locked


def _is_dead(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - os.fstat(descriptor).st_mtime > _LONG_S
    return True


def _listing(folder: Path) -> Iterator[Path]:
    try:
        found = list(folder.iterdir())
    except OSError:
        return
    yield from (path for path in found if path.name.startswith(_PREFIX) and path.suffix == _SUFFIX)
