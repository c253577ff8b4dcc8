"""A file while it is being fetched: `NAME.part`, and beside it `NAME.part.json`, which says what of it is there.

The record is a journal. Its first line says what file this is and which of its bytes are on the disk for certain; each
line behind it adds a range that was written since. A killed process leaves both: what was written stays in the system's
memory. After a power cut only the first line holds, for the others may have reached the disk before what they tell of;
that the machine was started since is seen by its boot id.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path

import msgspec

from tui.base.newfile import NewFile
from tui.downloads.failures import FetchError, StoppedError, of_the_disk
from tui.downloads.ranges import Ranges

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOST_OF_A_JOURNAL = 16 << 20


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which bytes a file shall have."""

    size: int
    sha256: str = ""
    """In lower case; "" when it is not known."""
    source: str = ""
    """Repository, commit and path, which tell files apart whose sum is not known."""

    def is_same(self, other: Identity) -> bool:
        """Whether bytes of the other one belong to this one, too."""
        if self.size != other.size:
            return False
        return self.sha256 == other.sha256 if self.sha256 and other.sha256 else self.source == other.source


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of the journal."""

    identity: Identity
    etag: str = ""
    boot: str = ""
    ranges: tuple[tuple[int, int], ...] = ()


def part_of(target: Path) -> Path:
    """Where a file is until it is whole."""
    return target.with_name(target.name + ".part")


def journal_of(target: Path) -> Path:
    """What tells how much of it is there."""
    return target.with_name(target.name + ".part.json")


def n_there(target: Path, identity: Identity) -> int:
    """Bytes that need not be fetched again. Asks for no lock."""
    head, ranges = _read(journal_of(target))
    try:
        size = part_of(target).stat().st_size
    except OSError:
        return 0
    if head is None or not head.identity.is_same(identity):
        return 0
    return Ranges((start, min(end, size, identity.size)) for start, end in ranges).total


def discard(target: Path) -> None:
    """Remove what was fetched of a file that nobody is fetching now. Raises `FetchError`."""
    for path in (part_of(target), journal_of(target)):
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise of_the_disk(error) from error


class Part:
    """The part of one file, locked for as long as it is open. All threads may `write`; `close` it. Making it and all
    that it does raise `FetchError`; its kind is "elsewhere" when another process has the file."""

    def __init__(self, target: Path, identity: Identity) -> None:
        self.target, self.identity = target, identity
        self.etag = ""
        """Of the answer that the bytes came with."""
        self.generation = 0
        """Counts how often it was begun again."""
        self._had = Ranges()
        self._lock = threading.Lock()
        self._journal = -1
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._fd = _locked(part_of(target))
        except OSError as error:
            raise of_the_disk(error) from error
        try:
            self._take_up()
        except OSError as error:
            self.close()
            raise of_the_disk(error) from error

    def _take_up(self) -> None:
        head, ranges = _read(journal_of(self.target))
        size = os.fstat(self._fd).st_size
        certain: tuple[tuple[int, int], ...] = ()
        if head is not None and head.identity.is_same(self.identity):
            self.etag = head.etag
            self._had = Ranges((start, min(end, size, self.identity.size)) for start, end in ranges)
            certain = head.ranges
        if size != self.identity.size:
            os.ftruncate(self._fd, self.identity.size)  # a disk that cannot hold such a file says so here
        self._write_journal(certain)

    @property
    def n_bytes(self) -> int:
        """How many are there."""
        with self._lock:
            return self._had.total

    @property
    def front(self) -> tuple[int, int]:
        """The generation, and up to where nothing is missing."""
        with self._lock:
            return self.generation, self._had.front

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.n_bytes == self.identity.size

    def had(self) -> Ranges:
        """What is there, as a copy."""
        with self._lock:
            return Ranges(self._had)

    def read_at(self, offset: int, view: memoryview) -> int:
        """Read what is there."""
        try:
            return os.preadv(self._fd, [view], offset)
        except OSError as error:
            raise of_the_disk(error) from error

    def write(self, offset: int, data: memoryview, generation: int) -> None:
        """Put bytes where they belong, and note that. Raises `StoppedError` when it was begun again meanwhile."""
        at = offset
        try:
            while at < offset + len(data):
                self._check(generation)
                at += os.pwrite(self._fd, data[at - offset :], at)
            with self._lock:
                self._check(generation)
                os.write(self._journal, b"[%d,%d]\n" % (offset, at))
                self._had.add(offset, at)
        except OSError as error:
            raise of_the_disk(error) from error

    def _check(self, generation: int) -> None:
        if generation != self.generation or self._fd < 0:
            raise StoppedError

    def reset(self, etag: str) -> None:
        """Begin again: nothing of what is there belongs to the file."""
        try:
            with self._lock:
                self.generation += 1
                self._had, self.etag = Ranges(), etag
                os.ftruncate(self._fd, 0)
                os.ftruncate(self._fd, self.identity.size)
                self._write_journal(())
        except OSError as error:
            raise of_the_disk(error) from error

    def name(self, etag: str) -> None:
        """Note which answer the bytes come with, where that was not known."""
        with self._lock:
            self.etag = etag

    def checkpoint(self) -> None:
        """Put on the disk what is there, so that it outlives a power cut."""
        with self._lock:
            generation, certain = self.generation, tuple(self._had)
        try:
            os.fdatasync(self._fd)
            with self._lock:
                if generation == self.generation:
                    self._write_journal(certain)
        except OSError as error:
            raise of_the_disk(error) from error

    def _write_journal(self, certain: tuple[tuple[int, int], ...]) -> None:
        head = _Head(identity=self.identity, etag=self.etag, boot=_boot_id(), ranges=certain)
        path = journal_of(self.target)
        with NewFile(path.parent) as new:
            new.stream.write(msgspec.json.encode(head) + b"\n")
            new.stream.writelines(b"[%d,%d]\n" % one for one in self._had)
            new.become(path, is_synced=bool(certain))
        if self._journal >= 0:
            os.close(self._journal)
        self._journal = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def finish(self) -> None:
        """Give it its name. Nothing that has this name already is replaced: then it raises "taken"."""
        part = part_of(self.target)
        try:
            os.fsync(self._fd)
            try:
                os.link(part, self.target)
            except FileExistsError as error:
                raise FetchError("taken", str(self.target)) from error
            except OSError as error:  # a disk without links
                if self.target.exists():
                    raise FetchError("taken", str(self.target)) from error
                part.rename(self.target)
            part.unlink(missing_ok=True)
            journal_of(self.target).unlink(missing_ok=True)
            folder = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with contextlib.suppress(OSError):  # not on every disk
                    os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise of_the_disk(error) from error

    def discard(self) -> None:
        """Remove it."""
        discard(self.target)

    def close(self) -> None:
        """Let others have it; safe to call twice."""
        with self._lock:
            for descriptor in (self._journal, self._fd):
                if descriptor >= 0:
                    with contextlib.suppress(OSError):  # a full disk; what was written was noted before
                        os.close(descriptor)
            self._journal = self._fd = -1
            self.generation += 1


def _locked(path: Path) -> int:
    """The part file, opened, made where it is missing, and locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise FetchError("elsewhere", str(path)) from error
        except OSError:  # not on every disk
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # whoever had it has finished or removed it


def _read(path: Path) -> tuple[_Head | None, list[tuple[int, int]]]:
    """What a journal tells, as far as it can be relied on."""
    try:
        with path.open("rb") as file:
            first, *lines = file.read(_MOST_OF_A_JOURNAL).split(b"\n")
        head = msgspec.json.decode(first, type=_Head)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None, []
    ranges = list(head.ranges)
    if head.boot and head.boot == _boot_id():
        for line in lines[:-1]:  # the last one is empty, or was being written
            with contextlib.suppress(msgspec.MsgspecError):
                ranges.append(msgspec.json.decode(line, type=tuple[int, int]))
    return head, [one for one in ranges if 0 <= one[0] < one[1]]


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
