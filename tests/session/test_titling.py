"""The model gives a conversation its title when nobody wants it, and gives way to whatever somebody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import DENSE, until
from tests.session.conftest import Session
from tui.chat.store import Store
from tui.chat.titles import title_in
from tui.config import paths
from tui.config.options import Options
from tui.config.settings import ChatSettings, ChosenLoad, Settings
from tui.config.state import StateStore
from tui.protocol.messages import AskAside, Cancel, Generate
from tui.session import events, titling
from tui.session.controller import Controller
from tui.session.loads import LoadRequest

ON = Settings(chat=ChatSettings(titles=True))
PROMPT = "How do I sort a list of numbers?"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(titling, "IDLE_S", 0.02)


@pytest_asyncio.fixture
async def titled(start: Callable[..., Any]) -> Session:
    """A session that makes titles; the engine holds back what it is asked for one until the test has it answer."""
    begun: Session = await start(ON)
    begun.engine.aside = '"Sorting a list."'
    await begun.load()
    return begun


@pytest_asyncio.fixture
async def other() -> AsyncIterator[Store]:
    """The store of another window."""
    store = Store(paths.database_file())
    await store.start()
    yield store
    await store.close()


def title(session: Session) -> str:
    return session.controller.conversation.title


async def saved_title(session: Session) -> str:
    return (await session.controller.store.open(session.controller.conversation.id)).title


async def hold(session: Session) -> None:
    """The engine was asked for a title and makes it."""
    session.engine.held.add(AskAside)
    await session.answered(PROMPT, "So.")
    await session.engine.asked(AskAside)


async def is_left_alone(session: Session) -> None:
    """Time enough has passed for the model to be asked."""
    n_asked = len(session.engine.sent(AskAside))
    await asyncio.sleep(10 * titling.IDLE_S)
    assert len(session.engine.sent(AskAside)) == n_asked


async def test_after_the_first_answer_it_has_a_title_here_and_in_the_store(titled: Session) -> None:
    await titled.answered(PROMPT, "So.")
    await until(lambda: title(titled) == "Sorting a list")
    (command,) = titled.engine.sent(AskAside)
    assert [message.content for message in command.messages[:-1]] == [PROMPT, "So."]
    assert await saved_title(titled) == "Sorting a list"
    told = titled.heard(events.ConversationChanged)[-1]
    assert told.now == titled.controller.conversation and told.n_same == len(told.before) == 2
    await titled.answered("And words?", "So too.")
    await is_left_alone(titled)
    assert not titled.heard(events.OtherWindowWrote)


async def test_it_is_off_by_default(session: Session) -> None:
    await session.answered(PROMPT, "So.")
    await is_left_alone(session)
    assert title(session) == PROMPT and not session.engine.sent(AskAside)


@pytest.mark.parametrize("aside", ["", "...", "As a language model I can not say what this is about at all"])
async def test_what_is_no_title_leaves_the_first_words_and_is_asked_for_once(titled: Session, aside: str) -> None:
    titled.engine.aside = aside
    await titled.answered(PROMPT, "So.")
    await until(lambda: bool(titled.controller._titling._asked))
    await titled.answered("And words?", "So too.")
    await is_left_alone(titled)
    assert title(titled) == await saved_title(titled) == PROMPT and len(titled.engine.sent(AskAside)) == 1


async def test_an_answer_that_is_not_whole_is_no_reason(titled: Session) -> None:
    await titled.ask(PROMPT)
    titled.engine.begin()
    titled.engine.say("So")
    await until(lambda: bool(titled.heard(events.AnswerGrew)))
    titled.controller.interrupt()
    await titled.idle()
    await is_left_alone(titled)
    assert not titled.engine.sent(AskAside)


async def test_a_title_that_somebody_gave_stays(titled: Session) -> None:
    await hold(titled)
    titled.controller.configure(title="Mine")
    await until(lambda: bool(titled.engine.sent(Cancel)))
    await titled.answered("And words?", "So too.")
    await is_left_alone(titled)
    assert title(titled) == await saved_title(titled) == "Mine"


async def test_one_that_another_window_gave_stays(titled: Session, other: Store) -> None:
    await hold(titled)
    await other.rename(titled.controller.conversation.id, "Theirs")
    titled.engine.held.clear()
    titled.engine.tell(*titled.engine._answers(titled.engine.sent(AskAside)[-1]))
    await until(lambda: title(titled) == "Theirs")
    assert await saved_title(titled) == "Theirs"


async def test_what_another_window_answered_gets_its_title_there(titled: Session, start: Callable[..., Any]) -> None:
    window: Session = await start(ON)
    await window.load()
    titled.engine.aside = ""
    await titled.answered(PROMPT, "So.")
    await until(lambda: bool(titled.engine.sent(AskAside)))
    await window.controller.open(titled.controller.conversation.id)
    await is_left_alone(window)
    assert not window.engine.sent(AskAside)


async def test_a_prompt_goes_first_and_the_title_is_made_up_for(titled: Session) -> None:
    await hold(titled)
    titled.controller.queue.send("And words?")
    assert (await titled.engine.asked(Generate)).messages[-1].content == "And words?"
    assert titled.engine.sent(Cancel)
    titled.engine.held.discard(AskAside)
    titled.engine.begin()
    titled.engine.say("So too.")
    titled.engine.finish()
    await until(lambda: title(titled) == "Sorting a list")


async def test_whoever_writes_is_not_held_up(titled: Session) -> None:
    await hold(titled)
    titled.controller.unsent = lambda: ("And",)
    await asyncio.wait_for(titled.controller.length_of("And"), 10)
    assert titled.engine.sent(Cancel)
    await is_left_alone(titled)
    titled.controller.unsent = tuple
    titled.engine.held.discard(AskAside)
    await titled.controller.length_of("")
    await until(lambda: title(titled) == "Sorting a list")


@pytest.mark.parametrize("act", ["new", "unload", "close", "load", "delete"])
async def test_whatever_is_done_with_it_does_not_wait(titled: Session, act: str) -> None:
    await hold(titled)
    titled.engine.held.discard(AskAside)
    async with asyncio.timeout(60):
        if act == "load":
            await titled.load(n_ctx=1024)
        elif act == "delete":
            await titled.controller.delete(titled.controller.conversation.id)
        else:
            await getattr(titled.controller, act)()
        if act != "close":
            await until(lambda: bool(titled.engine.sent(Cancel)))


async def test_the_real_engine_makes_one_and_the_next_answer_goes_on_where_the_last_one_ended() -> None:
    store = Store(paths.database_file())
    await store.start()
    controller = Controller(ON, StateStore(), store, Options())
    ended: list[events.AnswerEnded] = []
    controller.listen(lambda event: ended.append(event) if isinstance(event, events.AnswerEnded) else None)
    try:
        await controller.start()
        choice = ChosenLoad(n_ctx=1024, backend="cpu", n_threads=1)
        controller.load(LoadRequest(path=DENSE, choice=choice, name="tiny", remember=False))
        await until(lambda: controller.phase == "ready" and not controller._works.is_busy)
        controller.configure(thinking=False)
        heard: list[str] = []
        ask = controller.engine.ask

        async def hear(command: Any) -> Any:
            answer = await ask(command)
            if isinstance(command, AskAside):
                heard.append(title_in(answer.text, is_whole=answer.is_whole))
            return answer

        controller.engine.ask = hear  # type: ignore[method-assign]
        controller.queue.send("ping")
        await until(lambda: bool(heard))
        await until(lambda: controller.conversation.title == (heard[0] or "ping"))
        assert (await store.open(controller.conversation.id)).title == controller.conversation.title
        controller.queue.send("ping")
        await until(lambda: len(ended) == 2)
        timings = ended[1].turn.timings
        assert timings is not None and timings.n_prefill <= 16
    finally:
        await controller.close()
