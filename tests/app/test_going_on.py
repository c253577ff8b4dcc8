"""An answer that was stopped goes on where it ended, and a thought is cut short."""

from __future__ import annotations

from tests.app.conftest import Person, StartApp
from tests.app.test_branches import said
from tui.app.widgets.prompt import Prompt
from tui.protocol.messages import Delta
from tui.session import events


async def stopped(person: Person, text: str, kind: str) -> None:
    """Ask, and stop in the middle of the answer, or of the thought."""

    def stop(event: events.AnySessionEvent) -> None:
        if isinstance(event, events.AnswerGrew) and isinstance(event.delta, Delta) and event.delta.kind == kind:
            person.app.controller.interrupt()

    end = person.app.controller.listen(stop)
    for _ in range(20):
        async with person.slowly():
            await person.send(text)
            await person.wait_for(lambda: person.turns and person.turns[-1].stop)
        await person.wait_until_ready()
        if person.turns[-1].stop == "cancelled" and bool(person.turns[-1].text) == (kind == "answer"):
            end()
            return
        await person.app.controller.new()
    raise AssertionError("it was always quicker")


async def test_an_answer_that_was_stopped_goes_on_in_its_place(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+t")
        await stopped(person, "Count to 100", "answer")
        begun, n_turns = person.turns[-1], len(person.turns)
        assert not begun.text.endswith("100") and "stopped" in person.screen_text()
        await person.press("ctrl+up", "g")
        await person.wait_for(lambda: person.turns[-1].stop == "stop")
        await person.wait_until_ready()
        whole = person.turns[-1]
        assert (whole.id, len(person.turns)) == (begun.id, n_turns)
        assert whole.text.startswith(begun.text.rstrip()) and whole.text.rstrip(".").endswith("100")
        assert whole.timings is not None and begun.timings is not None
        assert whole.timings.n_decode > begun.timings.n_decode
        assert "complete" in person.screen_text() and "stopped" not in person.screen_text()
        stored = await person.app.store.open(person.app.controller.conversation.id)
        assert stored.turns[-1].text == whole.text and stored.turns[-1].stop == "stop"
        await person.app.run_action("screen.continue_answer")
        await person.wait_for(lambda: "The last answer is complete." in person.told)


async def test_an_edited_answer_goes_on_with_the_new_words(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+t")
        await person.ask("Count to 100")
        assert await person.app.controller.edit_answer(person.turns[-1].id, "1, 2, 3,")
        await person.app.run_action("screen.continue_answer")
        await person.wait_for(lambda: len(person.turns[-1].text) > 20 and person.turns[-1].stop)
        assert person.turns[-1].text.startswith("1, 2, 3, 4")
        assert len(person.app.controller.siblings(person.turns[-1].id)) == 2


async def test_a_thought_that_was_stopped_goes_on_and_leads_to_an_answer(start: StartApp) -> None:
    async with start() as person:
        await stopped(person, "hello", "thinking")
        begun = person.turns[-1]
        assert begun.reasoning and not begun.text
        await person.app.run_action("screen.continue_answer")
        await person.wait_for(lambda: person.turns[-1].stop == "stop")
        assert person.turns[-1].reasoning.startswith(begun.reasoning) and person.turns[-1].text


async def test_a_thought_is_cut_short_by_a_key_that_is_the_prompts_otherwise(start: StartApp) -> None:
    async with start() as person:
        prompt = person.app.main.query_one(Prompt)
        prompt.set_text("ab")
        await person.press("home", "ctrl+d")
        assert prompt.text == "b"
        prompt.set_text("")
        for _ in range(20):  # a model as small as this has often thought already
            async with person.slowly():
                await person.send("hello")
                await person.wait_for(lambda: "Answer now" in person.screen_text() or person.turns[-1].stop)
                await person.press("ctrl+d")
                await person.wait_for(lambda: person.turns[-1].stop)
            await person.wait_until_ready()
            if person.turns[-1].is_thought_cut:
                break
        assert person.turns[-1].is_thought_cut and person.turns[-1].text
        assert "Answer now" not in person.screen_text() and said(person)[0] == "hello"
