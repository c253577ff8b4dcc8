"""What can be done with one message: compared with its siblings, put in other words, deleted, all from one menu."""

from __future__ import annotations

import pytest

from tests.app.conftest import Person, StartApp
from tests.app.test_branches import said
from tests.app.test_message_actions import place
from tests.app.test_transcript import shown
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.compare import CompareScreen
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.message_details import MessageDetailsScreen
from tui.app.screens.text_edit import TextEditScreen
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript


async def other_answer(person: Person, text: str) -> None:
    """The last answer in other words."""
    before = person.turns[-1].id
    assert await person.app.controller.edit_answer(before, text)


@pytest.mark.parametrize("size", [(40, 24), (80, 24), (140, 30)])
async def test_two_answers_are_seen_at_once_and_one_is_gone_on_with(start: StartApp, size: tuple[int, int]) -> None:
    async with start(size=size) as person:
        await person.ask("ping")
        first = person.turns[-1].id
        await other_answer(person, "Another answer")
        await other_answer(person, "A third one")
        await person.press("ctrl+up", "v")
        await person.wait_for(lambda: isinstance(person.app.screen, CompareScreen))
        await person.wait_for(
            lambda: "A third one" in person.screen_text() and "Another answer" in person.screen_text()
        )
        left, right = person.app.screen.query(Transcript)
        is_beside = left.region.y == right.region.y
        assert is_beside == (size[0] >= 100)
        assert left.region.width > 15 and right.region.width > 15 and left.region.height > 2
        assert "2/3" in person.screen_text() and "3/3" in person.screen_text()
        assert ("Keep left" if is_beside else "Keep upper") in person.screen_text()
        await person.press("h")
        await person.wait_for(lambda: "pong" in person.screen_text() and "1/3" in person.screen_text())
        await person.press("1")
        await person.wait_for(lambda: person.app.screen is person.app.main and person.turns[-1].id == first)
        assert said(person) == ["ping", "pong"]


async def test_what_has_no_sibling_is_not_compared(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.press("ctrl+up")
        assert not person.app.main.transcript.check_action("message_compare", ())
        assert person.app.main.transcript.check_action("message_edit", ())


async def test_an_answer_is_put_in_other_words_and_the_old_ones_stay(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.press("ctrl+up", "e")
        await person.wait_for(lambda: isinstance(person.app.screen, TextEditScreen))
        person.app.screen.query_one(Prompt).set_text("PONG!")
        await person.press("ctrl+s")
        await person.wait_for(lambda: said(person) == ["ping", "PONG!"])
        text = person.screen_text()
        assert "PONG!" in text and "‹ 2/2 ›" in text and "edited" in text
        await person.press("h")
        await person.wait_for(lambda: said(person) == ["ping", "pong"])
        assert "edited by hand" not in person.screen_text()


async def test_a_message_is_deleted_after_a_question_and_what_follows_stays(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.ask("ping")
        await person.press("ctrl+up", "k", "x")
        await person.wait_for(lambda: isinstance(person.app.screen, ConfirmScreen))
        assert "Delete “ping”?" in person.screen_text()
        await person.press("n")
        assert len(person.turns) == 4
        await person.press("x", "y")
        await person.wait_for(lambda: len(person.turns) == 3)
        assert said(person)[-1] == "pong" and "pong" in person.screen_text()
        stored = await person.app.store.open(person.app.controller.conversation.id)
        assert [turn.id for turn in stored.turns] == [turn.id for turn in person.turns]


async def test_all_that_can_be_done_is_in_a_menu_that_the_other_mouse_button_opens(start: StartApp) -> None:
    async with start(size=(60, 24)) as person:
        await person.ask("ping")
        assert await person.pilot.click(Transcript, offset=place(person, "pong"), button=3)
        await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
        text = person.screen_text()
        assert "New conversation from here" in text and "Delete message" in text and "Compare" not in text
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.press("m")
        await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
        assert isinstance(person.app.screen, ChoiceScreen)
        choices = [choice.id for choice in person.app.screen._choices]
        await person.press(*["down"] * choices.index("message_edit"), "enter")
        await person.wait_for(lambda: isinstance(person.app.screen, TextEditScreen))
        assert [row for row in shown(person.app.main.transcript) if "pong" in row]


async def test_the_menu_takes_the_letters_of_its_actions_and_leaves_out_what_an_answer_holds_up(
    start: StartApp,
) -> None:
    async with start() as person:
        await person.press("ctrl+t")
        await person.ask("Count to 100")
        await person.press("ctrl+up", "m")
        await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
        assert "y  Copy" in person.screen_text() and "x  Delete message" in person.screen_text()
        await person.press("i")
        await person.wait_for(lambda: isinstance(person.app.screen, MessageDetailsScreen))
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        async with person.slowly():
            await person.press("f5")
            await person.wait_for(lambda: person.app.controller.is_writing)
            await person.press("ctrl+up", "m")
            await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
            text = person.screen_text()
            assert "Show details" in text and "Delete message" not in text and "New conversation" not in text
            await person.press("escape")
            person.app.controller.interrupt()
        await person.wait_until_ready()
