"""Presets in the app: saved from a conversation, taken by another, given to new ones; and the format of answers."""

from __future__ import annotations

import json

from tests.app.conftest import Person, StartApp
from tui.config import paths
from tui.config.presets import Preset, read_presets, write_preset
from tui.protocol.records import AnswerFormat, PartialSampling

YES = AnswerFormat(kind="gbnf", text='root ::= "yes"')


def names() -> list[str]:
    return [one.name for one in read_presets(paths.presets_dir())[0]]


async def open_presets(person: Person, shows: str) -> None:
    await person.press("alt+p")
    await person.wait_for(lambda: shows in person.screen_text())


async def test_what_a_conversation_is_asked_with_becomes_a_preset_that_another_takes(start: StartApp) -> None:
    async with start(system_prompt="Answer briefly.", temperature=0.0) as person:
        controller = person.app.controller
        controller.configure(answer_format=YES)
        await open_presets(person, "No preset")
        await person.press("ctrl+s")
        await person.wait_for(lambda: "Save as preset" in person.screen_text())
        await person.press(*"brief", "enter")
        await person.wait_for(lambda: names() == ["brief"])
        await person.wait_for(lambda: "✓" in person.screen_text() and "grammar" in person.screen_text())
        await person.press("escape")
        await person.press("ctrl+n")
        await person.wait_for(lambda: not controller.conversation.system_prompt)
        await open_presets(person, "Answer briefly.")
        await person.press("down", "enter")
        await person.wait_for(lambda: controller.conversation.preset == "brief")
        now = controller.conversation
        assert (now.system_prompt, now.sampling) == ("Answer briefly.", PartialSampling(temperature=0.0))
        assert await person.ask("hello") == "yes"
        assert "grammar · brief" in person.screen_text()


async def test_new_conversations_begin_with_the_default_until_there_is_none(start: StartApp) -> None:
    write_preset(paths.presets_dir(), Preset(name="yes", answer_format=YES))
    async with start() as person:
        controller = person.app.controller
        assert controller.conversation.preset == ""
        await open_presets(person, "grammar")
        await person.press("down", "f3")
        await person.wait_for(lambda: controller.state.state.preset == "yes")
        await person.press("escape", "ctrl+n")
        await person.wait_for(lambda: controller.conversation.preset == "yes")
    async with start() as person:
        controller = person.app.controller
        await person.wait_for(lambda: controller.conversation.answer_format == YES)
        await open_presets(person, "grammar")
        await person.press("ctrl+d")
        await person.wait_for(lambda: "Delete the preset" in person.screen_text())
        await person.press("y")
        await person.wait_for(lambda: names() == [] and controller.state.state.preset == "")


async def test_a_file_that_is_wrong_is_told_and_the_others_are_there(start: StartApp) -> None:
    write_preset(paths.presets_dir(), Preset(name="good", thinking=False))
    (paths.presets_dir() / "bad.toml").write_text("thinking = 3\n")
    async with start() as person:
        await open_presets(person, "true or false")
        assert "good" in person.screen_text() and "bad" in person.screen_text()


async def test_the_format_of_answers_is_written_in_a_dialog(start: StartApp) -> None:
    async with start(temperature=0.0) as person:
        await person.app.screen.run_action("answer_format")
        await person.wait_for(lambda: "GBNF" in person.screen_text())
        await person.press("j")
        await person.wait_for(lambda: '"answer"' in person.screen_text())
        await person.press("x", "ctrl+s")
        await person.wait_for(lambda: "This is not JSON: line " in person.screen_text())
        await person.press("ctrl+d", "ctrl+s")
        await person.wait_for(lambda: person.app.controller.conversation.answer_format is not None)
        assert isinstance(json.loads(await person.ask("hello"))["answer"], str)
