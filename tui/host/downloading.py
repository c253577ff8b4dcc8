"""Downloads while no screen is there: the host goes on with what the screens have ordered, and leaves it to them when
one comes back. One queue on the disk, on which one process works at a time (`tui.downloads`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tui.downloads.failures import FetchError
from tui.downloads.local import LocalDownloads
from tui.downloads.records import Download
from tui.session.fetching import ACTIVE

_log = logging.getLogger("llmtui.host")


class Downloading:
    """All of it on the event loop."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called when there is news."""
        self._on_change = on_change
        self._downloads: LocalDownloads | None = None
        self._is_wanted = False
        self._task: asyncio.Task[None] | None = None

    @property
    def all(self) -> tuple[Download, ...]:
        """What is fetched here, or waits for that."""
        found = self._downloads.all if self._downloads is not None else ()
        return tuple(one for one in found if one.state in ACTIVE)

    def want(self, is_wanted: bool) -> None:
        """Whether this process is to fetch from now on."""
        self._is_wanted = is_wanted
        if self._task is None and is_wanted != (self._downloads is not None):
            self._task = asyncio.create_task(self._agree())

    async def close(self) -> None:
        """Leave it to the next start."""
        self.want(False)
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _agree(self) -> None:
        try:
            while self._is_wanted != (self._downloads is not None):
                if self._is_wanted:
                    await self._begin()
                elif self._downloads is not None:
                    ending, self._downloads = self._downloads, None
                    await ending.close()
        finally:
            self._task = None
        self._on_change()

    async def _begin(self) -> None:
        self._downloads = LocalDownloads()
        self._downloads.listen(lambda _: self._on_change())
        try:
            await self._downloads.start()
        except (OSError, FetchError) as error:  # no disk, no process: the next screen tells
            _log.warning("Downloads were not taken up: %s", error)
