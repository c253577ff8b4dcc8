"""Orders on the disk: what is wanted of each, written by whichever window a person speaks to, and how far it is,
written by the one process that fetches. So they outlive all of them, and several windows show and steer one queue."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from tui.base import private
from tui.downloads.records import Download, DownloadState, Order, Problem

Wish = Literal["fetch", "pause", "cancel", "forget"]
UNFINISHED = ("waiting", "fetching", "checking")
"""States in which somebody has to do something."""
_ORDER, _PROGRESS = ".order.json", ".progress.json"
_LIMIT = "limit.json"
_MOST_BYTES = 8 << 20
_T = TypeVar("_T")


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and what is wanted of it."""

    order: Order
    place: float
    """In the queue; the smallest comes first."""
    wish: Wish = "fetch"
    n_asked: int = 0
    """How often it was asked for: what failed is tried again when somebody asks once more."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is."""

    state: DownloadState = "waiting"
    n_bytes: int = 0
    bytes_per_s: float = 0.0
    problem: Problem | None = None
    n_asked: int = 0
    """Which of its askings this answers."""
    n_retries: int = 0
    whole: dict[str, int] = {}
    """Files that were found right, with their times in nanoseconds."""


class _Limit(msgspec.Struct, frozen=True, kw_only=True):
    bytes_per_s: int = 0


class Shelf:
    """The folder of the orders. All that writes raises OSError; what cannot be read is passed over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[Path, tuple[tuple[int, int, int], object]] = {}

    def orders(self) -> list[Ordered]:
        """In the order of the queue."""
        found = [self._read(path, Ordered) for path in self._files(_ORDER)]
        return sorted((one for one in found if one is not None), key=lambda one: (one.place, one.order.id))

    def order(self, id: str) -> Ordered | None:
        """One of them."""
        return self._read(self._path(id, _ORDER), Ordered)

    def progress(self, id: str) -> Progress:
        """How far one is."""
        return self._read(self._path(id, _PROGRESS), Progress) or Progress()

    @property
    def limit(self) -> int:
        """Bytes a second for all; 0 for none."""
        limit = self._read(self.folder / _LIMIT, _Limit)
        return limit.bytes_per_s if limit is not None else 0

    def put(self, ordered: Ordered) -> None:
        """Write an order and what is wanted of it."""
        private.write_file(self._path(ordered.order.id, _ORDER), msgspec.json.encode(ordered))

    def note(self, id: str, progress: Progress) -> None:
        """Write how far it is."""
        private.write_file(self._path(id, _PROGRESS), msgspec.json.encode(progress), is_durable=False)

    def set_limit(self, bytes_per_s: int) -> None:
        """Write the limit."""
        private.write_file(self.folder / _LIMIT, msgspec.json.encode(_Limit(bytes_per_s=bytes_per_s)))

    def drop(self, id: str) -> None:
        """Remove an order from the shelf."""
        for ending in (_ORDER, _PROGRESS):
            self._path(id, ending).unlink(missing_ok=True)

    def _path(self, id: str, ending: str) -> Path:
        name = hashlib.blake2b(id.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
        return self.folder / f"{name}{ending}"

    def _files(self, ending: str) -> list[Path]:
        try:
            return [self.folder / name for name in os.listdir(self.folder) if name.endswith(ending)]  # noqa: PTH208
        except OSError:
            return []

    def _read(self, path: Path, kind: type[_T]) -> _T | None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            known = self._seen.get(path)
            if known is not None and known[0] == stamp and isinstance(known[1], kind):
                return known[1]
            with path.open("rb") as file:
                value = msgspec.json.decode(file.read(_MOST_BYTES), type=kind)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._seen.pop(path, None)
            return None
        self._seen[path] = stamp, value
        return value


def shown(ordered: Ordered, progress: Progress) -> Download | None:
    """An order as people see it; None for one that is on its way out."""
    if ordered.wish in ("cancel", "forget"):
        return None
    state, problem = progress.state, progress.problem
    if ordered.wish == "pause" and state != "done":
        state, problem = "paused", problem if state == "paused" else None
    elif progress.n_asked != ordered.n_asked and state in ("failed", "paused", "done"):
        state, problem = "waiting", None
    elif state == "paused":
        state = "waiting"
    speed = progress.bytes_per_s if state == "fetching" else 0.0
    return Download(order=ordered.order, state=state, n_bytes=progress.n_bytes, bytes_per_s=speed, problem=problem)


def downloads(shelf: Shelf) -> tuple[Download, ...]:
    """All that there is, in the order of the queue."""
    found = ((one, shelf.progress(one.order.id)) for one in shelf.orders())
    return tuple(download for one, progress in found if (download := shown(one, progress)) is not None)


def has_work(shelf: Shelf) -> bool:
    """Whether somebody has to do something: fetch, or remove what is not wanted any more."""
    found = ((one, shelf.progress(one.order.id)) for one in shelf.orders())
    seen = (shown(one, progress) for one, progress in found)
    return any(download is None or download.state in UNFINISHED for download in seen)


def same_variant(left: Order, right: Order) -> bool:
    """Whether two orders are for the same."""
    return left.id == right.id or (
        (left.repo.hub, left.repo.name, left.label, left.folder)
        == (right.repo.hub, right.repo.name, right.label, right.folder)
    )
