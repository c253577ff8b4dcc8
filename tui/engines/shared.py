"""One engine for several sessions: each has a share, which is an `Engine` to it. Loads and answers are for who has the
turn; what is done in idle moments gives way to them, and no session finds another's conversation in the KV cache
without having been asked to save its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from tui.engines.interface import AnswerStream, Capabilities, Engine, EngineError
from tui.engines.turns import Turn, Turns
from tui.protocol.bench_messages import MeasureSteps
from tui.protocol.death import EngineDied
from tui.protocol.messages import (
    AnswerT,
    AnyCommand,
    AskAside,
    Command,
    ContextSaved,
    Event,
    Generate,
    Hello,
    Loaded,
    ReadAhead,
    RestoreContext,
    SaveContext,
    Unload,
    WarmUp,
)
from tui.protocol.records import ErrorInfo, LoadSettings
from tui.words.later import later

_IN_IDLE_MOMENTS = (ReadAhead, AskAside, RestoreContext, WarmUp, MeasureSteps)
"""Commands that nobody waits for."""
_FILL = (ReadAhead, AskAside, RestoreContext)
"""Of these, the ones that put another conversation into the KV cache."""


class SharedEngine:
    """Owns `engine`, which nobody else may use. All of it on the event loop."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.on_death = self._died
        self.turns = Turns()
        self.turns.on_taken = self._taken
        self._shares: list[EngineShare] = []
        self._filled_by: EngineShare | None = None
        """Whose conversation the KV cache holds."""
        self._idle_work: dict[asyncio.Task[Event], EngineShare] = {}

    def share(self) -> EngineShare:
        """Another one."""
        share = EngineShare(self)
        self._shares.append(share)
        return share

    async def unload(self) -> None:
        """Free what is loaded, in a turn like everybody's."""
        async with Turn(self.turns).taken():
            if self.engine.alive and self.engine.loaded is not None:
                await self._make_way(None)
                with contextlib.suppress(EngineError, EngineDied):
                    await self.engine.ask(Unload())

    async def close(self) -> None:
        """End the engine, whatever it does; who waits for an answer gets `EngineDied`."""
        await self.engine.close()

    def _died(self, died: EngineDied) -> None:
        self._filled_by = None
        for share in tuple(self._shares):
            if share.on_death is not None:
                share.on_death(died)

    def _taken(self, turn: Turn) -> None:
        for task, share in tuple(self._idle_work.items()):
            if share.turn is not turn:
                task.cancel()

    async def _make_way(self, share: EngineShare | None) -> None:
        """The KV cache is about to be filled by this one: whoever fills it now saves it first."""
        while (other := self._filled_by) is not None and other is not share:
            if other.on_give_way is not None:
                await other.on_give_way()
            if self._filled_by is other:
                self._filled_by = None

    async def _in_idle_moment(self, share: EngineShare, command: AnyCommand) -> Event:
        if isinstance(command, _FILL):
            await self._make_way(share)
        holder = self.turns.holder
        if holder is not None and holder is not share.turn:
            raise EngineError(_given_way())
        if isinstance(command, _FILL):
            self._filled_by = share
        task: asyncio.Task[Event] = asyncio.create_task(self.engine.ask(command))
        self._idle_work[task] = share
        try:
            await asyncio.wait([task])
        finally:
            del self._idle_work[task]
            task.cancel()
        if task.cancelled():
            raise EngineError(_given_way())
        return task.result()


class EngineShare:
    """An `Engine`: what it tells of itself is that of the one engine. `load`, `generate` and `restart` are for who has
    the `turn`."""

    def __init__(self, shared: SharedEngine) -> None:
        self._shared, self._engine = shared, shared.engine
        self.turn = Turn(shared.turns)
        self.on_death: Callable[[EngineDied], None] | None = None
        self.on_give_way: Callable[[], Awaitable[None]] | None = None
        """Another session's conversation is about to take the place of this one's in the KV cache: it is waited for,
        and may save it."""
        self._answers: set[_SharedAnswer] = set()

    @property
    def capabilities(self) -> Capabilities:
        """As `Engine.capabilities`."""
        return self._engine.capabilities

    @property
    def alive(self) -> bool:
        """As `Engine.alive`."""
        return self._engine.alive

    @property
    def pid(self) -> int | None:
        """As `Engine.pid`."""
        return self._engine.pid

    @property
    def hello(self) -> Hello | None:
        """As `Engine.hello`."""
        return self._engine.hello

    @property
    def loaded(self) -> Loaded | None:
        """As `Engine.loaded`, whoever has loaded it."""
        return self._engine.loaded

    @property
    def log(self) -> Sequence[str]:
        """As `Engine.log`."""
        return self._engine.log

    async def start(self) -> Hello:
        """As `Engine.start`."""
        return await self._engine.start()

    async def close(self) -> None:
        """The session has no use for it any more; the engine goes on."""
        for answer in tuple(self._answers):
            answer.cancel()
        if self in self._shared._shares:
            self._shared._shares.remove(self)
        if self._shared._filled_by is self:
            self._shared._filled_by = None

    async def restart(self) -> Hello:
        """As `Engine.restart`: for all."""
        self._shared._filled_by = None
        return await self._engine.restart()

    async def settled(self) -> Loaded | None:
        """As `Engine.settled`."""
        return await self._engine.settled()

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
        await self._shared._make_way(self)
        return await self._engine.load(path, settings, on_progress, keep_context=keep_context, load_first=load_first)

    def generate(self, command: Generate) -> AnswerStream:
        """As `Engine.generate`."""
        return _SharedAnswer(self, command)

    async def ask(self, command: Command[AnswerT]) -> AnswerT:
        """As `Engine.ask`. What is done in idle moments fails as "cancelled" when another session has the turn."""
        if isinstance(command, SaveContext) and self._shared._filled_by is not self:
            answer: AnswerT = ContextSaved(problem="empty")  # type: ignore[assignment]
            return answer
        if isinstance(command, _IN_IDLE_MOMENTS):
            return await self._shared._in_idle_moment(self, command)  # type: ignore[return-value]
        return await self._engine.ask(command)


class _SharedAnswer:
    """The `AnswerStream` of a share."""

    def __init__(self, share: EngineShare, command: Generate) -> None:
        self._share, self._command = share, command
        self._running: AnswerStream | None = None
        self._cancel: bool | None = None
        """Cancelled before it was sent, and whether that insists."""
        self._is_thought_over = False

    async def __aiter__(self) -> AsyncIterator[Event]:
        shared = self._share._shared
        self._share._answers.add(self)
        try:
            await shared._make_way(self._share)
            shared._filled_by = self._share
            self._running = shared.engine.generate(self._command)
            if self._cancel is not None:
                self._running.cancel(insist=self._cancel)
            if self._is_thought_over:
                self._running.end_thought()
            async for event in self._running:
                yield event
        finally:
            self._share._answers.discard(self)
            self.cancel()  # where it ended by itself, nothing is left to cancel

    def cancel(self, *, insist: bool = True) -> None:
        """As `AnswerStream.cancel`."""
        if self._running is not None:
            self._running.cancel(insist=insist)
        else:
            self._cancel = insist

    def end_thought(self) -> None:
        """As `AnswerStream.end_thought`."""
        self._is_thought_over = True
        if self._running is not None:
            self._running.end_thought()


def _given_way() -> ErrorInfo:
    return ErrorInfo(kind="cancelled", detail=later("another session's turn has come"))
