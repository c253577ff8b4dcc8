"""What was written and not sent, kept for the next start: while it is written, for nobody knows how llmtui ends, and at
the end. Blocking."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path

from tui.base import private

SEPARATOR = "\n\n"
"""Between texts that become one."""
_MOST_BYTES = 64 << 20
"""Of one draft; what was pasted may be large, what nobody wrote is not read."""


class Drafts:
    """The drafts of one process, in a folder that several share. A locked file says that it lives, and that its drafts
    are nobody else's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._id = uuid.uuid4().hex
        self._file = folder / f"{self._id}.txt"
        self._kept = ""
        self._taken: list[Path] = []
        """Files of earlier runs whose text is in the input now: they go when that is kept."""
        self._mark: int | None = None
        self._lock = threading.Lock()

    def are_kept(self, texts: Iterable[str]) -> bool:
        """Whether `keep` would change nothing. Does not wait for the disk."""
        return self._mark is not None and not self._taken and _joined(texts) == self._kept

    def keep(self, texts: Iterable[str]) -> None:
        """Keep these as one, in place of what was kept before, as long as this process lives. Raises OSError."""
        with self._lock:
            if self._set_mark():
                self._keep(texts)

    def close(self, texts: Iterable[str]) -> None:
        """Keep these for whoever starts next. Raises OSError: then what was kept last is what stays."""
        with self._lock:
            try:
                self._keep(texts)
            finally:
                self._remove_mark()

    def take(self) -> str:
        """What earlier runs have kept, the oldest first. It is gone once `keep` or `close` could keep what became of
        it."""
        found: list[tuple[float, str]] = []
        with self._lock, contextlib.suppress(OSError):
            files = sorted(self._folder.glob("*.txt"))
            if files:
                self._set_mark()
            for mark in self._folder.glob("*.lock"):
                self._is_anothers(mark)  # else it goes
            for file in files:
                if not self._is_anothers(file):
                    with contextlib.suppress(OSError):  # another instance took it, or it cannot be read
                        found.append(self._take(file))
        return SEPARATOR.join(text for _, text in sorted(found))

    def _keep(self, texts: Iterable[str]) -> None:
        text = _joined(texts)
        if text and text != self._kept:
            private.write_file(self._file, text.encode("utf-8", "replace"), is_durable=False)
        elif not text and self._kept:
            self._file.unlink(missing_ok=True)
        self._kept = text
        while self._taken:
            with contextlib.suppress(OSError):  # read-only: it comes again
                self._taken.pop().unlink()

    def _take(self, file: Path) -> tuple[float, str]:
        """Time and text of a file, which has a name of ours then."""
        with os.fdopen(private.open_file(file, os.O_RDONLY), "rb") as stream:
            entry = os.fstat(stream.fileno()).st_mtime, stream.read(_MOST_BYTES).decode("utf-8", "replace")
        ours = self._folder / f"{self._id}-{len(self._taken)}.txt"
        try:
            file.rename(ours)
        except FileNotFoundError:
            raise
        except OSError:  # a read-only disk
            ours = file
        self._taken.append(ours)
        return entry

    # The mark ---------------------------------------------------------------------------------------------------------

    def _set_mark(self) -> bool:
        """Say that this process lives; whether that could be said."""
        if self._mark is None:
            with contextlib.suppress(OSError):  # a full disk, or one without locks
                private.folder(self._folder)
                mark = private.open_file(self._mark_of(self._file), os.O_RDWR | os.O_CREAT)
                try:
                    fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    is_there = os.fstat(mark).st_nlink > 0  # else another has taken it for that of a dead one
                except OSError:
                    is_there = False
                if is_there:
                    self._mark = mark
                else:
                    os.close(mark)
        return self._mark is not None

    def _remove_mark(self) -> None:
        if self._mark is not None:
            with contextlib.suppress(OSError):  # of a disk that is read-only by now
                self._mark_of(self._file).unlink(missing_ok=True)
            os.close(self._mark)
            self._mark = None

    def _is_anothers(self, file: Path) -> bool:
        """Whether another process that lives has written it or taken it; the mark of a dead one is removed."""
        mark = self._mark_of(file)
        if mark == self._mark_of(self._file):
            return True  # taken before
        try:
            descriptor = private.open_file(mark, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark.unlink(missing_ok=True)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return False

    def _mark_of(self, file: Path) -> Path:
        return self._folder / f"{file.stem.partition('-')[0]}.lock"


def _joined(texts: Iterable[str]) -> str:
    return SEPARATOR.join(filter(str.strip, texts))
