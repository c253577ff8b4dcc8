"""How each command of `tui.protocol.messages` is carried out, one function for each, registered by its type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tui import words
from tui.engine import bandwidth, benchmark, devices, stepcosts, warmup
from tui.engine.abort import Aborted
from tui.engine.cancelling import Cancelling
from tui.engine.dryrun import DryRunner
from tui.engine.keepcontext import ContextSaver
from tui.engine.modelslot import ModelSlot
from tui.protocol.bench_messages import (
    Bandwidths,
    BenchParallel,
    BenchSample,
    BenchSpeculation,
    BenchTest,
    MeasureBandwidth,
    MeasureSteps,
    ParallelSample,
    SpeculationSample,
    StepCosts,
)
from tui.protocol.messages import (
    AnyCommand,
    Aside,
    AskAside,
    Cancel,
    ContextRestored,
    Count,
    Counted,
    Devices,
    DryRun,
    EndThought,
    Event,
    Generate,
    ListDevices,
    Load,
    Loaded,
    Ok,
    Planned,
    ReadAhead,
    RestoreContext,
    SaveContext,
    Unload,
    UseLanguage,
    WarmUp,
)


class Resources:
    """What commands are carried out with. `send` tells an event, from any thread."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self.send = send
        self.cancelling = Cancelling()
        self.slot = ModelSlot(self.cancelling, send)
        self.dry_runner = DryRunner()
        self.contexts = ContextSaver(send)


CommandT = TypeVar("CommandT", bound=AnyCommand, contravariant=True)


class Handler(Protocol[CommandT]):
    """Carries out a command and gives its answer, whose id need not be set; None where the answer is sent otherwise.
    What it raises becomes `Failed`, as `worker.py` says."""

    def __call__(self, resources: Resources, command: CommandT, /) -> Event | None: ...


HANDLERS: dict[type[AnyCommand], Handler[Any]] = {}
"""Run one after the other on the main thread."""
AT_ONCE: dict[type[AnyCommand], Handler[Any]] = {}
"""Run on the thread that reads, whatever else runs: they must not touch what is loaded, nor take time."""


def handles(kind: type[CommandT], *, at_once: bool = False) -> Callable[[Handler[CommandT]], Handler[CommandT]]:
    """Registers a function for commands of this type."""

    def register(handler: Handler[CommandT]) -> Handler[CommandT]:
        (AT_ONCE if at_once else HANDLERS)[kind] = handler
        return handler

    return register


@handles(Cancel, at_once=True)
def _cancel(resources: Resources, command: Cancel) -> None:
    resources.cancelling.cancel(command.target)


@handles(EndThought, at_once=True)
def _end_thought(resources: Resources, command: EndThought) -> None:
    resources.cancelling.end_thought(command.target)


@handles(ListDevices, at_once=True)
def _list_devices(_: Resources, command: ListDevices) -> Devices:
    return Devices(devices=devices.list_devices())


@handles(UseLanguage, at_once=True)
def _use_language(_: Resources, command: UseLanguage) -> Ok:
    words.use(command.language)
    return Ok()


@handles(Load)
def _load(resources: Resources, command: Load) -> Loaded:
    return resources.slot.load(command)


@handles(Unload)
def _unload(resources: Resources, command: Unload) -> Ok:
    resources.slot.unload()
    return Ok()


@handles(Generate)
def _generate(resources: Resources, command: Generate) -> None:
    resources.slot.chat.generate(command, resources.send, resources.cancelling.is_thought_over)


@handles(Count)
def _count(resources: Resources, command: Count) -> Counted:
    chat = resources.slot.chat
    n_tokens = len(chat.prompt(command.messages, thinking=command.thinking, effort=command.effort))
    return Counted(n_tokens=n_tokens, n_ctx=chat.session.n_ctx)


@handles(ReadAhead)
def _read_ahead(resources: Resources, command: ReadAhead) -> Ok:
    resources.slot.chat.read_ahead(command)
    return Ok()


@handles(AskAside)
def _ask_aside(resources: Resources, command: AskAside) -> Aside:
    return resources.slot.chat.aside(command)


@handles(SaveContext)
def _save_context(resources: Resources, command: SaveContext) -> None:
    resources.contexts.save(command, resources.slot.chat, resources.slot.context_key)


@handles(RestoreContext)
def _restore_context(resources: Resources, command: RestoreContext) -> ContextRestored:
    return resources.contexts.restore(command, resources.slot.chat, resources.slot.context_key)


@handles(BenchTest)
def _bench_test(resources: Resources, command: BenchTest) -> BenchSample:
    chat = resources.slot.chat
    chat.prefix.forget()
    return benchmark.measure(chat.session, command)


@handles(BenchParallel)
def _bench_parallel(resources: Resources, command: BenchParallel) -> ParallelSample:
    chat = resources.slot.chat
    chat.prefix.forget()
    return benchmark.measure_parallel(chat.session, command)


@handles(BenchSpeculation)
def _bench_speculation(resources: Resources, command: BenchSpeculation) -> SpeculationSample:
    chat = resources.slot.chat
    chat.prefix.forget()
    return benchmark.measure_speculation(chat.session, command)


@handles(MeasureBandwidth)
def _measure_bandwidth(resources: Resources, command: MeasureBandwidth) -> Bandwidths:
    found = bandwidth.measure(command.devices, command.n_threads, resources.cancelling.switch)
    return Bandwidths(bytes_per_s=found)


@handles(WarmUp)
def _warm_up(resources: Resources, command: WarmUp) -> Ok:
    chat = resources.slot.chat
    try:
        warmup.warm_up(chat.session)
    finally:
        chat.prefix.resynchronize()
    return Ok()


@handles(MeasureSteps)
def _measure_steps(resources: Resources, command: MeasureSteps) -> StepCosts:
    chat = resources.slot.chat
    try:
        return StepCosts(costs=stepcosts.measure(chat.session))
    finally:
        chat.prefix.resynchronize()


@handles(DryRun)
def _dry_run(resources: Resources, command: DryRun) -> Planned:
    if resources.cancelling.switch.is_set:
        raise Aborted
    placed, n_ctx = resources.dry_runner.run(Path(command.path), command.settings, command.device_free)
    return Planned(placed=placed, n_ctx=n_ctx)
