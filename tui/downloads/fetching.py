"""One order, fetched here and now: its files one after the other, into the folder that it names. Both the process
behind the queue and the command line come here."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tui.downloads import partfile
from tui.downloads.connection import Address, Stop
from tui.downloads.failures import FetchError, StoppedError, of_the_disk, of_the_hub
from tui.downloads.pace import Pace
from tui.downloads.partfile import Identity, Part
from tui.downloads.records import RESERVE_BYTES, Download, DownloadState, Order, OrderedFile, Problem
from tui.downloads.summing import sum_of
from tui.downloads.transfer import Effort, Transfer
from tui.hubs import errors
from tui.hubs.interface import HubError
from tui.hubs.records import FoundRepo, Location, RemoteFile, Repo
from tui.hubs.registry import new_hub
from tui.hubs.safe_names import is_safe_path

_SPACE_S = 1.0
_SPEED_S = 5.0
"""The speed is that of the last seconds."""

Locate = Callable[[Order, OrderedFile], Location]
"""Where the bytes of a file are. Raises `HubError`."""
Listener = Callable[[Download], None]
Whole = dict[str, int]
"""Files of an order that are known to be right, with the time of their last change in nanoseconds."""


def location_of(order: Order, file: OrderedFile) -> Location:
    """As the hub says. Raises `HubError`, also where the user wants nothing to be asked."""
    errors.check_online(order.repo.hub)
    repo = Repo(id=order.repo, commit=order.commit, found=FoundRepo(id=order.repo))
    return new_hub(order.repo.hub).location(
        repo, RemoteFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
    )


def target_of(order: Order, file: OrderedFile) -> Path:
    """Where a file goes. Raises `FetchError` for a name that leads out of the folder, whoever gave it."""
    folder = Path(order.folder)
    if not is_safe_path(file.path) or not folder.is_absolute():
        raise FetchError("name", file.path)
    return folder / file.path


def n_there(order: Order) -> int:
    """Bytes of an order that are on the disk; asks no hub and takes no lock."""
    return sum(_n_there(target_of(order, file), _identity(order, file)) for file in order.files)


def fetch(
    order: Order,
    on_progress: Listener,
    should_stop: Callable[[], bool],
    *,
    locate: Locate = location_of,
    effort: Effort | None = None,
    pace: Pace | None = None,
    whole: Whole | None = None,
) -> bool:
    """Fetch what is missing of an order; False when `should_stop` said so before all was there.

    Both are called in this thread several times a second. What is there stays, however it ends, and the next call goes
    on from it. `whole` is what an earlier call has found right; what this one finds is added. Raises `FetchError`: what
    passes by itself was waited for by then.
    """
    job = _Job(order, on_progress, should_stop, pace or Pace(), {} if whole is None else whole)
    try:
        job.run(locate, effort or Effort())
    except StoppedError:
        return False
    return True


def remove(order: Order, whole: Whole) -> None:
    """Remove what was fetched of an order that nobody is fetching: its parts, and the files that are known to be ours.
    Raises `FetchError`."""
    for file in order.files:
        target = target_of(order, file)
        try:
            if partfile.part_of(target).exists():
                Part(target, _identity(order, file)).close()  # raises where another process is at it
            partfile.discard(target)
            if file.path in whole and target.stat().st_mtime_ns == whole[file.path]:
                target.unlink()
            _remove_empty(target.parent, Path(order.folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise of_the_disk(error) from error


def _remove_empty(folder: Path, top: Path) -> None:
    """Folders that were made for this order alone: those with nothing in them, up to the one of the author."""
    for each in (folder, *folder.parents):
        if not each.is_relative_to(top) and each != top.parent:
            return
        try:
            each.rmdir()
        except OSError:
            return


def _identity(order: Order, file: OrderedFile) -> Identity:
    source = "\n".join((order.repo.hub, order.repo.name, order.commit or order.repo.revision, file.path))
    return Identity(size=file.size_bytes, sha256=file.sha256.lower(), source=source)


def _n_there(target: Path, identity: Identity) -> int:
    try:
        if target.stat().st_size == identity.size:
            return identity.size
    except OSError:
        pass
    return partfile.n_there(target, identity)


class _Job:
    """One call of `fetch`."""

    def __init__(
        self, order: Order, on_progress: Listener, should_stop: Callable[[], bool], pace: Pace, whole: Whole
    ) -> None:
        self._order, self._on_progress, self._should_stop = order, on_progress, should_stop
        self._pace, self._whole = pace, whole
        self._n_before = 0
        """Of the files that are done with."""
        self._looked_at = 0.0
        self._speed = Speed()

    def run(self, locate: Locate, effort: Effort) -> None:
        targets = [target_of(self._order, file) for file in self._order.files]
        self._check_room(self._order.size_bytes - n_there(self._order))
        for file, target in zip(self._order.files, targets, strict=True):
            if not self._is_there(file, target):
                self._fetch(file, target, locate, effort)
            try:
                self._whole[file.path] = target.stat().st_mtime_ns
            except OSError as error:
                raise of_the_disk(error) from error
            self._n_before += file.size_bytes
        self._say("done", 0, None)

    def _fetch(self, file: OrderedFile, target: Path, locate: Locate, effort: Effort) -> None:
        identity = _identity(self._order, file)
        self._say("fetching", partfile.n_there(target, identity), None)
        try:
            location = locate(self._order, file)
        except HubError as error:
            raise of_the_hub(error) from error
        part = Part(target, identity)
        try:
            address = Address(self._order.repo, location)
            Transfer(part, address, effort, self._pace, tell=self._say, check=self._check).run()
        finally:
            part.close()

    def _is_there(self, file: OrderedFile, target: Path) -> bool:
        """Whether the file is there and right. Raises `FetchError` when another one has its name."""
        try:
            found = target.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise of_the_disk(error) from error
        if self._whole.get(file.path) != found.st_mtime_ns:
            self._say("checking", file.size_bytes, None)
            identity = _identity(self._order, file)
            if found.st_size != file.size_bytes or (identity.sha256 and self._sum(target) != identity.sha256):
                raise FetchError("taken", str(target))
        partfile.discard(target)  # its second name, of a process that was killed in between
        return True

    def _sum(self, target: Path) -> str:
        stop = _Asking(self._should_stop)
        return sum_of(target, stop)

    def _check(self) -> None:
        if self._should_stop():
            raise StoppedError
        if (now := time.monotonic()) - self._looked_at >= _SPACE_S:
            self._looked_at = now
            self._check_room(0)

    def _check_room(self, needed: int) -> None:
        """Raises `FetchError` when so many bytes more would leave less than the reserve."""
        folder = Path(self._order.folder)
        try:
            while not folder.exists():
                folder = folder.parent
            disk = os.statvfs(folder)
        except OSError as error:
            raise of_the_disk(error) from error
        reserve = min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // 50)  # less of a small disk
        missing = needed + reserve - disk.f_bavail * disk.f_frsize
        if missing > 0:
            raise FetchError("disk_full", str(missing))

    def _say(self, state: DownloadState, n_bytes: int, problem: Problem | None) -> None:
        n_bytes += self._n_before
        speed = self._speed.at(n_bytes, time.monotonic()) if state == "fetching" else 0.0
        self._on_progress(Download(order=self._order, state=state, n_bytes=n_bytes, bytes_per_s=speed, problem=problem))


class _Asking(Stop):
    """A stop that asks somebody."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        super().__init__()
        self._should_stop = should_stop

    def check(self) -> None:
        """Raises `StoppedError` when they say so."""
        if self._should_stop():
            raise StoppedError


class Speed:
    """Bytes a second, of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, n_bytes: int, now: float) -> float:
        """Note how many there are now, and tell the speed; 0 while it is not known."""
        if self._seen and n_bytes < self._seen[-1][1]:  # begun again
            self._seen.clear()
        self._seen.append((now, n_bytes))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _SPEED_S:
            self._seen.popleft()
        since, before = self._seen[0]
        took = now - since
        return (n_bytes - before) / took if took >= 0.5 else 0.0
