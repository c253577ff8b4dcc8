"""An engine without a process and without a model: it does what a test tells it to, when the test tells it. Its front
half is the very client of the real engine, and every message crosses the wire's records in both directions.

    engine = ScriptedEngine()
    await engine.start()
    await engine.load(path, settings)              # answered by itself, as is everything but `Generate`
    answer = asyncio.create_task(...)              # whatever asks the engine
    command = await engine.asked(Generate)         # it has come, and waits for the test
    engine.begin()                                 # Started
    engine.say("Hello"); engine.say(" world")      # a Delta each
    engine.finish()                                # Done; or engine.fail("decode"), or engine.die()
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tests.loads import loaded_as
from tui.engines.client import EngineClient
from tui.engines.interface import Capabilities
from tui.protocol.bench_messages import (
    Bandwidths,
    BenchParallel,
    BenchSample,
    BenchTest,
    MeasureBandwidth,
    MeasureSteps,
    ParallelSample,
    StepCosts,
)
from tui.protocol.codec import ANSWERS, command_decoder
from tui.protocol.death import EngineDied
from tui.protocol.messages import (
    AnyCommand,
    Aside,
    AskAside,
    Cancel,
    ContextRestored,
    ContextSaved,
    Count,
    Counted,
    Delta,
    DeltaKind,
    Devices,
    Done,
    DryRun,
    EndThought,
    Event,
    Failed,
    Generate,
    Hello,
    ListDevices,
    Load,
    Loaded,
    LoadProgress,
    Ok,
    Planned,
    Prefill,
    ReadAhead,
    RestoreContext,
    SaveContext,
    Started,
    Unload,
    UseLanguage,
    WarmUp,
)
from tui.protocol.records import Device, ErrorInfo, ErrorKind, Message, Placed, StopReason, Timings
from tui.protocol.wire import LENGTH, encode

CPU = Device(name="CPU", description="a scripted processor", kind="cpu", total_bytes=8 << 30, free_bytes=4 << 30)
EVERYTHING = Capabilities(
    counts=True,
    keeps_context=True,
    asks_aside=True,
    switches_devices=True,
    measures_bandwidth=True,
    speculates=True,
)
CommandT = TypeVar("CommandT", bound=AnyCommand)


class ScriptedEngine(EngineClient):
    """An `Engine` for tests. Commands run one after the other; those of the kinds in `held` wait for what the test
    tells of them, all others are answered at once.

    A `Generate` that is not held is answered with `reply`, a word at a time.
    """

    def __init__(
        self,
        *,
        on_death: Callable[[EngineDied], None] | None = None,
        held: Collection[type[AnyCommand]] = (Generate,),
        capabilities: Capabilities = EVERYTHING,
        hello: Hello | None = None,
    ) -> None:
        super().__init__(on_death)
        self.capabilities = capabilities
        self.held = set(held)
        self.reply = "pong"
        self.aside = "A title"
        self.facts: dict[str, Any] = {}
        """Fields of `Loaded` and `LlamaLoad` that are to be other than what was asked for."""
        self.heeds_cancel = True
        """Whether a command that is held ends when it is cancelled; else `Cancel` is only noted."""
        self.commands: list[AnyCommand] = []
        """All that was ever sent, in order."""
        self.n_starts = 0
        self._hello = hello or Hello(pid=0, llama_cpp="scripted", devices=(CPU,))
        self._alive = self._was_buried = False
        self._code: int | None = None
        self._reader = command_decoder()
        self._forget_all()

    def _forget_all(self) -> None:
        self._waiting: deque[AnyCommand] = deque()
        self._now: AnyCommand | None = None
        self._is_fresh = False
        """What runs was not given to the test yet."""
        self._cancelled: set[int] = set()
        self._told: Loaded | None = None
        self._n_used = self._n_decode = 0
        self._changed = asyncio.Event()

    # What a test does -------------------------------------------------------------------------------------------------

    async def asked(self, kind: type[CommandT]) -> CommandT:
        """Wait until a command of this kind, which is held, is the one that runs; each is given once."""
        while not (self._is_fresh and isinstance(self._now, kind)):
            self._changed.clear()
            await self._changed.wait()
        self._is_fresh = False
        return self._now

    def sent(self, kind: type[CommandT]) -> list[CommandT]:
        """All commands of this kind that were ever sent."""
        return [command for command in self.commands if isinstance(command, kind)]

    def tell(self, *events: Event) -> None:
        """Events of the command that runs. The one that answers it lets the next command run."""
        for event in events:
            assert self._now is not None, "no command runs"
            command = self._now
            self._on_output(encode(msgspec.structs.replace(event, id=command.id)))
            if isinstance(event, (ANSWERS[type(command)], Failed)):
                self._end(event)

    def begin(self, n_prompt: int = 20, n_cached: int = 0) -> None:
        """The prompt was looked at and read."""
        self._n_used, self._n_decode = n_prompt, 0
        self.tell(Started(n_prompt=n_prompt, n_cached=n_cached, n_dropped=0, n_ctx=self._n_ctx))
        n_new = n_prompt - n_cached
        self.tell(Prefill(done=n_new, total=n_new, tps=0.0, eta_s=0.0))

    def say(self, text: str, kind: DeltaKind = "answer") -> None:
        """A piece of the answer, one token long."""
        self._n_used, self._n_decode = self._n_used + 1, self._n_decode + 1
        self.tell(Delta(kind=kind, text=text, n_decode=self._n_decode, decode_tps=0.0, n_used=self._n_used))

    def think(self, text: str) -> None:
        """A piece of what is thought before the answer."""
        self.say(text, "thinking")

    def finish(self, stop: StopReason = "stop") -> None:
        """The end of the answer."""
        n_prompt = self._n_used - self._n_decode
        timings = Timings(n_prompt=n_prompt, n_prefill=n_prompt, n_decode=self._n_decode)
        self.tell(Done(stop=stop, timings=timings, n_used=self._n_used, n_ctx=self._n_ctx))

    def fail(self, kind: ErrorKind, detail: str = "scripted", **facts: int) -> None:
        """What runs fails; the engine lives on. Of a `Load` beside or in place of a model that is to stay, that is what
        is loaded then."""
        self.tell(Failed(error=ErrorInfo(kind=kind, detail=detail, **facts), loaded=self._after_failure()))

    def die(self, return_code: int = -signal.SIGKILL, *log: str) -> None:
        """It ends unasked, with these last lines in its log. `return_code` is negative for a signal."""
        for line in log:
            self._on_line(line)
        self._alive, self._code = False, return_code
        self._soon(self._be_buried)

    # What an engine does ----------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return self._alive

    @property
    def pid(self) -> int | None:
        return None

    async def start(self) -> Hello:
        if self._alive and self.hello:
            return self.hello
        greeted = self._begin()
        self._forget_all()
        self._alive, self._was_buried, self._code = True, False, None
        self.n_starts += 1
        self._soon(self._on_output, encode(self._hello))
        return await self._greeting(greeted)

    async def close(self) -> None:
        if self._alive:
            self._alive, self._was_buried, self._code = False, True, -signal.SIGKILL
            self._tell_waiting(self._death())

    async def restart(self) -> Hello:
        await self.close()
        return await self.start()

    @property
    def _is_buried(self) -> bool:
        return self._was_buried or not self.n_starts

    @property
    def _return_code(self) -> int | None:
        return self._code

    def _kill(self) -> None:
        self.die()

    def _be_buried(self) -> None:
        if not self._was_buried:
            self._was_buried = True
            self._bury()

    def _write(self, frame: bytes) -> None:
        command = self._reader.decode(frame[LENGTH.size :])
        self.commands.append(command)
        if isinstance(command, Cancel):
            self._cancelled.add(command.target)
            self._soon(self._stop, command.target)
        elif isinstance(command, EndThought):
            pass  # a test sees that it was asked for, and says what comes of it
        elif isinstance(command, ListDevices):
            self._soon(self._on_output, encode(Devices(id=command.id, devices=self._hello.devices)))
        elif isinstance(command, UseLanguage):
            self._soon(self._on_output, encode(Ok(id=command.id)))
        else:
            self._waiting.append(command)
            self._soon(self._go_on)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        """As from another process: never while somebody sends."""
        start = self.n_starts

        def unless_it_is_another() -> None:
            if start == self.n_starts and (self._alive or call == self._be_buried):
                call(*arguments)

        asyncio.get_running_loop().call_soon(unless_it_is_another)

    def _go_on(self) -> None:
        if self._now is not None or not self._waiting:
            return
        self._now = self._waiting.popleft()
        if self._now.id in self._cancelled and self.heeds_cancel:
            self._stop(self._now.id)
        elif refusal := self._refusal(self._now):
            self.tell(Failed(error=refusal, loaded=self._told))
        elif type(self._now) in self.held:
            self._is_fresh = True
            self._changed.set()
        elif isinstance(self._now, Generate):
            self._reply(self._now)
        else:
            self.tell(*self._answers(self._now))

    def _stop(self, command_id: int) -> None:
        if self._now is None or self._now.id != command_id or not self.heeds_cancel:
            return
        if isinstance(self._now, Generate):
            self.finish("cancelled")
        else:
            self.fail("cancelled", "cancelled")

    def _end(self, event: Event) -> None:
        command, self._now, self._is_fresh = self._now, None, False
        if isinstance(event, Loaded):
            assert command is not None
            self._told = msgspec.structs.replace(event, id=command.id)
        elif isinstance(command, Unload):
            self._told = None
        elif isinstance(command, Load) and isinstance(event, Failed):
            self._told = event.loaded
        self._soon(self._go_on)

    def _after_failure(self) -> Loaded | None:
        command, told = self._now, self._told
        if not isinstance(command, Load) or told is None:
            return None
        stays = command.load_first or (command.keep_context and command.path == told.path)
        return told if stays else None

    def _refusal(self, command: AnyCommand) -> ErrorInfo | None:
        """What the real engine says no to before it does anything."""
        if isinstance(command, Load):
            if not Path(command.path).is_file():
                return ErrorInfo(kind="model_not_found", detail=f"{command.path} is not a file")
        elif self._told is None and not isinstance(command, Unload | DryRun | MeasureBandwidth):
            return ErrorInfo(kind="no_model", detail="no model is loaded")
        elif isinstance(command, Generate) and (n_prompt := _n_tokens(command.messages)) >= self._n_ctx:
            return ErrorInfo(kind="context_overflow", detail="too long", n_prompt=n_prompt, n_ctx=self._n_ctx)
        return None

    @property
    def _n_ctx(self) -> int:
        return self._told.n_ctx if self._told else 0

    def _answers(self, command: AnyCommand) -> Iterable[Event]:
        match command:
            case Load():
                return LoadProgress(fraction=1.0), self._load(command)
            case Unload() | ReadAhead() | WarmUp():
                return (Ok(),)
            case Count(messages=messages):
                return (Counted(n_tokens=_n_tokens(messages), n_ctx=self._n_ctx),)
            case AskAside():
                return (Aside(text=self.aside, is_whole=True),)
            case BenchTest():
                return (BenchSample(elapsed_s=0.5, prefill_s=0.25, ttft_s=0.3),)
            case BenchParallel():
                return (ParallelSample(prefill_s=0.25, decode_s=0.25),)
            case MeasureSteps():
                return (StepCosts(costs=(1.0, 1.25, 1.5)),)
            case MeasureBandwidth(devices=devices):
                return (Bandwidths(bytes_per_s=dict.fromkeys(devices, 1e10)),)
            case DryRun(settings=settings):
                return (Planned(placed=(Placed(device="CPU", weights_bytes=1 << 20),), n_ctx=settings.n_ctx),)
            case SaveContext():
                return (ContextSaved(n_tokens=self._n_used, n_bytes=1 << 10),)
            case RestoreContext():
                return (ContextRestored(n_tokens=self._n_used),)
        raise AssertionError(f"nothing is known to answer {command} with")

    def _load(self, command: Load) -> Loaded:
        settings = command.settings
        takes_along = command.keep_context and self._told is not None and self._told.path == command.path
        facts: dict[str, Any] = {
            "path": command.path,
            "description": "scripted",
            "n_params": 1_000_000,
            "size_bytes": 1 << 20,
            "n_layers": 3,
            "n_gpu_layers": 3 if settings.devices and settings.n_gpu_layers < 0 else max(settings.n_gpu_layers, 0),
            "devices": settings.devices,
            "n_ctx": settings.n_ctx or 4096,
            "n_ctx_train": 4096,
            "n_batch": settings.n_batch,
            "n_ubatch": settings.n_ubatch,
            "n_threads": settings.n_threads or 1,
            "n_threads_batch": settings.n_threads_batch or 1,
            "flash_attn": settings.flash_attn != "off",
            "type_k": settings.type_k,
            "type_v": settings.type_v,
            "can_think": True,
            "buffers": (),
            "load_s": 0.0,
            "n_kept": self._n_used if takes_along else 0,
        }
        return loaded_as(**facts | self.facts)

    def _reply(self, command: Generate) -> None:
        self.begin(_n_tokens(command.messages))
        for number, word in enumerate(self.reply.split(" ")):
            self.say(f" {word}" if number else word)
        self.finish()


def _n_tokens(messages: Iterable[Message]) -> int:
    """A token for each word, and one for each turn."""
    return sum(1 + len(message.content.split()) for message in messages)
