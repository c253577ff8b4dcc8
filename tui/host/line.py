"""One connection to a host, from the host's side: its frames in, its frames out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from tui.base.exit_codes import ExitCode
from tui.host.messages import (
    AskHost,
    AskStatus,
    Call,
    Closed,
    FollowHost,
    FreeModel,
    HostMessage,
    HostStatus,
    Join,
    Leave,
    Rested,
    StopAsking,
    Stopped,
    StopSession,
    client_decoder,
    no_such_session,
)
from tui.host.sessions import Session
from tui.protocol.wire import FrameDecoder, WireError, encode

_MOST_UNREAD = 16 << 20
"""Bytes that wait for who does not read: then the line is cut, and can be taken up again."""
_log = logging.getLogger("llmtui.host")


class Serving(Protocol):
    """What a line asks of its host."""

    def came(self, line: Line) -> None:
        """Somebody is there."""

    def left(self, line: Line) -> None:
        """And is gone; what was asked there and has begun goes on."""

    def ask(self, line: Line, asked: AskHost) -> Session | None:
        """Begin to answer. None, and the line is cut, where the host is ending."""

    def find(self, id: str) -> Session | None:
        """A session; the newest one for an empty id."""

    async def stop(self, id: str) -> bool:
        """End a session; False where there is none."""

    def for_screen(self, join: Join) -> Session | None:
        """The session that a screen joins; None where that has ended, or the host is ending."""

    async def end(self, line: Line, session: Session) -> bool:
        """End what no screen wants any more, and the host if nothing else is there, and whether that is so. What
        cannot be saved is told on the `line`."""

    async def free(self) -> None:
        """Free the model if nobody needs it now."""

    def status(self) -> HostStatus:
        """What is there, and what it does."""


class Line(asyncio.Protocol):
    """A connection."""

    def __init__(self, host: Serving) -> None:
        self._host = host
        self._frames, self._decoder = FrameDecoder(), client_decoder()
        self._transport: asyncio.WriteTransport | None = None
        self._asked: Session | None = None
        self._following: Session | None = None
        self._followed: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._joined: Session | None = None
        self._viewer = ""
        """Who has joined here."""
        self._largest = 0
        """Bytes of the largest message that waits to be read: a conversation with large files is one, and whoever was
        cut off because of it would get it again."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._host.came(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._followed is not None:
            self._followed()
        if self._joined is not None and self._joined.served is not None:
            self._joined.served.lost(self._viewer, self.send)
        self._host.left(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._take(self._decoder.decode(frame))
        except (WireError, msgspec.MsgspecError) as error:
            _log.warning("Somebody sent what is not a message: %s", error)
            self.cut()

    def send(self, message: HostMessage) -> None:
        """Never waits; nothing happens once the line is cut."""
        if self._transport is None or self._transport.is_closing():
            return
        data = encode(message)
        self._largest = max(len(data), self._largest if self._transport.get_write_buffer_size() else 0)
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MOST_UNREAD + self._largest:
            self._transport.abort()

    def cut(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def follow(self, session: Session, after: int) -> None:
        """Tell what happens in a session."""
        if self._followed is not None:
            self._followed()
        self._following, self._followed = session, session.log.follow(self.send, after)

    def rest(self, session: Session) -> None:
        """Tell who looks on that nothing is done there any more."""
        if self._following is session and self._asked is None:
            self.send(Rested())

    def _take(self, message: object) -> None:
        match message:
            case AskHost() if self._asked is None:
                self._asked = self._host.ask(self, message)
            case StopAsking():
                if self._asked is not None and self._asked.answering is not None:
                    self._asked.answering.cancel()
            case FollowHost() if self._asked is None:
                self._follow(message)
            case StopSession(session=id):
                self._do(self._stop(id))
            case Join() if self._joined is None:
                self._join(message)
            case Call() if self._joined is not None and self._joined.served is not None:
                self._joined.served.call(self._viewer, message)
            case Leave(ends=ends) if self._joined is not None:
                self._leave(self._joined, ends=ends)
            case FreeModel():
                self._do(self._free())
            case AskStatus():
                self.send(self._host.status())

    def _follow(self, wanted: FollowHost) -> None:
        session = self._host.find(wanted.session)
        if session is None and wanted.session:
            self.send(Closed(code=ExitCode.USAGE, sentence=no_such_session(wanted.session)))
        elif session is None:
            self.send(Rested())
        else:
            self.follow(session, wanted.after)
            if not session.is_busy:
                self.rest(session)

    def _join(self, join: Join) -> None:
        session = self._host.for_screen(join)
        if session is None or session.served is None:
            self.send(Closed())
            return
        self._joined, self._viewer = session, join.viewer
        session.served.join(join, self.send)

    def _leave(self, session: Session, *, ends: bool) -> None:
        self._joined = None
        if session.served is None:
            return
        session.served.leave(self._viewer)
        if ends and not session.served.n_viewers:
            self._do(self._end(session))
        else:
            self.cut()

    async def _end(self, session: Session) -> None:
        if not await self._host.end(self, session):
            self.cut()  # who waits for the end of the host would wait in vain

    async def _stop(self, id: str) -> None:
        self.send(Stopped(was_there=await self._host.stop(id)))

    async def _free(self) -> None:
        await self._host.free()
        self.send(self._host.status())

    def _do(self, what: object) -> None:
        task = asyncio.ensure_future(what)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
