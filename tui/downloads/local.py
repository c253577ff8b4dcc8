"""TEMPORARY: h-fetch brings the real one."""

from __future__ import annotations

from collections.abc import Callable

from tui.downloads.interface import Listener
from tui.downloads.records import Download, Order


class LocalDownloads:
    def __init__(self) -> None:
        self.all: tuple[Download, ...] = ()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None: ...
    async def add(self, order: Order) -> None:
        self.all = (*self.all, Download(order=order, state="waiting"))
        for one in self._listeners:
            one(self.all)

    async def pause(self, id: str) -> None: ...
    async def resume(self, id: str) -> None: ...
    async def cancel(self, id: str) -> None: ...
    async def move(self, id: str, place: int) -> None: ...
    async def forget(self, id: str) -> None: ...
    async def limit(self, bytes_per_s: int) -> None: ...
    async def close(self) -> None: ...
