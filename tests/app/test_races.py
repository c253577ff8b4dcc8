"""What an impatient person does: everything at once, while something else is still going on."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from textual.widgets import Input

from tests.app.conftest import Person, StartApp
from tests.app.test_flows import opened
from tests.conftest import DENSE, MOE, until
from tui.app.screens.main import MainScreen
from tui.app.screens.picker import PickerScreen
from tui.config import paths
from tui.config.settings import ChosenLoad
from tui.planning.exact import Confirmed
from tui.planning.verdict import Verdict
from tui.protocol.records import ErrorInfo
from tui.session.events import AnswerGrew, AnswerRefused, EngineLost
from tui.session.loads import LoadRequest


def held(person: Person) -> Callable[[], None]:
    """Hold the engine still, as a slow machine would; the result lets it go on."""
    pid = person.engine_pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def load(person: Person, path: Path) -> None:
    controller = person.controller
    controller.load(LoadRequest(path=path, choice=controller.load_for(path)))


def at_work(person: Person, group: str) -> bool:
    """Whether a worker of this group is at work."""
    return any(worker.group == group for worker in person.app.workers)


async def test_a_new_conversation_does_not_stop_a_load(start: StartApp) -> None:
    async with start() as person:
        go_on = held(person)
        load(person, MOE)
        await person.wait_for(lambda: person.phase == "loading")
        await person.press("ctrl+n")
        assert person.phase == "loading"
        go_on()
        await person.wait_until_ready()
        assert person.loaded.path == str(MOE)


async def test_of_many_loads_the_last_one_wins_and_can_be_stopped(start: StartApp) -> None:
    async with start() as person:
        go_on = held(person)
        for path in (DENSE, MOE, DENSE, MOE):
            load(person, path)
        await person.wait_for(lambda: person.phase == "loading")
        await person.press("escape")
        go_on()
        controller = person.controller
        await person.wait_for(lambda: not controller._works.is_busy)
        assert person.phase == ("ready" if controller.engine.loaded else "no_model")
        for path in (MOE, DENSE, MOE):
            load(person, path)
        await person.wait_until_ready()
        assert person.loaded.path == str(MOE)


async def test_a_model_chosen_in_mid_answer_follows_the_answer(start: StartApp) -> None:
    async with start() as person:
        await person.send("Count to 100")
        load(person, DENSE)
        load(person, MOE)
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.path == str(MOE))
        assert person.turns[-1].stop in ("cancelled", "stop")


async def test_a_switch_asked_for_after_another_model_was_chosen_is_what_is_done(start: StartApp) -> None:
    async with start() as person:
        controller = person.controller
        go_on = held(person)
        await person.send("Count to 100")
        load(person, MOE)
        choice = msgspec.structs.replace(controller.model.choice, n_ctx=2048)
        controller.load(LoadRequest(path=DENSE, choice=choice))
        go_on()
        await person.wait_for(lambda: not controller._works.is_busy)
        assert (person.loaded.path, person.loaded.n_ctx) == (str(DENSE), 2048)
        assert (controller.model.path, controller.model.choice) == (DENSE, choice)
        assert person.phase == "ready"


async def test_escape_ends_an_answer_even_when_the_backend_is_switched_at_once(start: StartApp) -> None:
    async with start() as person:
        controller = person.controller
        async with person.slowly():
            person.at_the_first(AnswerGrew, controller.interrupt)
            await person.send("Count to 100")
            controller.load(
                LoadRequest(path=DENSE, choice=msgspec.structs.replace(controller.model.choice, n_ctx=2048))
            )
            await person.wait_for(lambda: not controller._works.is_busy)
        assert person.turns[-1].stop == "cancelled"


async def test_a_fault_of_ours_in_the_middle_of_an_answer_ends_it_and_the_next_one_comes(start: StartApp) -> None:
    async with start() as person:
        main = person.app.main

        def fail() -> None:
            raise KeyError("no such message")

        person.at_the_first(AnswerGrew, fail)
        await person.send("Count to 100")
        await person.wait_until_ready()
        assert person.turns[-1].stop == "crashed" and "a bug in llmtui: KeyError" in person.told
        main.prompt.focus()
        assert await person.ask("ping") == "pong"


async def test_a_living_engine_can_be_reloaded_even_twice_at_once(start: StartApp) -> None:
    async with start() as person:
        before = person.controller.engine.pid
        person.controller.restart()
        await person.wait_for(lambda: person.phase == "starting")
        person.controller.restart()
        await until(lambda: person.controller.engine.pid not in (None, before))
        await person.wait_until_ready()
        assert await person.ask("ping") == "pong"


async def test_quitting_while_the_engine_starts_again_waits_for_nothing(start: StartApp) -> None:
    async with start() as person:
        person.controller.restart()
        await person.wait_for(lambda: person.phase == "starting")
    assert not person.controller.engine.alive


async def test_a_model_chosen_while_the_engine_starts_is_the_one_that_is_loaded(start: StartApp) -> None:
    async with start(model=None) as person:
        load(person, MOE)
        await person.wait_until_ready()
        assert person.loaded.path == str(MOE)


async def test_the_card_of_a_dead_engine_is_there_in_every_conversation(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        await person.press("ctrl+n")
        assert "The engine stopped while idle" in person.screen_text()
        person.app.main.transcript.focus()
        await person.press("r")
        await person.wait_until_ready()


async def test_what_is_sent_just_when_the_engine_dies_is_kept_and_one_card_says_why_it_is_not_answered(
    start: StartApp,
) -> None:
    async with start() as person:
        controller, cards = person.controller, []
        person.at_the_first(EngineLost, lambda: cards.append(person.phase))
        os.kill(person.engine_pid, signal.SIGKILL)
        while controller.engine.alive:  # noqa: ASYNC110 - in the very next turn of the loop everybody may know
            await asyncio.sleep(0)
        assert person.phase == "ready"  # nobody knows yet
        controller.queue.send("ping")
        await person.wait_for(lambda: cards and not controller._works.is_busy)
        assert person.phase == "dead" and [turn.text for turn in person.turns] == ["ping"]
        assert person.screen_text().count("The engine stopped while") == 1
        await person.press("ctrl+up", "r")
        await person.wait_for(lambda: person.controller.can_answer)
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        assert person.turns[-1].text


async def test_opening_the_picker_just_when_the_engine_dies_does_no_harm(start: StartApp) -> None:
    async with start() as person:
        held(person)
        await person.press("ctrl+o")
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))


@pytest.mark.parametrize("has_model", [True, False])
async def test_a_dialog_that_is_opened_while_the_program_starts_is_left_in_peace(
    start: StartApp, has_model: bool
) -> None:
    if has_model:
        paths.models_dir().mkdir(parents=True)
        shutil.copy(DENSE, paths.models_dir())
    async with start(model=None) as person:
        await person.app.run_action("screen.rename")
        await opened(person, "Rename")
        await person.wait_for(lambda: not at_work(person, "begin"))
        await person.wait_for(lambda: person.phase == ("ready" if has_model else "no_model"))
        await rename(person, "First words")
        assert isinstance(person.app.screen, MainScreen)


async def test_a_picker_that_is_opened_while_the_program_starts_is_the_only_one(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.press("ctrl+o")
        await person.wait_for(lambda: not at_work(person, "begin"))
        await opened(person, "No models were found")
        await person.press("escape")
        await person.pilot.pause()
        assert isinstance(person.app.screen, MainScreen)


async def test_a_dialog_that_is_opened_while_a_load_is_prepared_does_not_end_it(
    start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, judge = asyncio.Event(), Confirmed.judge

    async def slowly(self: Confirmed, choice: ChosenLoad) -> Verdict:
        await go_on.wait()
        return await judge(self, choice)

    async with start() as person:
        monkeypatch.setattr(Confirmed, "judge", slowly)
        person.app.main.models.action_raise_context()
        await person.press("ctrl+r")
        await opened(person, "Conversations")
        go_on.set()
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.n_ctx == 2048)


async def test_a_conversation_that_is_being_answered_is_deleted_even_if_the_list_is_closed_at_once(
    start: StartApp,
) -> None:
    async with start() as person:
        go_on = held(person)
        await person.send("Count to 100")
        await person.press("ctrl+r")
        await opened(person, "Count to 100")
        await person.press("ctrl+d")
        await opened(person, "Delete")
        await person.press("y", "escape")
        await person.wait_for(lambda: isinstance(person.app.screen, MainScreen))
        go_on()
        await person.wait_for(lambda: not person.turns)
        await person.wait_until_ready()
        assert await person.app.store.list() == ()


FULL = ErrorInfo(kind="context_overflow", detail="", n_prompt=9410, n_ctx=1024, n_drop=2)


async def test_that_the_context_is_full_is_asked_when_the_dialog_that_is_open_was_closed(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.app.run_action("screen.rename")
        await opened(person, "Rename")
        person.app.main.hear(AnswerRefused(info=FULL))
        await rename(person, "First words")
        await opened(person, "The context is full")


async def test_of_a_conversation_that_was_left_it_is_not_asked(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.press("ctrl+n")
        await person.ask("ping")
        await person.press("ctrl+r")
        await opened(person, "hello")
        person.app.main.hear(AnswerRefused(info=FULL))
        await person.press("down", "enter")
        await person.wait_for(lambda: person.turns[0].text == "hello")
        await person.pilot.pause()
        assert isinstance(person.app.screen, MainScreen)


async def rename(person: Person, title: str) -> None:
    """Write another title into the dialog that is open for it."""
    person.app.screen.query_one(Input).value = title
    await person.press("enter")
    await person.wait_for(lambda: person.controller.conversation.title == title)
