"""What stands on the border of the prompt, and that it shortens well."""

from __future__ import annotations

import pytest

from tests.app.conftest import Person, StartApp
from tests.app.test_thinking_switch import loaded_as
from tests.conftest import DENSE
from tui.app.screens.text_edit import TextEditScreen
from tui.app.widgets.border_words import BorderPart, EdgeWords
from tui.app.widgets.prompt import Prompt
from tui.session.events import AnswerGrew, ModelLoaded
from tui.session.loads import LoadRequest


def prompt(person: Person) -> Prompt:
    return person.app.main.query_one(Prompt)


def below(person: Person) -> str:
    """What is to be read on the lower edge."""
    return prompt(person).words_on("bottom")


async def test_it_says_what_its_keys_do_and_how_much_is_written(start: StartApp) -> None:
    async with start() as person:
        assert below(person).startswith("enter send · ^j new line")
        assert "token" not in below(person)
        await person.type("ping ping")
        await person.wait_for(lambda: " tokens" in below(person))
        n_two = int(below(person).split("  ")[1].split()[0])
        await person.type(" ping ping ping ping")
        await person.wait_for(lambda: f"  {n_two} " not in below(person))
        assert 1 < n_two < int(below(person).split("  ")[1].split()[0])
        await person.press("enter")
        await person.wait_until_ready()
        assert "token" not in below(person)
        rows = person.screen_text().splitlines()
        assert any("╰─ enter send · ^j new line ─" in row for row in rows)


async def test_a_text_that_is_too_long_for_the_context_is_told_before_it_is_sent(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        await person.type("one two three " * 300)
        await person.wait_for(lambda: " of 256 tokens" in below(person))


async def test_it_says_what_is_left_of_the_context_and_when_that_is_too_little(start: StartApp) -> None:
    async with start(load={"n_ctx": 256}) as person:
        await person.ask("hello")
        n_used = person.app.controller.context.n_used
        await person.type("ping ping")
        await person.wait_for(lambda: " left" in below(person))
        n_written = int(below(person).split("  ")[1].split()[0])
        assert f"{n_written} tokens · {256 - n_used - n_written} left" in below(person)
        await person.type(" ping" * ((256 - n_used) * 2 // n_written + 2))
        await person.wait_for(lambda: " too many" in below(person))


async def test_a_very_long_text_is_counted_in_part(start: StartApp) -> None:
    async with start(load={"n_ctx": 200_000}) as person:
        prompt(person).set_text("ping " * 12_000)
        await person.wait_for(lambda: "≈ " in below(person))


async def test_nothing_is_counted_while_the_model_answers_and_what_was_typed_meanwhile_after_it(
    start: StartApp,
) -> None:
    async with start() as person:
        go_on = person.hold_at_the_first(AnswerGrew)
        await person.send("Count to 100")
        await person.wait_for(lambda: person.is_held)
        await person.type("ping ping")
        assert "token" not in below(person)
        go_on()
        await person.wait_for(lambda: " tokens" in below(person))


async def test_thinking_is_told_of_a_model_that_can_be_asked_for_it_and_a_click_switches_it(start: StartApp) -> None:
    async with start() as person:
        loaded_as(person, can_think=False, can_switch_thinking=False, always_thinks=False)
        person.app.main.hear(ModelLoaded(loaded=person.loaded))
        assert "thinking" not in below(person)
        loaded_as(person, can_think=True, can_switch_thinking=True)
        person.app.main.hear(ModelLoaded(loaded=person.loaded))
        assert below(person).endswith("thinking on")
        box = prompt(person)
        await person.pilot.click(Prompt, offset=(box.outer_size.width - 8, box.outer_size.height - 1))
        await person.wait_for(lambda: below(person).endswith("thinking off"))


async def test_a_system_prompt_is_told_and_a_click_opens_it(start: StartApp) -> None:
    async with start() as person:
        person.app.controller.configure(system_prompt="Be brief.")
        person.app.main.prompt_line.show()
        assert below(person).endswith("system prompt")
        box = prompt(person)
        await person.pilot.click(Prompt, offset=(box.outer_size.width - 8, box.outer_size.height - 1))
        await person.wait_for(lambda: isinstance(person.app.screen, TextEditScreen))
        person.app.screen.query_one(Prompt).set_text("")
        await person.press("ctrl+s")
        await person.wait_for(lambda: "system prompt" not in below(person))


async def test_text_below_the_view_is_hinted_at_with_the_key_that_goes_there(start: StartApp) -> None:
    async with start(size=(40, 12)) as person:
        async with person.slowly():
            await person.send("Count to 100")
            await person.wait_for(lambda: person.app.main.transcript.document.height > 8)
            await person.press("pageup")
            await person.wait_for(lambda: "↓ new text ctrl+end" in prompt(person).words_on("top"))
            assert "↓ new text ctrl+end ─╮" in person.screen_text()
            await person.pilot.click(Prompt, offset=(prompt(person).outer_size.width - 8, 0))
            await person.wait_for(lambda: person.app.main.transcript.following)
            assert prompt(person).words_on("top") == ""
            person.app.controller.interrupt()
        await person.wait_until_ready()


async def test_an_edit_says_how_to_send_and_how_to_leave_it(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.press("f2")
        assert prompt(person).words_on("top") == "editing · esc cancel"
        assert below(person).startswith("enter send again · ")
        await person.press("escape")
        assert prompt(person).words_on("top") == "" and below(person).startswith("enter send · ")


async def test_another_model_counts_what_is_written_again(start: StartApp) -> None:
    async with start() as person:
        await person.type("ping ping")
        await person.wait_for(lambda: " tokens" in below(person))
        controller = person.app.controller
        controller.load(LoadRequest(path=DENSE, choice=controller.load_for(DENSE)))
        await person.wait_for(lambda: person.phase == "loading" and "token" not in below(person))
        await person.wait_for(lambda: " tokens" in below(person))


@pytest.mark.parametrize(
    ("width", "left", "right"),
    [
        (74, "enter send · ^j new line", "230 tokens · thinking on · system prompt"),
        (62, "enter send", "230 tokens · thinking on · system prompt"),
        (44, "enter send", "230 tokens · thinking on"),
        (34, "", "230 tokens · thinking on"),
        (20, "", "230 tokens"),
        (8, "", ""),
    ],
)
def test_what_is_worth_least_goes_first_where_there_is_no_room(width: int, left: str, right: str) -> None:
    def part(text: str, worth: int) -> BorderPart:
        return BorderPart(((text, "plain"),), worth=worth)

    words = EdgeWords(
        (part("enter send", 3), part("^j new line", 1)),
        (part("230 tokens", 5), part("thinking on", 4), part("system prompt", 2)),
    ).fitting(width)

    def text(parts: tuple[BorderPart, ...]) -> str:
        return " · ".join(part.runs[0][0] for part in parts)

    assert (text(words.left), text(words.right)) == (left, right)
    assert words.width <= max(width, 2)


async def test_what_is_typed_is_read_while_nothing_more_is_typed_and_then_needs_not_be_read_again(
    start: StartApp,
) -> None:
    async with start() as person:
        await person.ask("ping")
        n_asked = len(person.turns)
        text = "one two three four five six seven eight nine ten " * 3
        await person.type(text)
        keeper = person.controller.contexts
        await person.wait_for(lambda: keeper.has_read == text)
        await person.press("enter")
        await person.wait_for(lambda: len(person.turns) == n_asked + 2)
        await person.wait_until_ready()
        assert person.answer_timings.n_prefill <= 16  # the end of the text, and of the template
