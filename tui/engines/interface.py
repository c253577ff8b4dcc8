"""What a front end may ask of an engine, whatever engine that is, and what it may expect of the answers. Starts
nothing: the engine that llmtui has is in `local.py`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from tui.protocol.death import EngineDied
from tui.protocol.messages import AnswerT, Command, Event, Generate, Hello, Loaded, UseLanguage
from tui.protocol.records import ErrorInfo, LoadSettings
from tui.words import language


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine can do beyond loading a model and answering. A command that it cannot carry out fails, with
    "unknown_command"; a front end looks here first and does not offer what would fail."""

    counts: bool = False
    """Says how many tokens a conversation comes to before it is sent: `Count`."""
    keeps_context: bool = False
    """Its KV cache can go to a file and come back, and be read ahead: `SaveContext`, `RestoreContext`, `ReadAhead`."""
    asks_aside: bool = False
    """Answers a question that is no part of the conversation, while nobody waits: `AskAside`."""
    switches_devices: bool = False
    """Takes the KV cache along, and an answer that is paused, when the same file is loaded with other settings:
    `Load.keep_context`, `Generate.resume`."""
    measures_bandwidth: bool = False
    """`MeasureBandwidth`."""
    speculates: bool = False
    """Decodes several tokens at once, when it is told what that costs: `MeasureSteps`, `Generate.step_costs`."""


class EngineError(Exception):
    """A command failed; the engine lives on. `info` holds the facts."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(f"{info.kind}: {info.detail}")
        self.info = info


class AnswerStream(Protocol):
    """A running `Engine.generate`: iterate over its events once, or `cancel` it. The last event is `Done`.

    Iterating raises `EngineError` when the command fails and `EngineDied` when the engine is gone. Whoever leaves the
    loop before its end cancels the answer.
    """

    def __aiter__(self) -> AsyncIterator[Event]: ...

    def cancel(self, *, insist: bool = True) -> None:
        """Stop as soon as can be; what was generated stays, and `Done` comes with the stop reason "cancelled". An
        engine that does not listen is ended after a while, unless one does not `insist`: a GPU cannot be stopped inside
        a ubatch, and may take its time."""

    def end_thought(self) -> None:
        """Have a thought end now, so that the answer comes; one that has not begun ends at once. Without effect where
        the answer is being written already."""


class Engine(Protocol):
    """One engine, with at most one model. Commands are carried out one after the other, in the order in which they were
    sent; `ListDevices` and the cancelling of others act at once. To be used on one event loop.

    Every method that waits raises `EngineDied` when the engine is gone and `EngineError` when the command failed.
    """

    @property
    def capabilities(self) -> Capabilities:
        """The same for as long as this object lives."""

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""

    @property
    def pid(self) -> int | None:
        """Id of its process while that runs on this machine."""

    @property
    def hello(self) -> Hello | None:
        """What it said of itself when it started last; None until then."""

    @property
    def loaded(self) -> Loaded | None:
        """What is loaded, as the engine said last: the same object until it says that something else is. None when
        nothing is, and while a model is loaded or freed, be it that nobody waits for that any more."""

    @property
    def log(self) -> Sequence[str]:
        """The last lines of its log, oldest first."""

    on_death: Callable[[EngineDied], None] | None
    """Called on the event loop when the engine ends unasked, also at its start, after whoever waits was told."""

    async def start(self) -> Hello:
        """Start it and wait until it is ready. Does nothing when it runs already."""

    async def close(self) -> None:
        """End it and wait until it is gone. Whoever waits for an answer gets `EngineDied`."""

    async def restart(self) -> Hello:
        """A new engine in place of the old one, dead or alive. Nothing is loaded in it."""

    async def settled(self) -> Loaded | None:
        """Wait until nothing is being loaded or freed any more, such as after a load that was cancelled; what is
        loaded then. None too when the engine ends meanwhile."""

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

    def generate(self, command: Generate) -> AnswerStream:
        """Answer a conversation; the events come from iterating over the result."""

    async def ask(self, command: Command[AnswerT]) -> AnswerT:
        """Send any command and wait for what answers it: `await engine.ask(Count(messages=turns))` is a `Counted`.
        Cancelling the task that waits cancels the command."""


async def share_language(engine: Engine) -> None:
    """Have an engine word its errors and notes in the language that this process speaks now. One that does not run
    gets it when it is started; one that knows no languages keeps its own."""
    if engine.alive:
        with contextlib.suppress(EngineError, EngineDied):
            await engine.ask(UseLanguage(language=language()))
