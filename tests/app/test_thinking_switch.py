"""^t tells the truth about the model that is loaded, and what was chosen is kept for the models that can do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.app.conftest import Person, StartApp
from tests.tape import CHATML, IM, Tape, build
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.main import MainScreen
from tui.engines.interface import AnswerStream
from tui.engines.local import LocalEngine
from tui.protocol.messages import Generate


def loaded_as(person: Person, **facts: Any) -> None:
    """The model that is loaded is told to be of another kind."""
    engine = person.controller.engine
    assert isinstance(engine, LocalEngine)
    engine.loaded = engine._held = msgspec.structs.replace(person.loaded, **facts)


async def test_a_switch_that_has_an_effect_switches_and_is_told_on_the_prompt(start: StartApp) -> None:
    async with start() as person:
        loaded_as(person, can_switch_thinking=True)
        await person.press("ctrl+t")
        assert person.told.endswith("Thinking is off in this conversation.")
        assert not person.app.controller.conversation.thinking
        assert "thinking off" in person.app.main.prompt.words_on("bottom")
        await person.press("ctrl+t")
        assert person.told.endswith("Thinking is on in this conversation.")
        assert "thinking on" in person.app.main.prompt.words_on("bottom")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"can_think": False}, "This model does not think: the switch has no effect on it."),
        ({"always_thinks": True}, "This model always thinks; it cannot be switched off."),
    ],
    ids=["never", "always"],
)
async def test_a_model_that_cannot_be_switched_says_so_and_nothing_changes(
    start: StartApp, facts: dict[str, Any], says: str
) -> None:
    async with start() as person:
        loaded_as(person, **facts)
        before = person.app.controller.conversation
        await person.press("ctrl+t")
        assert person.told.endswith(says)
        assert person.app.controller.conversation == before


async def test_a_model_without_a_switch_decides_by_itself(start: StartApp) -> None:
    async with start() as person:
        loaded_as(person, can_think=True, can_switch_thinking=False, always_thinks=False)
        await person.press("ctrl+t")
        assert person.told.endswith(
            "off in this conversation, but this model has no switch for it and decides by itself."
        )


def tape(path: Path, template: str) -> Path:
    """A model with this template. It answers "On." or "Off." by whether its prompt ends with a closed thought."""
    tapes = [Tape("assistant\n", ["On.", IM[1]]), Tape("</think>", ["Off.", IM[1]])]
    build(path, tapes, template=template, control=IM, eos=IM[1])
    return path


CLOSED = CHATML.replace("assistant\n", "assistant\n{% if off %}<think></think>{% endif %}")
WORDS = (
    "{% set ns = namespace(off=false) %}{% for m in messages %}"
    "{% if '/no_think' in m.content %}{% set ns.off = true %}{% endif %}{% endfor %}"
)


async def test_a_model_whose_template_knows_no_thinking_says_so(start: StartApp, tmp_path: Path) -> None:
    async with start(model=tape(tmp_path / "tape.gguf", CHATML)) as person:
        await person.press("ctrl+t")
        assert person.told.endswith("This model does not think: the switch has no effect on it.")
        assert person.app.controller.conversation.thinking
        assert await person.ask("Hi") == "On."


@pytest.mark.parametrize(
    "template",
    [
        CLOSED.replace("off", "thinking is defined and not thinking"),
        WORDS + CLOSED.replace("off", "ns.off"),
        CLOSED.replace("off", "'detailed thinking off' in messages[0].content"),
    ],
    ids=["variable", "words", "words in the system prompt"],
)
async def test_a_template_is_told_of_the_switch_in_the_way_it_takes(
    start: StartApp, tmp_path: Path, template: str
) -> None:
    async with start(model=tape(tmp_path / "tape.gguf", template)) as person:
        assert await person.ask("Hi") == "On."
        await person.press("ctrl+t")
        assert person.told.endswith("Thinking is off in this conversation.")
        assert "thinking off" in person.app.main.prompt.words_on("bottom")
        assert await person.ask("And now?") == "Off."
        await person.press("ctrl+t")
        assert person.told.endswith("Thinking is on in this conversation.")
        assert await person.ask("And then?") == "On."
        assert [turn.text for turn in person.turns if turn.role == "user"] == ["Hi", "And now?", "And then?"]


async def test_without_a_model_the_choice_is_kept_for_the_next_one(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await person.press("ctrl+t")
        assert "Thinking is off in this conversation, for models that have a switch for it." in person.told


async def choose(person: Person, key: str, *, shows: tuple[str, ...] = ()) -> None:
    await person.press("ctrl+t")
    await person.wait_for(
        lambda: isinstance(person.app.screen, ChoiceScreen) and "Model default" in person.screen_text()
    )
    for text in shows:
        assert text in person.screen_text()
    await person.press(key)
    await person.wait_for(lambda: isinstance(person.app.screen, MainScreen))


async def test_where_there_are_levels_one_is_chosen_shown_and_asked_for(start: StartApp) -> None:
    async with start() as person:
        engine = person.controller.engine
        loaded_as(person, efforts=("low", "medium", "high"), always_thinks=True)
        asked: list[str] = []
        generate = engine.generate

        def noting(command: Generate) -> AnswerStream:
            asked.append(command.effort)
            return generate(command)

        engine.generate = noting  # type: ignore[method-assign]
        await choose(person, "h", shows=("l  Low", "m  Medium", "h  High"))
        assert "Thinking is on in this conversation, with high effort." in person.told
        assert "thinking on, high effort" in person.app.main.prompt.words_on("bottom")
        await person.ask("hello")
        await choose(person, "d")
        assert "effort" not in person.app.main.prompt.words_on("bottom")
        await person.ask("hello")
        assert asked == ["high", ""]


@pytest.mark.parametrize(
    ("level", "key", "label"),
    [("minimal", "n", "Minimal"), ("medium", "m", "Medium"), ("xhigh", "x", "Extra high"), ("max", "a", "Maximum")],
)
async def test_each_level_has_a_key_of_its_own(start: StartApp, level: str, key: str, label: str) -> None:
    async with start() as person:
        loaded_as(person, efforts=("minimal", "low", "medium", "high", "xhigh", "max"), can_switch_thinking=True)
        await choose(person, key, shows=(f"{key}  {label}",))
        assert person.app.controller.conversation.effort == level
        assert f"thinking on, {label.lower()} effort" in person.app.main.prompt.words_on("bottom")


async def test_off_is_among_the_levels_where_thinking_can_be_switched_off(start: StartApp) -> None:
    async with start() as person:
        loaded_as(person, efforts=("low", "high"), can_switch_thinking=True)
        await choose(person, "o", shows=("o  Off", "l  Low", "h  High"))
        assert not person.app.controller.conversation.thinking
        await choose(person, "l")
        conversation = person.app.controller.conversation
        assert (conversation.thinking, conversation.effort) == (True, "low")


async def test_closing_the_choice_changes_nothing_and_off_is_not_offered_to_a_model_that_always_thinks(
    start: StartApp,
) -> None:
    async with start() as person:
        loaded_as(person, efforts=("low", "high"), can_switch_thinking=False, always_thinks=True)
        before = person.app.controller.conversation
        await person.press("ctrl+t")
        await person.wait_for(lambda: "Model default" in person.screen_text())
        assert "Off" not in person.screen_text() and "Medium" not in person.screen_text()
        await person.press("escape")
        await person.wait_for(lambda: isinstance(person.app.screen, MainScreen))
        assert person.app.controller.conversation == before


async def test_the_level_is_kept_with_the_conversation(start: StartApp) -> None:
    async with start() as person:
        loaded_as(person, efforts=("low", "high"))
        await choose(person, "l")
        await person.ask("hello")
        kept = person.app.controller.conversation.id
    async with start() as person:
        await person.app.main.conversations.open_conversation(kept)
        assert person.app.controller.conversation.effort == "low"
        assert "effort" not in person.app.main.prompt.words_on("bottom")  # this model has no levels
