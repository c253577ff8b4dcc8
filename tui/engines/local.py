"""The front end's side of the engine: starts the process, sends commands, gives back events, notices its death.

A whole program:

    import asyncio
    from tui.engines.local import Engine
    from tui.protocol.messages import Delta
    from tui.protocol.records import LoadSettings, Message

    async def main():
        async with Engine() as engine:
            await engine.load("model.gguf", LoadSettings(n_ctx=4096))
            async for event in engine.generate([Message(role="user", content="Hello!")]):
                if isinstance(event, Delta):
                    print(event.text, end="", flush=True)

    asyncio.run(main())
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import msgspec

from tui.engines.pipes import Pipes
from tui.protocol import loadlog
from tui.protocol.death import Cause, Computing, EngineDied, examine, look_at
from tui.protocol.messages import (
    AnyEvent,
    Bandwidths,
    BenchParallel,
    BenchSample,
    BenchTest,
    Cancel,
    Command,
    ContextRestored,
    ContextSaved,
    Count,
    Counted,
    Devices,
    Done,
    DryRun,
    Event,
    Failed,
    Generate,
    Hello,
    ListDevices,
    Load,
    Loaded,
    LoadProgress,
    MeasureBandwidth,
    Ok,
    ParallelSample,
    Planned,
    ReadAhead,
    RestoreContext,
    SaveContext,
    Unload,
    not_text,
)
from tui.protocol.records import Device, Effort, ErrorInfo, LoadSettings, Message, Sampling
from tui.protocol.wire import FrameDecoder, WireError, encode

LOG_LINES = 400
_ENVIRONMENT = {
    # A failed assertion would start a debugger: death comes seconds later, its reason far up in the log.
    "GGML_NO_BACKTRACE": "1",
    # The KV cache, buffers and weights that are not mapped lie in huge pages where the system has them for who asks.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
CANCEL_GRACE_S = 10.0
"""How long a cancelled command may go on, on a GPU inside one batch, before the process is ended by force."""
STAY_GRACE_S = 60.0
"""The same of a load beside a model that is to stay, and that would go with the process."""

_log = logging.getLogger("llmtui.engine")
_log.addHandler(logging.NullHandler())  # without a log file nothing goes to the terminal
_E = TypeVar("_E", bound=Event)
_GPUS = ("gpu", "igpu")
_LAST = (
    Done,
    Failed,
    Loaded,
    Planned,
    Ok,
    Counted,
    BenchSample,
    ParallelSample,
    Bandwidths,
    ContextSaved,
    ContextRestored,
    Devices,
)
"""Nothing comes after these in answer to a command."""


class EngineError(Exception):
    """A command failed; the engine lives on. `info` holds the facts."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(f"{info.kind}: {info.detail}")
        self.info = info


class AnswerStream:
    """A running `generate`: iterate over its events, or `cancel` it. The last event is `Done`.

    Iterating raises `EngineError` when the command fails and `EngineDied` when the process ends.
    """

    def __init__(self, engine: Engine, command: Generate) -> None:
        self._engine, self._command = engine, command
        self._queue = engine._send(command)

    async def __aiter__(self) -> AsyncIterator[Event]:
        try:
            async for event in self._engine._events(self._command, self._queue):
                yield event
                if isinstance(event, Done):
                    return
        finally:
            self._engine._forget(self._command.id)

    def cancel(self, *, insist: bool = True) -> None:
        """Stop as soon as can be; what was generated stays, and `Done` comes with the stop reason "cancelled". For
        `insist` see `Engine.cancel`."""
        self._engine.cancel(self._command.id, insist=insist)


class Engine:
    """One engine process. Use it as an async context manager, or call `start` and `close`.

    `env` adds to the process's environment; `on_death` is called, on the event loop, when the process ends unasked.
    Every method that waits raises `EngineDied` when the process is gone and `EngineError` when the command failed.
    """

    def __init__(
        self, *, env: Mapping[str, str] | None = None, on_death: Callable[[EngineDied], None] | None = None
    ) -> None:
        self._env = dict(env or {})
        self._on_death = on_death
        self._decoder = msgspec.msgpack.Decoder(AnyEvent)
        self._transport: asyncio.SubprocessTransport | None = None
        self._ids = 0
        self._pending: dict[int, tuple[Command, asyncio.Queue[Event | EngineDied]]] = {}
        self._pipes: Pipes | None = None
        """Of the present process; None when none is wanted."""
        self._starting = asyncio.Lock()
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
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        """The last lines that llama.cpp wrote."""
        self.hello: Hello | None = None
        self.loaded: Loaded | None = None
        """What is loaded, as the engine said last: the same object until it says that something else is. None when
        nothing is, and while a model is loaded or freed, be it that nobody waits for that any more."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Life -------------------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._transport is not None and self._transport.get_returncode() is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._transport.get_pid() if self.alive and self._transport else None

    async def settled(self) -> Loaded | None:
        """Wait until nothing is being loaded or freed any more, such as after a load that was cancelled; what is
        loaded then. None too when the process ends meanwhile."""
        await self._settled.wait()
        return self.loaded

    async def start(self) -> Hello:
        """Start the process and wait until it is ready. Does nothing when it runs already."""
        async with self._starting:
            if self.alive and self.hello:
                return self.hello
            await self.close()  # one that died, or whose start nobody waited for
            return await self._start()

    async def _start(self) -> Hello:
        self._frames, self.hello, self.loaded, self._held = FrameDecoder(), None, None, None
        pipes = self._pipes = Pipes(self._on_output, self._on_line, self._bury)
        self.log.clear()
        self._ended_for = None
        ready: asyncio.Queue[Event | EngineDied] = asyncio.Queue()
        self._pending = {0: (Command(id=0), ready)}
        self._asked, self._computing = {}, Computing()
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: pipes,
                *(sys.executable, "-P", "-m", "tui.engine.worker"),
                env={**_ENVIRONMENT, **os.environ, **self._env, "PYTHONUNBUFFERED": "1"},
                # A session of its own: Ctrl-C and a closing terminal reach the front end alone.
                start_new_session=True,
            )
        except OSError as error:
            self._pending.clear()
            raise EngineDied(examine(None, [f"cannot start {sys.executable}: {error.strerror}"], "starting")) from error
        self._transport = transport
        hello = await ready.get()
        self._pending.pop(0, None)
        if isinstance(hello, EngineDied):
            raise hello
        self.hello = cast(Hello, hello)
        return self.hello

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        transport = self._transport
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None
        if transport is None:
            return
        try:
            if transport.get_returncode() is None:
                with contextlib.suppress(ProcessLookupError):
                    transport.kill()
                await transport._wait()  # type: ignore[attr-defined]
        finally:  # also when nobody waits for its end any more
            transport.close()
            if self._transport is transport:
                self._tell_waiting(self._death())
                self._transport = None

    async def restart(self) -> Hello:
        """A new process in place of the old one, dead or alive. Nothing is loaded in it."""
        await self.close()
        return await self.start()

    # Commands ---------------------------------------------------------------------------------------------------------

    async def load(
        self,
        path: str | Path,
        settings: LoadSettings,
        on_progress: Callable[[float], None] | None = None,
        *,
        keep_context: bool = False,
        load_first: bool = False,
    ) -> Loaded:
        """Load a model in place of the one that is loaded. `on_progress` gets fractions from 0 to 1.

        With `keep_context`, the same file is loaded with other settings and takes its KV cache along; when that fails,
        the old settings are loaded again. With `load_first` the old model stays when the load fails, and memory must do
        for both (see `Load`). `loaded` tells what came of it.

        Cancelling the task that waits here cancels the load. With `load_first` that ends soon, and is waited for:
        `loaded` is then what it was, or the new model if that was complete. Otherwise this returns before the engine
        has stopped, or has loaded the old settings again: wait for `settled`.
        """
        command = Load(
            id=self._next_id(), path=str(path), settings=settings, keep_context=keep_context, load_first=load_first
        )
        files = look_at(command.path)
        events = self._send(command)
        if command.id in self._pending:
            self._asked[command.id] = Computing(on_cpu=not settings.devices, path=command.path, files=files)
        try:
            async for event in self._events(command, events):
                if isinstance(event, LoadProgress) and on_progress:
                    on_progress(event.fraction)
                elif isinstance(event, Loaded):
                    return event
        except asyncio.CancelledError:
            # A model that is to stay is worth waiting for, however long it takes to load it again.
            insist = self._held is None or load_first or not keep_context
            self.cancel(command.id, insist=insist, grace_s=STAY_GRACE_S if self._held and load_first else None)
            while load_first and not self._settled.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self._settled.wait()
            raise
        raise AssertionError("a load ends with Loaded or an exception")

    async def unload(self) -> None:
        """Free the model and its context."""
        await self._one(Unload(id=self._next_id()), Ok)

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling | None = None,
        *,
        thinking: bool = True,
        effort: Effort = "",
        thinking_budget: int = 0,
        max_tokens: int = 0,
        drop_oldest: bool = False,
        flush_s: float = 0.1,
        ignore_end: bool = False,
        resume: bool = False,
    ) -> AnswerStream:
        """Answer a conversation; the events come from iterating over the result. See `Generate` for the arguments."""
        return AnswerStream(
            self,
            Generate(
                id=self._next_id(),
                messages=tuple(messages),
                sampling=sampling or Sampling(),
                thinking=thinking,
                effort=effort,
                thinking_budget=thinking_budget,
                max_tokens=max_tokens,
                drop_oldest=drop_oldest,
                flush_s=flush_s,
                ignore_end=ignore_end,
                resume=resume,
            ),
        )

    async def count(self, messages: Sequence[Message], *, thinking: bool = True, effort: Effort = "") -> int:
        """Tokens that these messages come to as a prompt."""
        command = Count(id=self._next_id(), messages=tuple(messages), thinking=thinking, effort=effort)
        return (await self._one(command, Counted)).n_tokens

    async def bench(self, n_prompt: int, n_gen: int, depth: int = 0) -> float:
        """Seconds that one repetition of a benchmark test took; see `BenchTest`."""
        return (await self.bench_sample(n_prompt, n_gen, depth)).elapsed_s

    async def bench_sample(
        self, n_prompt: int, n_gen: int, depth: int = 0, *, n_threads: int = 0, n_threads_batch: int = 0
    ) -> BenchSample:
        """One repetition of a benchmark test, timed by phase; see `BenchTest`."""
        command = BenchTest(
            id=self._next_id(),
            n_prompt=n_prompt,
            n_gen=n_gen,
            depth=depth,
            n_threads=n_threads,
            n_threads_batch=n_threads_batch,
        )
        return await self._one(command, BenchSample)

    async def bench_parallel(self, n_parallel: int, n_prompt: int, n_gen: int) -> ParallelSample:
        """One repetition with several users at once, for which the model must be loaded with as large an `n_parallel`;
        see `BenchParallel`."""
        command = BenchParallel(id=self._next_id(), n_parallel=n_parallel, n_prompt=n_prompt, n_gen=n_gen)
        return await self._one(command, ParallelSample)

    async def bandwidth(self, devices: Sequence[str], n_threads: int = 0) -> dict[str, float]:
        """Bytes per second that the memory of each device gives, "CPU" read by `n_threads` threads, measured now. Takes
        about a second for each; what cannot be measured is left out. See `MeasureBandwidth`."""
        command = MeasureBandwidth(id=self._next_id(), devices=tuple(devices), n_threads=n_threads)
        return (await self._one(command, Bandwidths)).bytes_per_s

    async def dry_run(self, path: str | Path, settings: LoadSettings, device_free: Sequence[int] = ()) -> Planned:
        """What loading would put where, without allocating it; what is loaded stays. See `DryRun`."""
        command = DryRun(id=self._next_id(), path=str(path), settings=settings, device_free=tuple(device_free))
        return await self._one(command, Planned)

    async def read_ahead(self, messages: Sequence[Message], *, thinking: bool = True, effort: Effort = "") -> None:
        """Evaluate what the next prompt will begin with; see `ReadAhead`. Cancelling the task that waits stops it."""
        command = ReadAhead(id=self._next_id(), messages=tuple(messages), thinking=thinking, effort=effort)
        await self._one(command, Ok)

    async def save_context(self, path: Path, max_bytes: int = 0) -> ContextSaved:
        """Write the KV cache to a file; comes back when it is on the disk. See `SaveContext`."""
        return await self._one(SaveContext(id=self._next_id(), path=str(path), max_bytes=max_bytes), ContextSaved)

    async def restore_context(self, path: Path) -> ContextRestored:
        """Take the KV cache from a file that `save_context` wrote, if it goes with what is loaded."""
        return await self._one(RestoreContext(id=self._next_id(), path=str(path)), ContextRestored)

    async def devices(self) -> tuple[Device, ...]:
        """llama.cpp's devices with their memory now; answered also while the engine is busy."""
        return (await self._one(ListDevices(id=self._next_id()), Devices)).devices

    def cancel(self, command_id: int, *, insist: bool = True, grace_s: float | None = None) -> None:
        """Ask a running command to stop. With `insist`, one that does not listen within `grace_s` (`CANCEL_GRACE_S`) is
        ended by force, and the process with it. Without, it may take its time: a GPU cannot be stopped inside a
        ubatch."""
        if command_id in self._pending and self.alive:
            self._write(encode(Cancel(id=self._next_id(), target=command_id)))
            if insist:
                grace_s = CANCEL_GRACE_S if grace_s is None else grace_s
                asyncio.get_running_loop().call_later(grace_s, self._insist, command_id, grace_s)

    def _insist(self, command_id: int, grace_s: float) -> None:
        if command_id in self._pending and self.alive:
            self._put_down("not_stopped", f"it did not stop within {grace_s:.0f} s of being asked to")

    def _put_down(self, cause: Cause, why: str) -> None:
        """End a process that cannot be worked with."""
        if self._transport:
            self._ended_for = cause
            self._on_line(f"llmtui ended the engine: {why}")
            self._transport.kill()

    # Plumbing ---------------------------------------------------------------------------------------------------------

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def _send(self, command: Command) -> asyncio.Queue[Event | EngineDied]:
        events: asyncio.Queue[Event | EngineDied] = asyncio.Queue()
        try:
            frame = encode(command)
        except UnicodeEncodeError:  # such as a file name that is no text: nothing was sent, nothing has changed
            events.put_nowait(Failed(id=command.id, error=not_text(command)))
            return events
        self._pending[command.id] = (command, events)
        if self.alive:
            self._look_for_loads()
            self._write(frame)
        elif self._pipes is None or self._pipes.is_over:
            events.put_nowait(self._death())
            del self._pending[command.id]
        # Else it has just ended: this is answered with the others that wait, when its last words were read.
        return events

    def _write(self, frame: bytes) -> None:
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is not None:
            cast(asyncio.WriteTransport, pipe).write(frame)

    async def _events(self, command: Command, events: asyncio.Queue[Event | EngineDied]) -> AsyncIterator[Event]:
        while True:
            event = await events.get()
            if isinstance(event, EngineDied):
                raise event
            if isinstance(event, Failed):
                raise EngineError(event.error)
            yield event

    async def _run(self, command: Command) -> AsyncGenerator[Event, None]:
        """Send a command and give its events; when whoever waits is cancelled, so is the command."""
        events = self._send(command)
        try:
            async for event in self._events(command, events):
                yield event
        finally:
            self._forget(command.id)

    async def _one(self, command: Command, kind: type[_E]) -> _E:
        async with contextlib.aclosing(self._run(command)) as events:
            async for event in events:
                if isinstance(event, kind):
                    self._pending.pop(command.id, None)
                    return event
        raise AssertionError("a command ends with its answer or an exception")

    def _forget(self, command_id: int) -> None:
        """Nobody waits for this command any more."""
        self.cancel(command_id)

    def _on_output(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                event = self._decoder.decode(frame)
                if entry := self._pending.get(event.id):
                    entry[1].put_nowait(event)
                    if isinstance(event, _LAST):
                        del self._pending[event.id]
                        self._note(entry[0], event)
        except (WireError, msgspec.MsgspecError) as error:
            self._put_down("out_of_step", f"it sent what is not a message ({error})")

    def _note(self, command: Command, last: Event) -> None:
        """What is loaded, as the last event of a command tells it, whether or not somebody still waits for it."""
        asked = self._asked.pop(command.id, None)
        if isinstance(last, Loaded):
            self._held, self._computing = last, asked or Computing()
        elif isinstance(last, Failed) and isinstance(command, Load) and last.loaded != self._held:
            self._held = last.loaded
        elif isinstance(last, Ok) and isinstance(command, Unload):
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

    def _bury(self) -> None:
        """The process ended unasked."""
        died = self._death()
        self._tell_waiting(died)
        _log.error("%s", died)
        if self._on_death:
            self._on_death(died)

    def _tell_waiting(self, died: EngineDied) -> None:
        self._held = None
        waiting, self._pending = self._pending, {}
        self._look_for_loads()
        for _, events in waiting.values():
            events.put_nowait(died)

    def _death(self) -> EngineDied:
        code = self._transport.get_returncode() if self._transport else None
        commands = [type(command) for command, _ in self._pending.values()]
        doing = {
            Command: "starting",
            Load: "loading",
            Generate: "answering",
            ReadAhead: "reading ahead",
            BenchTest: "benchmark",
            MeasureBandwidth: "benchmark",
            BenchParallel: "benchmark",
            DryRun: "planning",
        }
        running = next((doing[kind] for kind in commands if kind in doing), "idle")
        return EngineDied(examine(code, list(self.log), running, self._ended_for, self._computes_with(running)))

    def _computes_with(self, running: str) -> Computing:
        """What the process computes with now; of a model that is being loaded, the log tells where its weights go."""
        loading = next((self._asked[number] for number in self._pending if number in self._asked), None)
        if running == "loading" and loading is not None:
            lines = loadlog.of_last_load(list(self.log))
            now = msgspec.structs.replace(loading, stage=loadlog.stage(lines))
            repacked = loadlog.repacked(loadlog.buffers(lines))
        else:
            now, repacked = self._computing, self._held.repacked if self._held else ()
        gpus = tuple(device.name for device in (self.hello.devices if self.hello else ()) if device.kind in _GPUS)
        return msgspec.structs.replace(now, repacked=repacked, gpus=gpus)
