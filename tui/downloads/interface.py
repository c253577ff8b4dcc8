"""What a front end asks of the downloads. The work is done in a process of its own, so that it goes on beside a chat
without taking a moment from the terminal; what it has done so far is on the disk at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tui.downloads.records import Download, Order

Listener = Callable[[tuple[Download, ...]], None]
"""Told of all downloads in the order of the queue, a few times a second at most while something changes."""


class Downloads(Protocol):
    """The queue. Every method returns at once or is awaited without blocking; what comes of it is told to listeners.
    What the disk refuses to take of a wish is raised as `FetchError`."""

    @property
    def all(self) -> tuple[Download, ...]:
        """What there is, in the order of the queue; what is done stays until it is `forget`-ed."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of changes, until what is returned is called."""

    async def start(self) -> None:
        """Take up what an earlier run left."""

    async def add(self, order: Order) -> None:
        """Put it at the end of the queue; the same variant twice is one."""

    async def pause(self, id: str) -> None:
        """Stop fetching; what is there stays."""

    async def resume(self, id: str) -> None:
        """Go on, also after a failure."""

    async def cancel(self, id: str) -> None:
        """Drop it with what was fetched of it."""

    async def move(self, id: str, place: int) -> None:
        """Give it another place in the queue."""

    async def forget(self, id: str) -> None:
        """Take what is done or failed off the list; whole files stay."""

    async def limit(self, bytes_per_s: int) -> None:
        """Fetch no faster than that, all together; 0 for as fast as it goes."""

    async def limited_to(self) -> int:
        """The limit that holds, in bytes a second; 0 for none. It outlives the app."""

    async def close(self) -> None:
        """End the process; what is fetched is taken up by the next `start`."""
