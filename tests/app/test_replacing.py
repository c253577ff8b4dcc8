"""What an edited prompt or a new answer takes the place of is there again when nothing came instead."""

from __future__ import annotations

import os
import signal

from tests.app.conftest import Person, StartApp
from tui.app.widgets.prompt import Prompt
from tui.chat.conversation import Turn
from tui.session.events import AnswerBegan


async def saved_turns(person: Person) -> tuple[Turn, ...]:
    return (await person.app.store.open(person.app.controller.conversation.id)).turns


async def test_a_new_answer_that_is_refused_leaves_the_old_one_where_it_was(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        await person.ask("hello")
        before = person.turns
        person.app.controller.configure(system_prompt="one two three " * 300)
        await person.press("f5")
        await person.wait_for(lambda: "This prompt alone has" in person.screen_text())
        assert person.turns == before == await saved_turns(person)
        assert "Hello! I am Tiny Qwen." in person.screen_text()


async def test_an_answer_that_was_to_be_replaced_is_there_again_when_the_question_is_answered_with_no(
    start: StartApp,
) -> None:
    async with start(load={"n_ctx": 256}) as person:
        before = await talk_until_it_would_not_fit_again(person)
        await person.press("f5")
        await person.wait_for(lambda: "The context is full" in person.screen_text())
        assert len(person.turns) == len(before) - 1
        await person.press("n")
        await person.wait_for(lambda: "Not answered" in person.screen_text())
        assert person.turns == before == await saved_turns(person)


async def test_leaving_with_the_question_open_keeps_the_answer_that_was_to_be_replaced(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        before = await talk_until_it_would_not_fit_again(person)
        await person.press("f5")
        await person.wait_for(lambda: "The context is full" in person.screen_text())
    async with start(continue_last=True) as person:
        assert person.turns == before


async def talk_until_it_would_not_fit_again(person: Person) -> tuple[Turn, ...]:
    """Two answers, and a system prompt that is too long for both since; gives the turns."""
    await person.press("ctrl+t")
    await person.ask("one two three " * 30)
    await person.ask("ping")
    person.app.controller.configure(system_prompt="one two three " * 30)
    return person.turns


async def test_an_edited_prompt_that_is_stopped_before_a_word_came_replaces_nothing(start: StartApp) -> None:
    async with start(load={"n_ctx": 4096}) as person:
        await person.ask("hello")
        await person.ask("ping")
        before, prompt, long = (
            person.turns,
            person.app.main.query_one(Prompt),
            "one two three " * 400,
        )  # takes a while to read
        await person.press("f2")
        prompt.set_text(long)
        person.at_the_first(AnswerBegan, person.app.controller.interrupt)
        async with person.slowly():
            await person.press("enter")
            await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        assert person.turns == before == await saved_turns(person)
        assert "pong" in person.screen_text() and "editing" in person.screen_text()
        assert prompt.text == long
        await person.press("escape")
        assert prompt.text == "" and await person.ask("ping") == "pong"


async def test_an_engine_that_dies_before_the_new_answer_leaves_the_old_one_above_its_card(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        before, pid = person.turns, person.engine_pid
        os.kill(pid, signal.SIGSTOP)
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "answering")
        os.kill(pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead" and person.turns == before)
        shown = person.screen_text()
        assert shown.index("Hello! I am Tiny Qwen.") < shown.index("The engine stopped while answering.")
        await person.press("r")
        await person.wait_until_ready()
