"""A host: sessions that answer what other processes ask, in turns, for as long as somebody may want it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time

import psutil

from tui import __version__, words
from tui.base.exit_codes import ExitCode
from tui.chat.store import StoreError
from tui.config.options import Options
from tui.config.settings import SessionSettings, Settings, load_settings
from tui.config.state import StateStore
from tui.downloads.records import Download
from tui.engines.interface import share_language
from tui.host.downloading import Downloading
from tui.host.line import Line
from tui.host.meeting import peer
from tui.host.messages import OF_LEAVING, AskHost, Begun, Closed, Fetched, HostStatus, Join, Remark, Returned, Welcome
from tui.host.operations import encode, problem_of
from tui.host.sessions import Session, Sessions
from tui.host.survival import Survival, warning
from tui.protocol.death import EngineDied
from tui.session.events import Phase
from tui.shell.asking import Asking
from tui.shell.question import CannotAsk, Question
from tui.shell.trouble import death_report
from tui.words import tr

_AGAIN_S = 1.0
_MINUTE_S = 60.0
_FIRST_S, _LEAST_S = 30.0, 0.5
"""How long it waits for the first question, and for the next at least, whatever the settings say."""
_END_S = 3.0
"""How long its sessions may take to end."""
_log = logging.getLogger("llmtui.host")


class Host:
    """Of all sessions; implements `line.Serving`."""

    def __init__(self, settings: Settings, is_over: asyncio.Event, survival: Survival) -> None:
        """`is_over` is set when nobody wants it any more. `survival` is told to the first that asks, where it does not
        stay."""
        self._survival, self._is_survival_told = survival, False
        self._is_over = is_over
        self._wishes: SessionSettings = settings.session
        self.sessions = Sessions(settings, self._changed)
        self._downloading = Downloading(self._rest)
        self._has_served = self._is_ending = False
        self._lines: set[Line] = set()
        self._askers: dict[Session, Line] = {}
        """Of questions, who waits for the answer, as long as that is so."""
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
                await loop.connect_accepted_socket(lambda: Line(self), connection)
            except OSError as error:  # too many open files, or one that was gone at once
                _log.warning("Somebody could not be let in: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def close(self) -> None:
        """End all sessions, the engine and all lines; what there is of answers is saved."""
        self._is_ending = True
        for timer in (self._end, self._unloading):
            if timer is not None:
                timer.cancel()
        ending = [asyncio.create_task(self.sessions.close(one)) for one in self.sessions if not one.is_over]
        if ending:
            await asyncio.wait(ending, timeout=_END_S)
        await self._downloading.close()
        await self.sessions.engine.close()
        if ending or self._tasks:
            await asyncio.wait({*ending, *self._tasks})
        for line in tuple(self._lines):
            line.cut()

    # For a line -------------------------------------------------------------------------------------------------------

    def came(self, line: Line) -> None:
        """As `Serving.came`."""
        self._lines.add(line)
        line.send(Welcome(version=__version__, pid=os.getpid()))

    def left(self, line: Line) -> None:
        """As `Serving.left`. A question that still waits for its turn is not wanted any more."""
        self._lines.discard(line)
        for session, asker in tuple(self._askers.items()):
            if asker is line:
                del self._askers[session]
                if session.answering is not None and not session.has_begun:
                    session.answering.cancel()

    def find(self, id: str) -> Session | None:
        """As `Serving.find`."""
        return self.sessions.get(id) if id else self.sessions.newest

    def ask(self, line: Line, asked: AskHost) -> Session | None:
        """As `Serving.ask`."""
        if self._is_ending:
            line.cut()
            return None
        if (session := self.sessions.with_key(asked.key)) is None:
            session = self.sessions.open("ask", self._read_settings(), StateStore(is_kept=False), Options(), asked.key)
            session.answering = asyncio.create_task(self._answer(session, asked))
            self._tasks.add(session.answering)
            session.answering.add_done_callback(self._answered)
        self._has_served = True
        self._askers[session] = line
        if session.begun is not None:
            line.send(session.begun)
        line.follow(session, asked.after)
        if session.closed is not None:
            line.send(session.closed)
        self._rest()
        return session

    async def stop(self, id: str) -> bool:
        """As `Serving.stop`."""
        session = self.sessions.get(id)
        if session is None:
            return False
        if session.answering is not None:
            session.is_stopped = True
            session.answering.cancel()
            await asyncio.wait([session.answering])
            self.sessions.forget(session)
        elif session.is_over:
            self.sessions.forget(session)
        else:
            await self.sessions.close(session)
        return True

    def for_screen(self, join: Join) -> Session | None:
        """As `Serving.for_screen`."""
        if self._is_ending:
            return None
        self._has_served = True
        settings = self._read_settings()
        served = [session for session in self.sessions if session.served is not None]
        if join.session:
            return next((session for session in served if session.log.session == join.session), None)
        if served and not join.is_new:
            left = [session for session in served if session.served and not session.served.n_viewers]
            return (left or served)[-1]
        state = StateStore()
        state.read()
        return self.sessions.open("app", settings, state, Options())

    def _read_settings(self) -> Settings:
        """Those of now: a host lives longer than what the user's file says. A session keeps those that it began
        with."""
        settings, _ = load_settings()  # what is wrong with them is told by whoever asks
        self._wishes = settings.session
        return settings

    async def end(self, line: Line, session: Session) -> bool:
        """As `Serving.end`."""
        try:
            await self.sessions.close(session)
        except StoreError as error:
            _log.warning("Not all is saved: %s", error)
            line.send(Returned(id=OF_LEAVING, problem=encode(problem_of(error))))
        if is_last := not tuple(self.sessions):
            self._is_over.set()
        return is_last

    async def free(self) -> None:
        """As `Serving.free`."""
        if not self.is_busy and not self._is_ending:
            await self.sessions.unload()

    @property
    def is_busy(self) -> bool:
        """Something is done in a session, or waits."""
        return bool(self._downloading.all) or any(session.is_busy for session in self.sessions)

    def status(self) -> HostStatus:
        """As `Serving.status`."""
        engine, in_use = self.sessions.engine.engine, self.sessions.in_use
        loaded = engine.loaded
        return HostStatus(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            phase=self._phase,
            model=in_use.last.name if in_use.last is not None and loaded is not None else "",
            path=loaded.path if loaded else "",
            sessions=tuple(session.status for session in self.sessions),
            memory_bytes=sum(_memory(pid) for pid in (os.getpid(), engine.pid) if pid is not None),
            downloads=tuple(map(_fetched, self._downloading.all)),
            survival=self._survival,
            ends_in_s=self._ends_in_s(),
        )

    @property
    def _phase(self) -> Phase:
        for session in self.sessions:
            if not session.is_over and session.share.turn.is_held:
                return session.controller.phase
        engine = self.sessions.engine.engine
        return "no_model" if engine.loaded is None else "ready"

    # Questions --------------------------------------------------------------------------------------------------------

    async def _answer(self, session: Session, asked: AskHost) -> None:
        closed = Closed()
        try:
            closed = await self._closed(session, asked)
        except asyncio.CancelledError:  # while it waited
            closed = Closed()
        except Exception as error:
            _log.exception("A question was broken off")
            closed = Closed(code=ExitCode.ENGINE, sentence=f"{type(error).__name__}: {error}")
            raise
        finally:
            if session.is_stopped:
                sentence = tr("The question was stopped from another terminal; what there is of an answer is saved.")
                closed = Closed(code=ExitCode.INTERRUPTED, sentence=sentence, conversation=closed.conversation)
            self.sessions.over(session, closed)
            if (line := self._askers.pop(session, None)) is not None:
                line.send(closed)
            elif not session.has_begun:
                self.sessions.forget(session)
            await session.controller.close()

    async def _closed(self, session: Session, asked: AskHost) -> Closed:
        controller, question = session.controller, asked.question
        words.use(asked.language)
        await self._open(session, question)
        state = StateStore(is_kept=False)
        state.read()
        asking = Asking(
            controller,
            controller.settings,
            state,
            on_model=lambda name, loaded: self._began(session, Begun(session=session.id, model=name, loaded=loaded)),
            say=lambda sentence: self._say(session, sentence),
        )
        try:
            async with session.share.turn.taken():
                session.has_begun = True
                self._tell_survival(session)
                if session.share.alive:
                    controller.model.adopt(self.sessions.in_use)
                await share_language(session.share)
                await asking.ask(question)
        except CannotAsk as error:
            return Closed(code=error.code, sentence=str(error))
        except EngineDied as died:
            return Closed(code=ExitCode.ENGINE, sentence=death_report(died.death))
        except StoreError as error:
            return Closed(code=ExitCode.UNWRITTEN, sentence=str(error))
        except asyncio.CancelledError:
            return Closed(conversation=controller.opened.saved_id)
        await controller.store.flush()
        return Closed(conversation=controller.opened.saved_id)

    async def _open(self, session: Session, question: Question) -> None:
        if not (question.keep or question.continue_last):
            return
        with contextlib.suppress(StoreError):  # it keeps trying, and tells
            opened = await session.controller.store.start()
            if opened.set_aside is not None:
                file = opened.set_aside
                self._say(session, tr("The saved conversations are damaged and were set aside as {file}.", file=file))

    def _began(self, session: Session, begun: Begun) -> None:
        session.begun = begun
        if (line := self._askers.get(session)) is not None:
            line.send(begun)

    def _say(self, session: Session, sentence: str) -> None:
        if (line := self._askers.get(session)) is not None:
            line.send(Remark(sentence=sentence))

    def _tell_survival(self, session: Session) -> None:
        if not self._is_survival_told and (told := warning(self._survival)):
            self._say(session, tr("The model stays loaded in the background. {warning}", warning=told))
        self._is_survival_told = True

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    # The end ----------------------------------------------------------------------------------------------------------

    def _changed(self, session: Session) -> None:
        """A session begins or ends to do something."""
        if self._is_ending:
            return
        self._rest()
        screens = [one.served for one in self.sessions if one.served is not None]
        self._downloading.want(bool(screens) and not any(served.n_viewers for served in screens))
        if not session.is_busy:
            for line in self._lines:
                line.rest(session)

    def _rest(self) -> None:
        """Begin to wait for the next question, or to answer one: the time until the end begins anew."""
        self._quiet_since = time.monotonic()
        for timer in (self._end, self._unloading):
            if timer is not None:
                timer.cancel()
        self._end = self._unloading = None
        if self.is_busy:
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
        if self._lines:
            self._rest()
        else:
            self._is_over.set()

    def _ends_in_s(self) -> float:
        if self.is_busy or self._wishes.linger < 0:
            return -1.0
        return max(0.0, self._linger_s - (time.monotonic() - self._quiet_since))

    def _unload(self) -> None:
        task = asyncio.create_task(self.free())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fetched(download: Download) -> Fetched:
    order = download.order
    return Fetched(name=f"{order.repo.name} {order.label}", n_bytes=download.n_bytes, size_bytes=order.size_bytes)


def _memory(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
