"""A session without a screen and without llama.cpp: the scripted engine answers what a test tells it to, the store is a
real one, and all that is told is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest_asyncio

from tests.conftest import DENSE, until
from tests.scripted_engine import ScriptedEngine
from tui.chat.conversation import Turn
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import StateStore
from tui.protocol.messages import Generate
from tui.session import events
from tui.session.controller import Controller
from tui.session.loads import LoadRequest

EventT = TypeVar("EventT", bound=events.SessionEvent)


class Session:
    """A controller, its engine, and what it told. What is read of the machine is left out."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.engine = ScriptedEngine()
        self.controller = Controller(settings, StateStore(), store, Options(), self.engine)
        self.told: list[events.AnySessionEvent] = []
        self.controller.listen(self.told.append)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those of the open conversation."""
        return self.controller.conversation.turns

    @property
    def is_busy(self) -> bool:
        """Something runs or waits."""
        return self.controller._works.is_busy

    @property
    def is_answering(self) -> bool:
        """An answer was asked for, and has not ended."""
        return self.controller.phase == "answering"

    def heard(self, kind: type[EventT]) -> list[EventT]:
        """All events of this kind that were told so far."""
        return [event for event in self.told if isinstance(event, kind)]

    def order(self) -> list[type[events.SessionEvent]]:
        """The kinds of events about prompts, answers, and the conversation, each run of one kind told once."""
        noise = (events.MachineRead, events.SpeedReset, events.PhaseChanged, events.QueueChanged, events.ContextUsed)
        kinds: list[type[events.SessionEvent]] = [type(event) for event in self.told if not isinstance(event, noise)]
        return [kind for before, kind in zip([None, *kinds], kinds, strict=False) if kind is not before]

    async def load(self, path: Path = DENSE, **changes: Any) -> None:
        """Load a model, and wait until it can be used."""
        self.controller.load(self.request(path, **changes))
        await until(lambda: self.controller.phase == "ready" and not self.is_busy)

    def request(self, path: Path = DENSE, **changes: Any) -> LoadRequest:
        """A load with these settings."""
        return LoadRequest(path=path, choice=ChosenLoad(**changes))

    async def ask(self, text: str) -> Generate:
        """Send a prompt; what the engine is asked then, which waits for the test."""
        self.controller.queue.send(text)
        return await self.engine.asked(Generate)

    async def answered(self, text: str, answer: str = "pong") -> None:
        """Send a prompt and have it answered."""
        await self.ask(text)
        self.engine.begin()
        self.engine.say(answer)
        self.engine.finish()
        await self.idle()
        await self.controller.store.flush()

    async def idle(self) -> None:
        """Wait until nothing runs any more."""
        await until(lambda: not self.is_busy)


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Starts sessions: `session = await start(settings)`; all are closed at the end."""
    sessions: list[tuple[Session, Store]] = []

    async def begin(settings: Settings | None = None) -> Session:
        store = Store(paths.database_file())
        await store.start()
        session = Session(store, settings or Settings())
        sessions.append((session, store))
        await session.controller.start()
        return session

    yield begin
    for session, _ in sessions:
        await session.controller.close()


@pytest_asyncio.fixture
async def session(start: Callable[..., Any]) -> Session:
    """A session whose model is loaded."""
    begun: Session = await start()
    await begun.load()
    begun.told.clear()
    return begun
