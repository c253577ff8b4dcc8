"""What an impatient person does: everything at once, while something else is still going on."""

from __future__ import annotations

import os
import signal

from tests.conftest import DENSE, MOE, until
from tui.app.controller import Move
from tui.app.screens.picker import PickerScreen


def held(person):
    """Hold the engine still, as a slow machine would; the result lets it go on."""
    pid = person.app.controller.engine.pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def load(person, path) -> None:
    controller = person.app.controller
    controller.load(Move(path=path, choice=controller.choice_for(path)))


async def test_a_new_conversation_does_not_stop_a_load(start):
    async with start() as person:
        go_on = held(person)
        load(person, MOE)
        await person.wait_for(lambda: person.phase == "loading")
        await person.press("ctrl+n")
        assert person.phase == "loading"
        go_on()
        await person.wait_until_ready()
        assert person.app.controller.engine.loaded.path == str(MOE)


async def test_of_many_loads_the_last_one_wins_and_can_be_stopped(start):
    async with start() as person:
        go_on = held(person)
        for path in (DENSE, MOE, DENSE, MOE):
            load(person, path)
        await person.wait_for(lambda: person.phase == "loading")
        await person.press("escape")
        await person.wait_for(lambda: person.phase == "no_model")
        go_on()
        for path in (MOE, DENSE, MOE):
            load(person, path)
        await person.wait_until_ready()
        assert person.app.controller.engine.loaded.path == str(MOE)


async def test_a_model_chosen_in_mid_answer_follows_the_answer(start):
    async with start() as person:
        await person.send("Count to 100")
        load(person, DENSE)
        load(person, MOE)
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.engine.loaded.path == str(MOE))
        assert person.turns[-1].stop in ("cancelled", "stop")


async def test_a_living_engine_can_be_reloaded_even_twice_at_once(start):
    async with start() as person:
        before = person.app.controller.engine.pid
        person.app.controller.restart()
        await person.wait_for(lambda: person.phase == "starting")
        person.app.controller.restart()
        await until(lambda: person.app.controller.engine.pid not in (None, before))
        await person.wait_until_ready()
        assert await person.ask("ping") == "pong"


async def test_quitting_while_the_engine_starts_again_waits_for_nothing(start):
    async with start() as person:
        person.app.controller.restart()
        await person.wait_for(lambda: person.phase == "starting")
    assert not person.app.controller.engine.alive


async def test_a_model_chosen_while_the_engine_starts_is_the_one_that_is_loaded(start):
    async with start(model=None) as person:
        load(person, MOE)
        await person.wait_until_ready()
        assert person.app.controller.engine.loaded.path == str(MOE)


async def test_the_card_of_a_dead_engine_is_there_in_every_conversation(start):
    async with start() as person:
        await person.ask("ping")
        os.kill(person.app.controller.engine.pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        await person.press("ctrl+n")
        assert "The engine stopped while idle" in person.screen_text()
        person.app.main.transcript.focus()
        await person.press("r")
        await person.wait_until_ready()


async def test_opening_the_picker_just_when_the_engine_dies_does_no_harm(start):
    async with start() as person:
        held(person)
        await person.press("ctrl+o")
        os.kill(person.app.controller.engine.pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
