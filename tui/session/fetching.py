"""The downloads of a session: what is ordered, and what is told of it. The work itself is done elsewhere, in a process
of its own (`tui.downloads`); it goes on while one chats, and is taken up at the next start."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tui.downloads.failures import FetchError
from tui.downloads.interface import Downloads
from tui.downloads.records import RESERVE_BYTES, Download, DownloadState, Order, OrderedFile, order_id
from tui.hubs.records import Variant
from tui.session.events import AnySessionEvent, DownloadFailed, DownloadRefused, DownloadsChanged, ModelFetched

_log = logging.getLogger("llmtui")

TELL_S = 1.0
"""At most once in so long figures are told that have only grown."""
KEPT_FREE = RESERVE_BYTES
"""Bytes of the disk that a download leaves free."""
ACTIVE: tuple[DownloadState, ...] = ("waiting", "fetching", "checking")


class Fetching:
    """Orders variants into `folder`. The downloads are asked only from the first use on."""

    def __init__(
        self, downloads: Downloads, folder: Callable[[], Path], tell: Callable[[AnySessionEvent], None]
    ) -> None:
        self._downloads, self._folder, self._tell = downloads, folder, tell
        self.all: tuple[Download, ...] = ()
        """In the order of the queue."""
        self.bytes_per_s = 0.0
        """The speed that was reached last; 0 when nothing was fetched yet."""
        self.limit_bytes_per_s = 0
        """What somebody set; 0 for as fast as it goes."""
        self._states: dict[str, DownloadState] = {}
        self._told_at = 0.0
        self._end: Callable[[], None] | None = None

    async def start(self) -> None:
        """Go on with what an earlier run left."""
        self._end = self._downloads.listen(self._hear)
        self._states = {one.order.id: one.state for one in self._downloads.all}
        try:
            await self._downloads.start()
            self.limit_bytes_per_s = await self._downloads.limited_to()
        except (OSError, FetchError) as error:  # no process, no disk: an order will say so
            _log.warning("Downloads were not taken up: %s", error)
        self._hear(self._downloads.all)

    async def close(self) -> None:
        """End it for now; nothing is told any more."""
        if self._end is not None:
            self._end()
            self._end = None
            await self._downloads.close()

    # What is asked for ------------------------------------------------------------------------------------------------

    def order_of(self, variant: Variant) -> Order:
        """What fetching a variant is."""
        return order_of(variant, self._folder())

    def known(self, variant: Variant) -> Download | None:
        """The download of a variant, if it was ordered."""
        wanted = self.order_of(variant).id
        return next((one for one in self.all if one.order.id == wanted), None)

    async def fetch(self, variant: Variant) -> Order | None:
        """Fetch a variant, after all that was ordered before; None, and it is told, when it cannot be ordered."""
        order = self.order_of(variant)
        return order if await self._ask(self._downloads.add(order)) else None

    async def room(self) -> int | None:
        """Bytes that are free where models go; None when the disk does not tell."""
        return await asyncio.to_thread(free_bytes, self._folder())

    async def pause(self, id: str) -> None:
        """Stop; what is there stays."""
        await self._ask(self._downloads.pause(id))

    async def resume(self, id: str) -> None:
        """Go on, also after a failure."""
        await self._ask(self._downloads.resume(id))

    async def cancel(self, id: str) -> None:
        """Drop it with what was fetched of it."""
        await self._ask(self._downloads.cancel(id))

    async def move(self, id: str, by: int) -> None:
        """So many places down the queue, or up when negative."""
        ids = [one.order.id for one in self.all]
        if id in ids:
            await self._ask(self._downloads.move(id, max(0, min(len(ids) - 1, ids.index(id) + by))))

    async def forget(self, id: str) -> None:
        """Take what is done off the list."""
        await self._ask(self._downloads.forget(id))

    async def limit(self, bytes_per_s: int) -> None:
        """Fetch no faster; 0 for as fast as it goes."""
        if await self._ask(self._downloads.limit(bytes_per_s)):
            self.limit_bytes_per_s = bytes_per_s

    async def _ask(self, wish: Awaitable[None]) -> bool:
        """Whether the disk has taken the wish; else it is told."""
        try:
            await wish
        except FetchError as error:
            self._tell(DownloadRefused(problem=error.problem()))
            return False
        return True

    # What is told -----------------------------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Something is being fetched, or about to be."""
        return any(one.state in ACTIVE for one in self.all)

    @property
    def current(self) -> Download | None:
        """The one that is worked on."""
        at_work = (one for one in self.all if one.state in ("fetching", "checking"))
        return next(at_work, None) or next((one for one in self.all if one.state == "waiting"), None)

    def _hear(self, downloads: tuple[Download, ...]) -> None:
        before, self._states = self._states, {one.order.id: one.state for one in downloads}
        order_before = [one.order.id for one in self.all]
        self.all = downloads
        if current := self.current:
            self.bytes_per_s = current.bytes_per_s or self.bytes_per_s
        now = time.monotonic()
        is_news = self._states != before or [one.order.id for one in downloads] != order_before
        if not is_news and now - self._told_at < TELL_S:
            return
        self._told_at = now
        self._tell(DownloadsChanged(downloads=downloads))
        for one in downloads:
            was = before.get(one.order.id)
            if one.state == "done" and was not in ("done", None):
                self._tell(ModelFetched(order=one.order, path=path_of(one.order)))
            elif one.state == "failed" and was not in ("failed", None):
                self._tell(DownloadFailed(download=one))


def order_of(variant: Variant, folder: Path) -> Order:
    """What fetching a variant into a folder of models is: OWNER/NAME below it, as LM Studio lays them out."""
    repo = variant.repo
    files = tuple(OrderedFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in variant.files)
    return Order(
        id=order_id(repo, variant.label, str(folder / repo.name)),
        repo=repo,
        commit=variant.commit,
        label=variant.label,
        files=files,
        folder=str(folder / repo.name),
    )


def free_for(size_bytes: int, room: int) -> bool:
    """Whether so much can be fetched to a disk that has `room` bytes free."""
    return room >= size_bytes + KEPT_FREE


def path_of(order: Order) -> Path:
    """What is loaded once it is there."""
    return Path(order.folder, order.files[0].path)


def free_bytes(folder: Path) -> int | None:
    """What is free for others than root on the disk of a folder, which need not exist yet. Blocking."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
