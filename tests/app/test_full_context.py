"""A prompt that does not fit into the context: it is asked what to leave out, and what is chosen happens."""

from __future__ import annotations

import functools

from tests.app.conftest import Person, StartApp
from tui.config import paths
from tui.session.events import AnswerBegan


async def fill(person: Person, n_turns: int) -> None:
    """Talk until that many prompts were answered."""
    for _ in range(n_turns):
        await person.ask("What is the capital of France?")


def is_answered_or_asked(person: Person, n_turns: int) -> bool:
    return len(person.app.screen_stack) > 2 or (person.phase == "ready" and len(person.turns) == n_turns)


async def talk_until_full(person: Person) -> None:
    """Talk until a prompt does not fit any more and the question is on the screen."""
    await person.press("ctrl+t")
    for _ in range(30):
        answered = len(person.turns)
        await person.send("What is the capital of France?")
        await person.wait_for(functools.partial(is_answered_or_asked, person, answered + 2))
        if len(person.app.screen_stack) > 2:
            return
    raise AssertionError("the context never got full")


async def test_before_anything_is_left_out_of_a_prompt_it_is_asked_and_told(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        await talk_until_full(person)
        shown = person.screen_text()
        assert "The context is full" in shown and "Leave out the oldest" in shown and "nothing is deleted" in shown
        n_turns = len(person.turns)
        await person.press("l")
        await person.wait_for(lambda: len(person.turns) == n_turns + 1 and person.turns[-1].stop)
        assert "Paris" in person.turns[-1].text
        assert "were left out of this prompt" in person.screen_text()


async def test_a_full_context_can_be_raised_instead(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        await talk_until_full(person)
        n_turns = len(person.turns)
        await person.press("c")
        await person.wait_for(lambda: len(person.turns) == n_turns + 1 and person.turns[-1].stop)
        assert person.loaded.n_ctx > 256 and "Paris" in person.turns[-1].text


async def test_the_oldest_messages_can_be_summarised_and_the_conversation_with_them_stays(start: StartApp) -> None:
    async with start(load={"n_ctx": 384}, more_settings="[sampling]\nmax_tokens = 40\n") as person:
        await talk_until_full(person)
        before, n_turns = person.app.controller.conversation, len(person.turns)
        await person.press("s")
        await person.wait_for(lambda: "A summary stands in the place of" in person.told)
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].role == "assistant")
        asked, summary, *rest = person.turns
        assert asked.text.startswith("Summarize our conversation so far") and summary.text and summary.timings
        n = n_turns - len(rest) + 1  # with the answer that came
        assert n >= n_turns // 2 and rest[-2].text == before.turns[-1].text
        assert [turn.text for turn in rest[:-1]] == [turn.text for turn in before.turns[n:]]
        store = person.app.controller.store
        assert (await store.open(before.id)).turns == before.turns
        await person.wait_for(lambda: True)
        assert {one.id for one in await store.list()} == {before.id, person.app.controller.conversation.id}


async def test_a_conversation_is_summarised_on_request_and_one_that_is_stopped_leaves_all_as_it_was(
    start: StartApp,
) -> None:
    async with start(more_settings="[sampling]\nmax_tokens = 40\n") as person:
        await person.app.run_action("screen.summarize")
        await person.wait_for(lambda: "There is nothing to summarize yet." in person.told)
        await fill(person, 2)
        before = person.app.controller.conversation
        go_on = person.hold_at_the_first(AnswerBegan)
        await person.app.run_action("screen.summarize")
        await person.wait_for(lambda: person.is_held)
        await person.press("escape")
        go_on()
        await person.wait_for(lambda: "There is no summary" in person.told)
        await person.wait_for(lambda: person.app.controller.conversation.id == before.id)
        assert person.turns == before.turns

        await person.app.run_action("screen.summarize")
        await person.wait_for(lambda: "A summary stands in the place of 4 messages" in person.told)
        assert [turn.role for turn in person.turns] == ["user", "assistant"]
        now = person.app.controller.conversation.id
    # What was kept of the conversation that asked for the summary went with it.
    assert {file.stem for file in paths.contexts_dir().iterdir()} <= {before.id, now}


async def test_a_full_context_may_also_be_left_alone(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        await talk_until_full(person)
        await person.press("escape")
        await person.wait_for(lambda: "Not answered" in person.screen_text())
        assert person.phase == "ready" and person.turns[-1].role == "user"
