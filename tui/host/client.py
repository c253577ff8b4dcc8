"""Speaking to a host: finding one, starting one, asking, ending it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import msgspec

from tui.host.meeting import HostProblem, Meeting, meeting, peer
from tui.host.messages import (
    FROM_HOST,
    HOST_PROTOCOL,
    AskStatus,
    FreeModel,
    HostMessage,
    HostStatus,
    Stopped,
    StopSession,
    Welcome,
    host_decoder,
)
from tui.host.survival import way_to_start
from tui.protocol.wire import FrameDecoder, WireError, encode
from tui.session.aside import aside
from tui.words import tr

PROCESS = "tui.host.process"
"""The module that a host's process runs; it stands on its command line."""
_GREETING_S, _START_S, _FREE_S, _STOP_S = 5.0, 30.0, 10.0, 20.0
"""How long a host may take to say its first word, to listen once it was started, to free its model, and to end."""
_MOST_STARTS = 3
_AGAIN_S, _MOST_AGAIN_S = 0.2, 5.0
"""Between two tries to reach another machine again, at first and at most."""
_LOOK_EVERY_S = 0.05
_PIECE = 1 << 16


class HostEnded(HostProblem):
    """The host is gone."""


class HostLine:
    """A connection to a host; use it as a context manager."""

    stops_with = "llmtui stop"
    """The command that ends the host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        self._reader, self._writer, self.pid = reader, writer, pid
        self._frames, self._waiting = FrameDecoder(), list[bytes]()
        self._decoder = host_decoder()

    async def __aenter__(self) -> Self:
        return self

    def close(self) -> None:
        """End it."""
        self._writer.close()

    async def closed(self) -> None:
        """Wait until nothing of it is left, after `close`."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.closed()

    def send(self, message: HostMessage) -> None:
        """Never waits."""
        self._writer.write(encode(message))

    async def next(self) -> FROM_HOST:
        """What the host says next. Raises `HostProblem` when it is gone, or says what nobody understands."""
        message: FROM_HOST
        try:
            message = self._decoder.decode(await self._frame())
        except (WireError, msgspec.MsgspecError) as error:
            raise HostProblem(
                tr(
                    "The llmtui in the background sent something unexpected ({error}). `{command}` ends it.",
                    error=error,
                    command=self.stops_with,
                )
            ) from error
        return message

    async def status_after(self, message: AskStatus | FreeModel) -> HostStatus:
        """Say it, and hear where the host stands then."""
        self.send(message)
        while not isinstance(said := await self.next(), HostStatus):
            continue
        return said

    async def greeted(self) -> Welcome:
        """Hear who it is. Raises `HostProblem` for one of another version, and one that is silent."""
        try:
            async with asyncio.timeout(_GREETING_S):
                frame = await self._frame()
            welcome = msgspec.msgpack.decode(frame, type=Welcome)
        except (TimeoutError, WireError, msgspec.MsgspecError) as error:
            raise HostProblem(
                tr(
                    "The llmtui in the background (process {pid}) does not answer. `{command}` ends it.",
                    pid=self.pid,
                    command=self.stops_with,
                )
            ) from error
        if welcome.protocol != HOST_PROTOCOL:
            raise HostProblem(
                tr(
                    "The llmtui in the background is of another version, {version}. `{command}` ends it.",
                    version=welcome.version,
                    command=self.stops_with,
                )
            )
        return welcome

    async def _frame(self) -> bytes:
        while not self._waiting:
            with contextlib.suppress(ConnectionError):
                if data := await self._reader.read(_PIECE):
                    self._waiting += self._frames.feed(data)
                    continue
            raise HostEnded(tr("The llmtui in the background has ended. What it has written is saved; ask again."))
        return self._waiting.pop(0)


async def find() -> HostLine | None:
    """A line to the host of this user and home; None where there is none. Raises `HostProblem`."""
    place = meeting()
    if place is None:
        return None
    with place:
        connection = place.connected()
    try:
        return None if connection is None else await _line(connection)
    except HostEnded:  # it was about to
        return None


async def start() -> HostLine:
    """A line to the host, which is started if there is none. It outlives this process. Raises `HostProblem`."""
    place = meeting(is_made=True)
    assert place is not None
    with place:
        for _ in range(_MOST_STARTS):
            try:
                return await _line(await _reached(place))
            except HostEnded:  # it was about to when it was found
                continue
        return await _line(await _reached(place))


class Reached(Protocol):
    """Finds a host, of this machine or another one, and gives a line to it. With `is_made`, one is started where there
    is none; else None says that there is none. Raises `HostProblem` where none can be reached."""

    async def __call__(self, *, is_made: bool) -> HostLine | None: ...


async def reached_again(reach: Reached, machine: str, say: Callable[[str], None]) -> HostLine | None:
    """A line to a host whose line broke; None where it is gone. Another machine, if one is named, is tried until it is
    reached, which `say` is told. Raises `HostProblem`."""
    wait_s = _AGAIN_S
    while True:
        try:
            return await reach(is_made=False)
        except HostProblem:
            if not machine:
                raise
        say(tr("the line to {target} is broken: trying again", target=machine))
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _MOST_AGAIN_S)


async def reach(*, is_made: bool) -> HostLine | None:
    """As `tui.host.remote_line.Reached`, on this machine."""
    return await (start() if is_made else find())


async def connection(*, is_made: bool) -> socket.socket | None:
    """A connection to the host, on which nothing was said yet. With `is_made` it is started if there is none; else None
    says that there is none. Raises `HostProblem`."""
    if (place := meeting(is_made=is_made)) is None:
        return None
    with place:
        return await _reached(place) if is_made else place.connected()


async def _reached(place: Meeting) -> socket.socket:
    """A connection to the host that is there, or that comes."""
    said, n_started, deadline = b"", 0, time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if (connection := place.connected()) is not None:
            return connection
        if place.is_locked():  # that of another start, which does not listen yet, or one that is ending
            await asyncio.sleep(_LOOK_EVERY_S)
        elif said or n_started == _MOST_STARTS:
            break
        else:
            n_started += 1
            said = await _started(place)
            deadline = time.monotonic() + _START_S
    reason = said.decode("utf-8", "replace").strip().splitlines()
    raise HostProblem(
        tr(
            "Nothing can run in the background: {reason}. The log that llmtui --locate names may say more.",
            reason=reason[-1].rstrip(".。") if reason else tr("its process has ended"),
        )
    )


async def _started(place: Meeting) -> bytes:
    """Start one; what it says is why it cannot be."""
    said = b""
    way_out = await way_to_start()
    for way in (way_out, ()) if way_out else ((),):
        process = subprocess.Popen(  # noqa: ASYNC220 - asyncio's would be killed with this process
            [*way, sys.executable, "-P", "-m", PROCESS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(_START_S):
                said = await aside(process.stderr.read)
        except TimeoutError:  # systemd's does not answer
            process.kill()
            continue
        if place.is_locked():
            break
    return said


async def _line(connection: socket.socket) -> HostLine:
    pid, _ = peer(connection)
    connection.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    line = HostLine(reader, writer, pid)
    try:
        await line.greeted()
    except BaseException:
        writer.close()
        raise
    return line


async def status() -> HostStatus | None:
    """What the host has and does; None where there is none. Raises `HostProblem`."""
    line = await find()
    if line is None:
        return None
    async with line:
        return await line.status_after(AskStatus())


async def make_room() -> str:
    """Have a host that is not needed now free its model, for who needs the memory: the model's name. Empty where there
    is none, or it is in use."""
    try:
        if (line := await find()) is None:
            return ""
        async with line, asyncio.timeout(_FREE_S):
            before = await line.status_after(AskStatus())
            after = await line.status_after(FreeModel()) if before.path else before
            return before.model if before.path and not after.path else ""
    except (HostProblem, TimeoutError):
        return ""


async def stop_session(id: str) -> bool:
    """End one session of the host, and what it does; False where there is none. Raises `HostProblem`."""
    if (line := await find()) is None:
        return False
    async with line:
        line.send(StopSession(session=id))
        while not isinstance(said := await line.next(), Stopped):
            continue
        return said.was_there


async def stop() -> int | None:
    """End the host, of whatever version it is: its process, and None where there was none. What it writes is saved.
    Raises `HostProblem` where it does not end."""
    place = meeting()
    if place is None:
        return None
    pid: int | None = None
    with place:
        deadline = time.monotonic() + _STOP_S
        while place.is_locked():  # it may be about to end, and let nobody in any more
            if pid is None and (connection := place.connected()) is not None:
                with connection:
                    pid, _ = peer(connection)
                if pid <= 0:
                    raise HostProblem(tr("The llmtui in the background runs in another container: end it there."))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            if time.monotonic() > deadline:
                raise HostProblem(
                    tr("The llmtui in the background (process {pid}) does not end: `kill -9 {pid}` would.", pid=pid)
                    if pid is not None
                    else tr("The llmtui in the background is still ending. Try again in a moment.")
                )
            await asyncio.sleep(_LOOK_EVERY_S)
    return pid
