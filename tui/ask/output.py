"""Writing while an answer comes, in a thread: whoever reads slowly, or not at all, holds up neither the answer nor
Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Output:
    """To descriptors, in the order in which that is asked for. To be used on one event loop; nobody waits for the
    thread when the process ends."""

    def __init__(self, stdout: int, on_failure: Callable[[OSError], None]) -> None:
        """`on_failure` is called on the event loop, once, when the descriptor `stdout` does not take what it gets; then
        nothing more is written there. That stderr does not is nobody's concern."""
        self._stdout, self._on_failure = stdout, on_failure
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[int, bytes] | asyncio.Future[None]] = queue.SimpleQueue()
        self._failed: set[int] = set()
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def write(self, descriptor: int, data: bytes) -> None:
        """Returns at once."""
        if data:
            self._waiting.put((descriptor, data))

    async def written(self, within_s: float | None = None) -> None:
        """Wait until all of it is written, or cannot be; no longer than this."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put(done)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await done

    def _run(self) -> None:
        while True:
            match self._waiting.get():
                case (descriptor, data):
                    if descriptor not in self._failed:
                        self._write(descriptor, data)
                case done:
                    self._call(_settle, done)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            while data:
                try:
                    data = data[os.write(descriptor, data) :]
                except BlockingIOError:  # whoever shares it has set it so
                    select.select([], [descriptor], [])
        except OSError as error:
            self._failed.add(descriptor)
            if descriptor == self._stdout:
                self._call(self._on_failure, error)

    def _call(self, callback: Callable[[T], None], what: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback, what)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
