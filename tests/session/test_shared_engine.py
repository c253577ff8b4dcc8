"""Sessions that share the real engine: they take turns, see what each other loads, have their own model back, and none
finds another's conversation in its cache."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE, pid_of, until
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import StateStore
from tui.engines.interface import EngineError
from tui.host.sessions import Session, Sessions
from tui.protocol.messages import AskAside, ReadAhead, SaveContext
from tui.protocol.records import Message
from tui.session import events
from tui.session.loads import LoadRequest

EventT = TypeVar("EventT", bound=events.SessionEvent)


class Told:
    """One session, and what it told."""

    def __init__(self, session: Session) -> None:
        self.session, self.controller = session, session.controller
        self.told: list[events.AnySessionEvent] = []
        self.controller.listen(self.told.append)
        self.controller.configure(thinking=False)

    def heard(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.told if isinstance(event, kind)]

    async def load(self, path: Path, **changes: int) -> None:
        choice = ChosenLoad(n_ctx=1024, backend="cpu", n_threads=1)
        self.controller.load(LoadRequest(path=path, choice=choice, name=path.stem, remember=False, **changes))  # type: ignore[arg-type]
        await self.idle()

    async def idle(self) -> None:
        await until(lambda: not self.controller._works.is_busy)

    def ask(self, text: str) -> None:
        self.controller.queue.send(text)

    def phase(self) -> str:
        return self.controller.phase

    @property
    def answers(self) -> list[str]:
        return [turn.text for turn in self.controller.conversation.turns if turn.role == "assistant"]


@pytest_asyncio.fixture
async def sessions() -> AsyncIterator[Sessions]:
    """Of one engine, which runs."""
    sessions = Sessions(Settings(), lambda _: None)
    await sessions.engine.engine.start()
    yield sessions
    for session in sessions:
        await sessions.close(session)
    await sessions.engine.close()


async def opened(sessions: Sessions) -> Told:
    session = sessions.open("app", Settings(), StateStore(is_kept=False), Options())
    await session.controller.store.start()
    return Told(session)


async def test_two_conversations_with_one_model_load_it_once_and_are_answered_in_turn(sessions: Sessions) -> None:
    first = await opened(sessions)
    second = await opened(sessions)
    await first.load(DENSE)
    assert second.phase() == "ready" and second.controller.model.name == DENSE.stem
    assert [event.loaded.path for event in second.heard(events.ModelLoaded)] == [str(DENSE)]
    third = await opened(sessions)
    assert third.phase() == "ready" and third.controller.model.choice.n_ctx == 1024

    first.ask("Count to 20")
    second.ask("hello")
    third.ask("hello")
    await until(lambda: third.session.share.turn.n_before == 2)
    assert second.phase() == third.phase() == "answering"
    for one in (first, second, third):
        await one.idle()
    assert second.answers == third.answers and "Tiny Qwen" in second.answers[0] and first.answers
    assert [event.n_before for event in third.heard(events.TurnAwaited)] == [2, 1, 0]
    assert not first.heard(events.TurnAwaited) and len(first.heard(events.LoadAdvanced)) > 0
    assert not second.heard(events.LoadAdvanced)


async def test_who_stops_while_it_waits_is_not_answered(sessions: Sessions) -> None:
    first, second = await opened(sessions), await opened(sessions)
    await first.load(DENSE)
    async with first.session.share.turn.taken():
        second.ask("hello")
        await until(lambda: second.session.share.turn.is_waiting)
        await second.controller.stop()
        assert second.phase() == "ready" and not second.session.share.turn.is_waiting
    assert [event.info.kind for event in second.heard(events.AnswerRefused)] == ["cancelled"]
    second.ask("hello")
    await second.idle()
    assert len(second.answers) == 1


async def test_who_had_another_model_has_it_back_with_its_next_question(sessions: Sessions) -> None:
    first, second = await opened(sessions), await opened(sessions)
    await first.load(DENSE)
    await second.load(MOE)
    assert first.controller.model.path == MOE  # what is there is what is shown
    first.ask("hello")
    await first.idle()
    answer = first.controller.conversation.turns[1]
    assert (answer.model, first.controller.model.path) == (DENSE.stem, DENSE)
    assert second.controller.model.path == DENSE and second.phase() == "ready"
    # What was freed for somebody who needed the memory comes back in the same way.
    await sessions.unload()
    assert first.phase() == second.phase() == "no_model"
    second.ask("hello")
    await second.idle()
    assert second.controller.conversation.turns[1].model == MOE.stem
    assert first.controller.model.path == MOE


async def test_the_cache_of_a_conversation_is_saved_before_another_fills_it(sessions: Sessions) -> None:
    first, second = await opened(sessions), await opened(sessions)
    await first.load(DENSE)
    first.ask("hello")
    await first.idle()
    file = paths.contexts_dir() / "other"
    assert not paths.contexts_dir().exists()
    second.ask("Count to 5")
    await second.idle()
    assert [one.stem for one in paths.contexts_dir().iterdir()] == [first.controller.conversation.id]
    # And the first one's keeper cannot write what is another's into its own file.
    saved = await first.session.share.ask(SaveContext(path=str(file)))
    assert saved.problem == "empty"
    first.controller.contexts.save()
    first.ask("hello")
    await first.idle()
    assert first.controller.conversation.turns[3].timings is not None


async def test_what_is_done_in_idle_moments_gives_way_and_a_death_is_told_to_all(sessions: Sessions) -> None:
    first, second = await opened(sessions), await opened(sessions)
    await first.load(DENSE)
    ahead = ReadAhead(messages=(Message(role="user", content="hello"), Message(role="assistant", content="hi")))
    async with first.session.share.turn.taken():
        with pytest.raises(EngineError, match="cancelled"):
            await second.session.share.ask(ahead)
        with pytest.raises(EngineError, match="cancelled"):
            await second.session.share.ask(AskAside(messages=ahead.messages[:1]))
        await first.session.share.ask(ahead)
    await second.session.share.ask(ahead)
    os.kill(pid_of(first.session.share), signal.SIGKILL)
    await until(lambda: first.phase() == second.phase() == "dead")
    assert first.heard(events.EngineLost) and second.heard(events.EngineLost)
    await second.load(DENSE)
    assert first.phase() == "ready"
    first.ask("hello")
    await first.idle()
    assert first.answers


async def test_a_load_that_is_cancelled_or_that_takes_another_process_leaves_all_sessions_right(
    sessions: Sessions,
) -> None:
    first, second = await opened(sessions), await opened(sessions)
    await first.load(DENSE)
    # Another `poll` needs another process, which is not there yet when the load is cancelled.
    choice = ChosenLoad(n_ctx=1024, backend="cpu", n_threads=1, poll=0)
    second.controller.load(LoadRequest(path=DENSE, choice=choice, name="again", remember=False))
    await until(lambda: second.phase() in ("loading", "starting"))
    await second.controller.stop()
    await until(lambda: second.phase() in ("ready", "no_model", "dead"))
    await until(lambda: first.phase() == second.phase())
    first.ask("hello")
    await until(lambda: bool(first.answers) and first.phase() == "ready")


async def test_ending_a_session_leaves_the_engine_to_the_others(sessions: Sessions) -> None:
    first, second = await opened(sessions), await opened(sessions)
    await first.load(DENSE)
    first.ask("Count to 100")
    await until(lambda: first.phase() == "answering")
    await sessions.close(first.session)
    assert second.session.share.loaded is not None
    second.ask("hello")
    await second.idle()
    assert second.answers
    store = Store(paths.database_file())
    await store.start()
    assert len(await store.list()) == 2
    await store.close()
