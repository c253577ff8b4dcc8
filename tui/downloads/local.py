"""The downloads of this machine, as the app sees them: wishes go to the shelf, and a process of its own, which runs
only while there is something to fetch, works through it and tells how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import cast

import msgspec

from tui.base.beat import beats
from tui.config import paths
from tui.downloads import wishes
from tui.downloads.frames import Look, Told
from tui.downloads.interface import Listener
from tui.downloads.records import Download, DownloadState, Order, Problem
from tui.downloads.shelf import UNFINISHED, Shelf, downloads, has_work
from tui.protocol.pipes import Pipes
from tui.protocol.wire import FrameDecoder, WireError, encode

WORKER = "tui.downloads.worker"
"""The module that the process runs; it stands on its command line."""
_LOOK_S = 2.0
"""Between two looks whether another window has ordered something, while nothing is fetched here."""
_MOST_DEATHS, _IN_S = 3, 60.0
"""So many ends that nobody asked for, in this time: then it is not started again by itself."""
_log = logging.getLogger("llmtui.downloads")


class LocalDownloads:
    """Implements `Downloads`. Use it from one event loop. What the disk refuses is raised as `FetchError`.

    `env` adds to the environment of the process.
    """

    def __init__(self, *, env: Mapping[str, str] | None = None) -> None:
        self._env = dict(env or {})
        self._shelf = Shelf(paths.downloads_dir())
        self._all: tuple[Download, ...] = ()
        self._listeners: list[Listener] = []
        self._turn = asyncio.Lock()
        """Of whoever uses the shelf."""
        self._transport: asyncio.SubprocessTransport | None = None
        self._pipes: Pipes | None = None
        self._frames = FrameDecoder()
        self._last_words: deque[str] = deque(maxlen=20)
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._restart: asyncio.TimerHandle | None = None
        self._changed_at = 0
        self._is_closed = False

    @property
    def all(self) -> tuple[Download, ...]:
        """As `Downloads.all`."""
        return self._all

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        return self._transport.get_pid() if self._transport is not None else None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """As `Downloads.listen`."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def start(self) -> None:
        """As `Downloads.start`. Nothing is started where nothing is left to do."""
        await self._read()
        if self._watching is None and not self._is_closed:
            self._watching = asyncio.create_task(self._watch())

    async def add(self, order: Order) -> None:
        """As `Downloads.add`."""
        await self._wish(lambda shelf: wishes.add(shelf, order))

    async def pause(self, id: str) -> None:
        """As `Downloads.pause`."""
        await self._wish(lambda shelf: wishes.pause(shelf, id))

    async def resume(self, id: str) -> None:
        """As `Downloads.resume`."""
        await self._wish(lambda shelf: wishes.resume(shelf, id))

    async def cancel(self, id: str) -> None:
        """As `Downloads.cancel`."""
        await self._wish(lambda shelf: wishes.cancel(shelf, id))

    async def move(self, id: str, place: int) -> None:
        """As `Downloads.move`."""
        await self._wish(lambda shelf: wishes.move(shelf, id, place))

    async def forget(self, id: str) -> None:
        """As `Downloads.forget`."""
        await self._wish(lambda shelf: wishes.forget(shelf, id))

    async def limit(self, bytes_per_s: int) -> None:
        """As `Downloads.limit`."""
        await self._wish(lambda shelf: wishes.limit(shelf, bytes_per_s))

    async def limited_to(self) -> int:
        """As `Downloads.limited_to`."""
        return await asyncio.to_thread(lambda: self._shelf.limit)

    async def close(self) -> None:
        """As `Downloads.close`."""
        self._is_closed = True
        for task in (self._watching, *self._tasks):
            if task is not None:
                task.cancel()
        if self._restart is not None:
            self._restart.cancel()
        if self._pipes is not None:
            self._pipes.close()
        transport, self._transport, self._pipes = self._transport, None, None
        if transport is not None:
            if transport.get_returncode() is None:
                with contextlib.suppress(ProcessLookupError):
                    transport.kill()
                await transport._wait()  # type: ignore[attr-defined]
            transport.close()

    # The shelf --------------------------------------------------------------------------------------------------------

    async def _wish(self, wish: Callable[[Shelf], None]) -> None:
        """Put it on the shelf, and have it seen to."""
        self._deaths.clear()  # somebody asks: it is tried again
        async with self._turn:
            await asyncio.to_thread(wish, self._shelf)
        await self._read()

    async def _read(self) -> None:
        """See what is there, and that somebody works on it."""
        async with self._turn:
            found = await asyncio.to_thread(downloads, self._shelf)
            self._changed_at = await asyncio.to_thread(self._stamp)
            if self._is_closed:
                return
            if self._transport is not None:
                self._write(encode(Look()))
            else:
                self._tell(found)
                if await asyncio.to_thread(has_work, self._shelf):
                    await self._start()

    def _stamp(self) -> int:
        try:
            return self._shelf.folder.stat().st_mtime_ns
        except OSError:
            return 0

    async def _watch(self) -> None:
        """See what other windows order, while there is no process here that would."""
        async for _ in beats(_LOOK_S):
            is_idle = self._transport is None and self._restart is None and not self._is_given_up
            # One look at a folder, here: to wake a thread for it takes ten times as long.
            if is_idle and self._stamp() != self._changed_at:
                await self._read()

    def _tell(self, found: tuple[Download, ...]) -> None:
        if found != self._all:
            self._all = found
            for listener in list(self._listeners):
                listener(found)

    # The process ------------------------------------------------------------------------------------------------------

    @property
    def _is_given_up(self) -> bool:
        deaths = self._deaths
        return len(deaths) == _MOST_DEATHS and deaths[-1] - deaths[0] < _IN_S

    async def _start(self) -> None:
        self._frames = FrameDecoder()
        self._last_words.clear()
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        pipes = self._pipes = Pipes(self._on_output, self._on_line, self._on_exit)
        try:
            self._transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: pipes,
                *(sys.executable, "-P", "-m", WORKER),
                env={**os.environ, **self._env},
                # A session of its own: ctrl+c and a closing terminal reach the front end alone.
                start_new_session=True,
            )
        except OSError as error:
            self._last_words.append(f"cannot start {sys.executable}: {error.strerror}")
            self._die()

    def _write(self, frame: bytes) -> None:
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        if pipe is not None:
            cast(asyncio.WriteTransport, pipe).write(frame)

    def _on_output(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._tell(msgspec.msgpack.decode(frame, type=Told).downloads)
        except (WireError, msgspec.MsgspecError) as error:
            self._last_words.append(f"it sent what is not a message ({error})")
            if self._transport is not None:
                self._transport.kill()

    def _on_line(self, line: str) -> None:
        self._last_words.append(line)
        _log.warning("%s", line)

    def _on_exit(self) -> None:
        transport, self._transport, self._pipes = self._transport, None, None
        code = transport.get_returncode() if transport is not None else None
        if transport is not None:
            transport.close()
        if code == 0:  # it had nothing to do; something may have been ordered in the meantime
            self._do(self._read())
        else:
            self._die()

    def _die(self) -> None:
        """It ended by itself: that is said, and it is started again."""
        self._deaths.append(time.monotonic())
        words = next((line for line in reversed(self._last_words) if line.strip()), "")
        _log.error("the process that fetches has ended: %s", words)
        pause_s = 2.0 ** (len(self._deaths) - 1)
        is_over = self._is_given_up
        problem = Problem(kind="process", detail=words[:200], retry_at=0.0 if is_over else time.time() + pause_s)
        self._tell(tuple(_interrupted(download, problem) for download in self._all))
        if not is_over:
            self._restart = asyncio.get_running_loop().call_later(pause_s, self._begin_again)

    def _begin_again(self) -> None:
        self._restart = None
        self._do(self._read())

    def _do(self, what: Coroutine[object, object, None]) -> None:
        if not self._is_closed:
            task = asyncio.get_running_loop().create_task(what)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _interrupted(download: Download, problem: Problem) -> Download:
    """As it is while nobody fetches."""
    if download.state not in UNFINISHED:
        return download
    state: DownloadState = "waiting" if problem.retry_at else "failed"
    return msgspec.structs.replace(download, state=state, bytes_per_s=0.0, problem=problem)
