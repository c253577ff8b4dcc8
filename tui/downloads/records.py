"""Downloads as records: what is ordered, how far it is, how it failed. They are kept on the disk beside the files."""

from __future__ import annotations

import errno
import hashlib
from typing import Literal

import msgspec

from tui.hubs.interface import HubErrorKind
from tui.hubs.records import RepoId
from tui.words.later import Later

DownloadState = Literal["waiting", "fetching", "checking", "paused", "failed", "done"]

ProblemKind = HubErrorKind | Literal["disk_full", "disk", "sum", "changed", "taken", "elsewhere", "process"]
"""What a hub refuses, and besides: no room; the disk refuses; the bytes are not those that the hub names; the file is
another one by now; something else has its name on the disk; another process is fetching it; the process that fetches
has ended."""

RESERVE_BYTES = 1 << 30
"""Of a disk, that a download leaves free."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class OrderedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is to be fetched."""

    path: str
    """Inside the repository; below `Order.folder` it has the same."""
    size_bytes: int
    sha256: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is fetched as a whole: the files of one variant."""

    id: str
    repo: RepoId
    commit: str = ""
    label: str
    """The variant, such as "Q4_K_M"."""
    files: tuple[OrderedFile, ...]
    folder: str
    """Absolute: where the files go."""

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


def order_id(repo: RepoId, label: str, folder: str) -> str:
    """The `Order.id` of a variant that goes to a folder: the same one for the same."""
    told = "\n".join((repo.hub, repo.name.lower(), label, folder))
    return hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a download stands still: words of the moment are made from it where it is shown."""

    kind: ProblemKind
    detail: str = ""
    """What a sentence about it may quote: the system's words, a name; of "disk_full" the missing bytes, if known."""
    why: Later | None = None
    """The sentence of a hub's failure."""
    retry_at: float = 0.0
    """Seconds since 1970 when it is tried again by itself; 0 when it is not."""


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """An order and how far it is."""

    order: Order
    state: DownloadState
    n_bytes: int = 0
    """On the disk already."""
    bytes_per_s: float = 0.0
    """Of the last seconds; 0 when it is not being fetched or not known yet."""
    problem: Problem | None = None

    @property
    def seconds_left(self) -> float | None:
        """None when that cannot be said."""
        left = self.order.size_bytes - self.n_bytes
        return left / self.bytes_per_s if self.bytes_per_s > 0 else None
