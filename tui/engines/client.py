"""The front end's half of any engine that speaks `tui.protocol.messages`: sends commands, hands events to whoever waits
for them, knows what is loaded. How the messages travel, and how the other half starts and ends, is for subclasses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tui.engines.interface import EngineError
from tui.protocol import loadlog
from tui.protocol.codec import ANSWERS, EVENTS, Envelope, Greeting, event_decoder, not_text
from tui.protocol.death import Cause, Computing, EngineDied, examine, look_at
from tui.protocol.messages import (
    PROTOCOL,
    AnswerT,
    AnyCommand,
    Cancel,
    Command,
    EndThought,
    Event,
    Failed,
    Generate,
    Hello,
    Load,
    Loaded,
    LoadProgress,
    Unload,
)
from tui.protocol.records import Doing, LoadSettings
from tui.protocol.records import repacked as repacked_in
from tui.protocol.wire import FrameDecoder, WireError, encode

LOG_LINES = 400
CANCEL_GRACE_S = 10.0
"""How long a cancelled command may go on, on a GPU inside one batch, before the engine is ended by force."""
STAY_GRACE_S = 60.0
"""The same of a load beside a model that is to stay, and that would go with the process."""

_log = logging.getLogger("llmtui.engine")
_log.addHandler(logging.NullHandler())  # without a log file nothing goes to the terminal
_GPUS = ("gpu", "igpu")
_KNOWN_EVENTS = frozenset(event.__name__ for event in EVENTS)

Events = asyncio.Queue[Event | EngineDied]
"""What comes in answer to one command."""


class RunningAnswer:
    """The `AnswerStream` of a client."""

    def __init__(self, client: EngineClient, command: Generate) -> None:
        self._client, self._command = client, command
        self._events = client._send(command)

    async def __aiter__(self) -> AsyncIterator[Event]:
        async with contextlib.aclosing(self._client._events(self._command, self._events)) as events:
            async for event in events:
                yield event

    def cancel(self, *, insist: bool = True) -> None:
        """As `AnswerStream.cancel`."""
        self._client._cancel(self._command.id, insist=insist)

    def end_thought(self) -> None:
        """As `AnswerStream.end_thought`."""
        self._client._end_thought(self._command.id)


class EngineClient(ABC):
    """An `Engine` but for its start and its end. A subclass calls `_begin` before a process starts, `_on_output` and
    `_on_line` for what that says, and `_bury` when it has ended unasked."""

    def __init__(self, on_death: Callable[[EngineDied], None] | None = None) -> None:
        self.on_death = on_death
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.hello: Hello | None = None
        self.loaded: Loaded | None = None
        self._ids = 0
        self._decoder = event_decoder()
        self._frames = FrameDecoder()
        self._greeted: Events | None = None
        """Where the first event of a process that starts is waited for."""
        self._pending: dict[int, tuple[AnyCommand, Events]] = {}
        self._held: Loaded | None = None
        self._asked: dict[int, Computing] = {}
        """By the command, what the loads that are under way will compute with."""
        self._computing = Computing()
        """What the loaded model computes with."""
        self._ended_for: Cause | None = None
        """Why llmtui itself ended the process, if it did."""
        self._settled = asyncio.Event()
        """No load and no unload is under way."""
        self._settled.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Start and end ----------------------------------------------------------------------------------------------------

    @abstractmethod
    async def start(self) -> Hello:
        """As `Engine.start`."""

    @abstractmethod
    async def close(self) -> None:
        """As `Engine.close`."""

    # How messages travel ----------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether commands can be written."""

    @property
    @abstractmethod
    def _is_buried(self) -> bool:
        """Whether nothing more is to be heard: no process was started, or `_bury` was called for it."""

    @property
    @abstractmethod
    def _return_code(self) -> int | None:
        """Of the process that has ended, as `examine` takes it."""

    @abstractmethod
    def _write(self, frame: bytes) -> None:
        """Send one frame; never waits."""

    @abstractmethod
    def _kill(self) -> None:
        """End the process by force; `_bury` follows."""

    # Commands ---------------------------------------------------------------------------------------------------------

    async def settled(self) -> Loaded | None:
        """As `Engine.settled`."""
        await self._settled.wait()
        return self.loaded

    async def load(
        self,
        path: str | Path,
        settings: LoadSettings,
        on_progress: Callable[[float], None] | None = None,
        *,
        keep_context: bool = False,
        load_first: bool = False,
    ) -> Loaded:
        """As `Engine.load`."""
        command = Load(
            id=self._next_id(), path=str(path), settings=settings, keep_context=keep_context, load_first=load_first
        )
        events = self._send(command)
        try:
            while True:
                event = await _next(events)
                if isinstance(event, LoadProgress) and on_progress:
                    on_progress(event.fraction)
                elif isinstance(event, Loaded):
                    return event
        except asyncio.CancelledError:
            # A model that is to stay is worth waiting for, however long it takes to load it again.
            insist = self._held is None or load_first or not keep_context
            self._cancel(command.id, insist=insist, grace_s=STAY_GRACE_S if self._held and load_first else None)
            while load_first and not self._settled.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self._settled.wait()
            raise

    def generate(self, command: Generate) -> RunningAnswer:
        """As `Engine.generate`."""
        return RunningAnswer(self, msgspec.structs.replace(command, id=self._next_id()))

    async def ask(self, command: Command[AnswerT]) -> AnswerT:
        """As `Engine.ask`."""
        command = msgspec.structs.replace(command, id=self._next_id())
        async with contextlib.aclosing(self._events(command, self._send(command))) as events:
            async for event in events:
                last = event
        answer: AnswerT = last  # type: ignore[assignment]  # by `ANSWERS`, which were made from the same types
        return answer

    def _cancel(self, command_id: int, *, insist: bool = True, grace_s: float | None = None) -> None:
        """Ask a running command to stop. With `insist`, one that does not listen within `grace_s` (`CANCEL_GRACE_S`) is
        ended by force, and the process with it."""
        if command_id in self._pending and self.alive:
            self._write(encode(Cancel(id=self._next_id(), target=command_id)))
            if insist:
                grace_s = CANCEL_GRACE_S if grace_s is None else grace_s
                asyncio.get_running_loop().call_later(grace_s, self._insist, command_id, grace_s)

    def _end_thought(self, command_id: int) -> None:
        if command_id in self._pending and self.alive:
            self._write(encode(EndThought(id=self._next_id(), target=command_id)))

    def _insist(self, command_id: int, grace_s: float) -> None:
        if command_id in self._pending and self.alive:
            self._put_down("not_stopped", f"it did not stop within {grace_s:.0f} s of being asked to")

    def _put_down(self, cause: Cause, why: str) -> None:
        """End a process that cannot be worked with."""
        self._ended_for = cause
        self._on_line(f"llmtui ended the engine: {why}")
        self._kill()

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def _send(self, command: AnyCommand) -> Events:
        events = Events()
        try:
            frame = encode(command)
        except UnicodeEncodeError:  # such as a file name that is no text: nothing was sent, nothing has changed
            events.put_nowait(Failed(id=command.id, error=not_text(command)))
            return events
        self._pending[command.id] = (command, events)
        if isinstance(command, Load):
            self._asked[command.id] = Computing(
                on_cpu=not command.settings.devices, path=command.path, files=look_at(command.path)
            )
        if self.alive:
            self._look_for_loads()
            self._write(frame)
        elif self._is_buried:
            events.put_nowait(self._death())
            self._pending.pop(command.id)
            self._asked.pop(command.id, None)
        # Else it has just ended: this is answered with the others that wait, when its last words were read.
        return events

    async def _events(self, command: AnyCommand, events: Events) -> AsyncGenerator[Event, None]:
        """What comes, up to the answer. When whoever waits goes before that, the command is cancelled."""
        answer = ANSWERS[type(command)]
        try:
            while True:
                event = await _next(events)
                yield event
                if isinstance(event, answer):
                    return
        finally:
            self._cancel(command.id)

    # What comes -------------------------------------------------------------------------------------------------------

    def _begin(self) -> Events:
        """A process is about to start: forget the one before. Its `Hello` comes in the result."""
        self._frames, self.hello, self.loaded, self._held = FrameDecoder(), None, None, None
        self.log.clear()
        self._ended_for = None
        self._pending = {}
        self._asked, self._computing = {}, Computing()
        self._greeted = Events()
        return self._greeted

    async def _greeting(self, greeted: Events) -> Hello:
        """Wait for the `Hello` of the process that was begun."""
        hello = await _next(greeted)
        assert isinstance(hello, Hello)
        self.hello = hello
        return hello

    def _on_output(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                if self._greeted is None:
                    self._on_frame(frame)
                elif not self._greet(frame, self._greeted):
                    return
        except (WireError, msgspec.MsgspecError) as error:
            self._put_down("out_of_step", f"it sent what is not a message ({error})")

    def _greet(self, frame: bytes, greeted: Events) -> bool:
        theirs = msgspec.msgpack.decode(frame, type=Greeting).protocol
        if theirs != PROTOCOL:
            self._put_down(
                "other_version", f"it speaks version {theirs} of the protocol, this window version {PROTOCOL}"
            )
            return False
        greeted.put_nowait(self._decoder.decode(frame))
        self._greeted = None
        return True

    def _on_frame(self, frame: bytes) -> None:
        try:
            event = self._decoder.decode(frame)
        except msgspec.ValidationError:
            unknown = msgspec.msgpack.decode(frame, type=Envelope)
            if unknown.type in _KNOWN_EVENTS:
                raise
            _log.warning("the engine sent an event that is not known here: %s", unknown.type)
            return
        if entry := self._pending.get(event.id):
            command, events = entry
            events.put_nowait(event)
            if isinstance(event, (ANSWERS[type(command)], Failed)):
                del self._pending[event.id]
                self._note(command, event)

    def _note(self, command: AnyCommand, last: Event) -> None:
        """What is loaded, as the last event of a command tells it, whether or not somebody still waits for it."""
        asked = self._asked.pop(command.id, None)
        if isinstance(last, Loaded):
            self._held, self._computing = last, asked or Computing()
        elif isinstance(last, Failed) and isinstance(command, Load) and last.loaded != self._held:
            self._held = last.loaded
        elif not isinstance(last, Failed) and isinstance(command, Unload):
            self._held = None
        self._look_for_loads()

    def _look_for_loads(self) -> None:
        if any(isinstance(command, Load | Unload) for command, _ in self._pending.values()):
            self.loaded = None
            self._settled.clear()
        else:
            self.loaded = self._held
            self._settled.set()

    def _on_line(self, line: str) -> None:
        self.log.append(line)
        _log.info("%s", line)

    # The end ----------------------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """The process ended unasked."""
        died = self._death()
        self._tell_waiting(died)
        _log.error("%s", died)
        if self.on_death:
            self.on_death(died)

    def _tell_waiting(self, died: EngineDied) -> None:
        self._held = None
        waiting = [events for _, events in self._pending.values()]
        if self._greeted is not None:
            waiting.append(self._greeted)
        self._pending, self._greeted = {}, None
        self._look_for_loads()
        for events in waiting:
            events.put_nowait(died)

    def _death(self) -> EngineDied:
        running = self._doing()
        log = list(self.log)
        return EngineDied(examine(self._return_code, log, running, self._ended_for, self._computes_with(running)))

    def _doing(self) -> Doing:
        if self._greeted is not None:
            return "starting"
        return next((command.doing for command, _ in self._pending.values() if command.doing != "idle"), "idle")

    def _computes_with(self, running: Doing) -> Computing:
        """What the process computes with now; of a model that is being loaded, the log tells where its weights go."""
        loading = next((self._asked[number] for number in self._pending if number in self._asked), None)
        if running == "loading" and loading is not None:
            lines = loadlog.of_last_load(list(self.log))
            now = msgspec.structs.replace(loading, stage=loadlog.stage(lines))
            repacked = repacked_in(loadlog.buffers(lines))
        else:
            now, repacked = self._computing, self._held.llama.repacked if self._held else ()
        gpus = tuple(device.name for device in (self.hello.devices if self.hello else ()) if device.kind in _GPUS)
        return msgspec.structs.replace(now, repacked=repacked, gpus=gpus)


async def _next(events: Events) -> Event:
    """The next event of a command. Raises `EngineDied` and `EngineError` where that is what comes."""
    event = await events.get()
    if isinstance(event, EngineDied):
        raise event
    if isinstance(event, Failed):
        raise EngineError(event.error)
    return event
