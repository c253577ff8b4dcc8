"""A session in a host process as a front end has it, without a screen, and lines to it that a test can cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.conftest import DENSE, until
from tui.chat.conversation import Turn
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.settings import ChosenLoad, load_settings
from tui.config.state import StateStore
from tui.host import client
from tui.host.client import HostLine
from tui.host.remote_session import RemoteSession
from tui.models.library import inspect
from tui.session import events
from tui.session.loads import LoadRequest

EventT = TypeVar("EventT", bound=events.SessionEvent)


class Front:
    """One front end. Answers are those that the models were trained to give."""

    def __init__(self, *, is_separate: bool = False, settings: str = "") -> None:
        """`settings` is more of what the user's file says."""
        file = paths.user_settings_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[sampling.thinking]\ntemperature = 0.0\n[sampling.plain]\ntemperature = 0.0\n{settings}")
        read, _ = load_settings()
        self.lines: list[HostLine] = []
        self.store = Store(paths.database_file())
        state = StateStore()
        state.read()
        self.session = RemoteSession(read, state, self.store, Options(), self._reach, is_separate=is_separate)
        self.told: list[events.AnySessionEvent] = []
        self.session.listen(self.told.append)

    async def _reach(self, *, is_made: bool) -> HostLine | None:
        line = await client.reach(is_made=is_made)
        if line is not None:
            self.lines.append(line)
        return line

    def cut(self) -> None:
        """Break the line."""
        self.lines[-1].close()

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those of the open conversation."""
        return self.session.conversation.turns

    @property
    def text(self) -> str:
        """Of the newest answer as it was told, piece by piece or whole."""
        text = ""
        for event in self.told:
            match event:
                case events.AnswerBegan() | events.ConversationOpened():
                    text = ""
                case events.AnswerGrew(delta=delta) if delta.kind == "answer":
                    text += delta.text
                case events.AnswerRecast():
                    text = ""
        return text

    def heard(self, kind: type[EventT]) -> list[EventT]:
        """All events of this kind that were told so far."""
        return [event for event in self.told if isinstance(event, kind)]

    async def load(self, path: Path = DENSE, **changes: Any) -> None:
        """Load a model, and wait until it can be used."""
        self.begin_load(path, **changes)
        await until(lambda: self.session.phase == "ready" and self.session.can_answer)

    def begin_load(self, path: Path = DENSE, **changes: Any) -> None:
        """Load a model."""
        choice = ChosenLoad(backend="cpu", n_threads=1, **{"n_ctx": 1024, **changes})
        info = inspect(path).info if path.exists() else None
        self.session.load(LoadRequest(path=path, choice=choice), info=info)

    async def ask(self, text: str) -> Turn:
        """Have a prompt answered; the answer."""
        n = len(self.turns)
        self.session.queue.send(text)
        await until(lambda: len(self.turns) >= n + 2 and self.turns[-1].stop is not None)
        return self.turns[-1]


@asynccontextmanager
async def front(*, ends: bool = False, is_separate: bool = False, settings: str = "") -> AsyncIterator[Front]:
    """A front end that has joined; in the end it leaves, and with `ends` ends the session."""
    one = Front(is_separate=is_separate, settings=settings)
    try:
        await one.session.connect()
        await one.session.start()
        yield one
    finally:
        one.session.leaves_running = not ends
        await one.session.close()
