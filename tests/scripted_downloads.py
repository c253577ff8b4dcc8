"""Downloads without a network and a process: they stand as a test says they do, and every change is told at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tui.downloads.interface import Listener
from tui.downloads.records import Download, Order


class ScriptedDownloads:
    """A `Downloads`. What is added waits until `set` says how far it is."""

    def __init__(self) -> None:
        self.all: tuple[Download, ...] = ()
        self.bytes_per_s = 0
        self._listeners: list[Listener] = []

    def set(self, place: int, **changes: Any) -> None:
        """How one of them stands now."""
        changed = msgspec.structs.replace(self.all[place], **changes)
        self._become((*self.all[:place], changed, *self.all[place + 1 :]))

    def _become(self, downloads: tuple[Download, ...]) -> None:
        self.all = downloads
        for listener in tuple(self._listeners):
            listener(downloads)

    def _place(self, id: str) -> int:
        return [one.order.id for one in self.all].index(id)

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None:
        self._become(self.all)

    async def add(self, order: Order) -> None:
        if order.id not in [one.order.id for one in self.all]:
            self._become((*self.all, Download(order=order, state="waiting")))

    async def pause(self, id: str) -> None:
        self.set(self._place(id), state="paused", bytes_per_s=0.0)

    async def resume(self, id: str) -> None:
        self.set(self._place(id), state="fetching", problem=None)

    async def cancel(self, id: str) -> None:
        self._become(tuple(one for one in self.all if one.order.id != id))

    async def move(self, id: str, place: int) -> None:
        moved = self.all[self._place(id)]
        rest = [one for one in self.all if one is not moved]
        self._become((*rest[:place], moved, *rest[place:]))

    async def forget(self, id: str) -> None:
        await self.cancel(id)

    async def limit(self, bytes_per_s: int) -> None:
        self.bytes_per_s = bytes_per_s

    async def limited_to(self) -> int:
        return self.bytes_per_s

    async def close(self) -> None:
        self._listeners.clear()
