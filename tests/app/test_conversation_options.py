"""`--system` and `--temp`: what the command line wants of the conversation that is opened, and of no other."""

from __future__ import annotations

from tests.app.conftest import StartApp
from tui.protocol.records import PartialSampling


async def test_system_prompt_and_temperature_hold_for_the_conversation_that_is_opened(start: StartApp) -> None:
    async with start(system_prompt="Answer briefly.", temperature=0.0) as person:
        opened = person.app.controller.conversation
        assert (opened.system_prompt, opened.sampling) == ("Answer briefly.", PartialSampling(temperature=0.0))
        assert await person.ask("hello")
        await person.pilot.press("ctrl+n")
        await person.wait_for(lambda: person.app.controller.conversation.id != opened.id)
        assert (person.app.controller.conversation.system_prompt, person.app.controller.conversation.sampling) == (
            "",
            None,
        )


async def test_a_conversation_that_is_reopened_keeps_what_is_not_named_again(start: StartApp) -> None:
    async with start(system_prompt="Answer briefly.", temperature=0.0) as person:
        assert await person.ask("hello")
    async with start(continue_last=True, temperature=0.5) as person:
        again = person.app.controller.conversation
        assert len(again.turns) == 2
        assert (again.system_prompt, again.sampling) == ("Answer briefly.", PartialSampling(temperature=0.5))
    async with start(continue_last=True, system_prompt="") as person:
        again = person.app.controller.conversation
        assert (again.system_prompt, again.sampling) == ("", PartialSampling(temperature=0.5))
