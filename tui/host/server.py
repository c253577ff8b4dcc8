"""A host: one session that answers what other processes ask, one question after the other, for as long as somebody may
want it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from tui import __version__, words
from tui.base.exit_codes import ExitCode
from tui.chat.store import StoreError
from tui.config.settings import SessionSettings, Settings
from tui.config.state import StateStore
from tui.host.event_log import EventLog
from tui.host.meeting import peer
from tui.host.messages import (
    AskHost,
    AskStatus,
    Begun,
    Call,
    Closed,
    FollowHost,
    FreeModel,
    HostMessage,
    HostStatus,
    Join,
    Leave,
    Remark,
    Rested,
    StopAsking,
    Waiting,
    Welcome,
    client_decoder,
)
from tui.host.served import Served
from tui.protocol.death import EngineDied
from tui.protocol.wire import FrameDecoder, WireError, encode
from tui.session.controller import Controller
from tui.shell.asking import Asking
from tui.shell.question import CannotAsk
from tui.shell.trouble import death_report
from tui.words import tr

_MOST_UNREAD = 16 << 20
"""Bytes that wait for who does not read: then the line is cut, and can be taken up again."""
_AGAIN_S = 1.0
_MINUTE_S = 60.0
_FIRST_S, _LEAST_S = 30.0, 0.5
"""How long it waits for the first question, and for the next at least, whatever the settings say."""
_END_S = 2.0
"""How long an answer may take to stop when the host is ended."""
_log = logging.getLogger("llmtui.host")


class Host:
    """Of one session. `on_end` is called when nobody wants it any more, `opening` opens the store, and gives the file
    that damaged conversations were set aside as."""

    def __init__(
        self,
        controller: Controller,
        settings: Settings,
        state: StateStore,
        on_end: Callable[[], None],
        opening: asyncio.Task[Path | None],
        make_served: Callable[[Callable[[], None]], Served],
    ) -> None:
        """`make_served` gives the session of the screens, which is made for the first that comes."""
        self._make_served, self._served = make_served, list[Served]()
        self._controller, self._settings, self._state, self._on_end = controller, settings, state, on_end
        self._opening, self._is_set_aside_told = opening, False
        self._wishes: SessionSettings = settings.session
        self.log = EventLog()
        controller.listen(self.log.hear)
        self._turn = asyncio.Lock()
        self._n_asked = 0
        """Questions that are answered or wait."""
        self._has_served = self._is_ending = False
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_at, self._quiet_since = time.time(), time.monotonic()
        self._end: asyncio.TimerHandle | None = None
        self._unloading: asyncio.TimerHandle | None = None
        self._rest()

    async def serve(self, listener: socket.socket) -> None:
        """Take connections until this is cancelled."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
                if peer(connection)[1] != os.geteuid():
                    connection.close()
                    continue
                await loop.connect_accepted_socket(lambda: _Line(self), connection)
            except OSError as error:  # too many open files, or one that was gone at once
                _log.warning("Somebody could not be let in: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def close(self) -> None:
        """End what is asked, and all lines; what there is of an answer is saved."""
        self._is_ending = True
        for timer in (self._end, self._unloading):
            if timer is not None:
                timer.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        for served in self._served:
            try:
                await served.close(_END_S)
            except StoreError as error:
                _log.warning("Not all is saved: %s", error)
        for line in tuple(self._lines):
            line.cut()

    # For a line -------------------------------------------------------------------------------------------------------

    def came(self, line: _Line) -> None:
        """Somebody is there."""
        self._lines.add(line)
        line.send(Welcome(version=__version__, pid=os.getpid()))

    def left(self, line: _Line) -> None:
        """And is gone; what was asked there goes on."""
        self._lines.discard(line)

    @property
    def is_asked(self) -> bool:
        """A question is answered, or waits."""
        return self._n_asked > 0

    def ask(self, line: _Line, asked: AskHost) -> asyncio.Task[None] | None:
        """Begin to answer; cancelling the result stops that. None, and the line is cut, where the host is ending."""
        if self._is_ending:
            line.cut()
            return None
        self._n_asked += 1
        self._has_served = True
        self._rest()
        task = asyncio.create_task(self._answer(line, asked))
        self._tasks.add(task)
        task.add_done_callback(self._answered)
        return task

    def free(self, line: _Line) -> None:
        """Free the model if nobody needs it now, and tell what is there then."""
        if self.is_asked or self._is_ending:
            line.send(self.status())
        else:
            self._unload().add_done_callback(lambda _: line.send(self.status()))

    def status(self) -> HostStatus:
        """What is there, and what it does."""
        loaded, conversation = self._controller.engine.loaded, self.log.scene.conversation
        ends_in_s = self._ends_in_s()
        return HostStatus(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            phase=self._controller.phase,
            model=self._controller.model.name if loaded else "",
            path=loaded.path if loaded else "",
            title=conversation.title if conversation.turns else "",
            n_waiting=max(0, self._n_asked - 1),
            memory_bytes=sum(_memory(pid) for pid in (os.getpid(), self._controller.engine.pid) if pid is not None),
            ends_in_s=ends_in_s,
        )

    # Screens ----------------------------------------------------------------------------------------------------------

    @property
    def served(self) -> Served:
        """The session of the screens."""
        if not self._served:
            self._served.append(self._make_served(self._rest))
        self._has_served = True
        return self._served[0]

    def leave(self, viewer: str, *, ends: bool) -> None:
        """A screen goes for good; with `ends` its session is not wanted any more, if nobody else is there."""
        served = self.served
        served.leave(viewer)
        if ends and not served.n_viewers and not self.is_asked:
            self._on_end()

    # Questions --------------------------------------------------------------------------------------------------------

    async def _answer(self, line: _Line, asked: AskHost) -> None:
        if self._n_asked > 1:
            line.send(Waiting(n_before=self._n_asked - 1))
        closed = Closed()
        try:
            async with self._turn:
                closed = await self._in_turn(line, asked)
        except asyncio.CancelledError:  # while it waited
            closed = Closed()
        except Exception as error:
            _log.exception("A question was broken off")
            closed = Closed(code=ExitCode.ENGINE, sentence=f"{type(error).__name__}: {error}")
            raise
        finally:
            line.send(closed)

    async def _in_turn(self, line: _Line, asked: AskHost) -> Closed:
        if asked.language != words.language():
            words.use(asked.language)
            await self._controller.share_language()
        self._state.read()
        file = await asyncio.shield(self._opening)
        if file is not None and not self._is_set_aside_told:
            self._is_set_aside_told = True
            line.send(
                Remark(sentence=tr("The saved conversations are damaged and were set aside as {file}.", file=file))
            )
        asking = Asking(
            self._controller,
            self._settings,
            self._state,
            on_model=lambda name, loaded: line.send(Begun(model=name, loaded=loaded)),
            say=lambda sentence: line.send(Remark(sentence=sentence)),
        )
        followed = self.log.follow(line.send, self.log.number)
        try:
            await asking.ask(asked.question)
        except CannotAsk as error:
            return Closed(code=error.code, sentence=str(error))
        except EngineDied as died:
            return Closed(code=ExitCode.ENGINE, sentence=death_report(died.death))
        except StoreError as error:
            return Closed(code=ExitCode.UNWRITTEN, sentence=str(error))
        except asyncio.CancelledError:
            return Closed(conversation=self._controller.opened.saved_id)
        finally:
            followed()
        await self._controller.store.flush()
        return Closed(conversation=self._controller.opened.saved_id)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._n_asked -= 1
        self._rest()
        for line in self._lines:
            line.rest()
        if not task.cancelled():
            task.exception()

    # The end ----------------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Begin to wait for the next question, or to answer one: the time until the end begins anew."""
        self._quiet_since = time.monotonic()
        for timer in (self._end, self._unloading):
            if timer is not None:
                timer.cancel()
        self._end = self._unloading = None
        if self._n_asked or any(served.is_busy or served.n_viewers for served in self._served):
            return
        loop, wishes = asyncio.get_running_loop(), self._wishes
        if wishes.linger >= 0:
            self._end = loop.call_later(self._linger_s, self._end_unless_wanted)
        if wishes.unload_after:
            self._unloading = loop.call_later(wishes.unload_after * _MINUTE_S, self._unload)

    @property
    def _linger_s(self) -> float:
        return max(self._wishes.linger * _MINUTE_S, _LEAST_S if self._has_served else _FIRST_S)

    def _end_unless_wanted(self) -> None:
        if self.log.n_followers or self._lines:
            self._rest()
        else:
            self._on_end()

    def _ends_in_s(self) -> float:
        if self._end is None:
            return -1.0
        return max(0.0, self._linger_s - (time.monotonic() - self._quiet_since))

    def _unload(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self._free())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _free(self) -> None:
        async with self._turn:
            await self._controller.unload()
        for served in self._served:
            if not (served.is_busy or served.n_viewers):
                await served.controller.unload()


class _Line(asyncio.Protocol):
    """A connection: its frames in, its frames out."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._frames, self._decoder = FrameDecoder(), client_decoder()
        self._transport: asyncio.WriteTransport | None = None
        self._asking: asyncio.Task[None] | None = None
        self._followed: Callable[[], None] | None = None
        self._viewer = ""
        """Who has joined here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._host.came(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._followed is not None:
            self._followed()
        if self._viewer:
            self._host.served.lost(self._viewer, self.send)
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
        self._transport.write(encode(message))
        if self._transport.get_write_buffer_size() > _MOST_UNREAD:
            self._transport.abort()

    def rest(self) -> None:
        """Tell who follows that a question is over."""
        if self._followed is not None:
            self.send(Rested())

    def cut(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def _take(self, message: object) -> None:
        match message:
            case AskHost() if self._asking is None:
                self._asking = self._host.ask(self, message)
            case StopAsking():
                if self._asking is not None:
                    self._asking.cancel()
            case FollowHost(after=number) if self._followed is None:
                self._followed = self._host.log.follow(self.send, number)
                if not self._host.is_asked:
                    self.rest()
            case Join(viewer=viewer) if not self._viewer:
                self._viewer = viewer
                self._host.served.join(message, self.send)
            case Call() if self._viewer:
                self._host.served.call(self._viewer, message)
            case Leave(ends=ends) if self._viewer:
                viewer, self._viewer = self._viewer, ""
                self._host.leave(viewer, ends=ends)
            case FreeModel():
                self._host.free(self)
            case AskStatus():
                self.send(self._host.status())


def _memory(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
