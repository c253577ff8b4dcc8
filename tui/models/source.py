"""Where the bytes of a GGUF file come from: a file on disk, bytes in memory, or anything that reads a range, so that
an HTTP server can serve too. Knows nothing of GGUF."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tui.words import mark


class ByteSource(Protocol):
    """A run of bytes that can be read in any order."""

    @property
    def size(self) -> int | None:
        """Bytes in all; None when that is not known."""

    def read_at(self, offset: int, n: int) -> bytes:
        """`n` bytes from `offset` on, fewer only at the end. Raises OSError when reading fails."""


class BytesSource:
    """Bytes in memory, such as the beginning of a download."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size: int | None = len(data)

    def read_at(self, offset: int, n: int) -> bytes:
        return self._data[offset : offset + n]


class FileSource:
    """A regular file, opened until `close` or the end of the `with` block.

    Raises OSError (IsADirectoryError, PermissionError, FileNotFoundError among others) when it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        # Opening a pipe or a device would wait, perhaps for ever: O_NONBLOCK, and a look at what it is.
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.stat = os.fstat(self._fd)
        self.size: int | None = self.stat.st_size
        if not stat.S_ISREG(self.stat.st_mode):
            self.close()
            kind = IsADirectoryError if stat.S_ISDIR(self.stat.st_mode) else OSError
            raise kind(None, mark("not a regular file"), str(path))
        if sys.platform != "darwin":
            # A header is looked at here and there: what the system reads ahead would be ten times as much.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_RANDOM)

    def read_at(self, offset: int, n: int) -> bytes:
        return os.pread(self._fd, n, offset)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
