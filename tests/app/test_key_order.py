"""Keys that arrive together, with the app in whatever state: each acts before the next one is looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tests.hub_shelf import finding_on
from tests.hubserver.server import HubServer
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.find import FindScreen
from tui.app.screens.picker import PickerScreen
from tui.app.screens.sampling import SamplingScreen
from tui.app.screens.text_edit import LineEditScreen
from tui.app.widgets.prompt import Prompt

NAMED = {"\n": "ctrl+j", "\r": "enter", "\t": "tab", " ": "space"}


async def burst(person: Person, *keys: str) -> None:
    """Keys by name and texts, all in one write of the terminal."""
    app = person.app
    for key in keys:
        for name, character in [(key, None)] if key in NAMES else [(name_of(letter), letter) for letter in key]:
            event = events.Key(name, character)
            event.set_sender(app)
            assert app._driver
            app._driver.send_message(event)
    await person.pilot.pause()


NAMES = {"backspace", "left", "right", "home", "enter", "tab", "escape", "f2", "alt+enter"}
NAMES |= {"shift+tab", "alt+m", "ctrl+d", "ctrl+p", "ctrl+r", "f5"}
NAMES |= {"ctrl+j", "ctrl+o", "ctrl+u", "ctrl+w"}


def name_of(letter: str) -> str:
    return NAMED.get(letter) or (letter if letter.isalnum() else _character_to_key(letter))


def focused_line(person: Person) -> Input:
    assert isinstance(person.app.focused, Input)
    return person.app.focused


def prompt(person: Person) -> Prompt:
    return person.app.main.query_one(Prompt)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (("helo", "backspace", "lo"), "hello"),
        (("abc", "left", "left", "X"), "aXbc"),
        (("abc", "home", "X"), "Xabc"),
        (("abc", "ctrl+j", "def"), "abc\ndef"),
        (("abc", "alt+enter", "def"), "abc\ndef"),
        (("wrong text", "ctrl+u", "better"), "better"),
        (("one two", "ctrl+w", "three"), "one three"),
    ],
)
async def test_editing_keys_and_letters_act_in_their_order(start: StartApp, keys: tuple[str, ...], text: str) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await burst(person, *keys)
        await person.wait_for(lambda: prompt(person).text == text)


async def test_what_follows_enter_waits_in_the_input(start: StartApp) -> None:
    async with start() as person:
        await burst(person, "ping", "enter", "def")
        await person.wait_for(lambda: len(person.turns) == 2 and person.turns[1].stop)
        assert (person.turns[0].text, prompt(person).text) == ("ping", "def")


async def test_what_follows_the_key_of_a_dialog_is_for_the_dialog(start: StartApp) -> None:
    async with start() as person:
        await burst(person, "ctrl+o", "nothing like that")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.wait_for(lambda: person.app.screen.query_one("#filter", Input).value == "nothing like that")
        assert prompt(person).text == ""
        await burst(person, "escape", "abc")
        await person.wait_for(lambda: prompt(person).text == "abc")


async def test_text_after_tab_goes_into_the_field_that_has_the_focus_then(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+p")
        await burst(person, "sampling", "enter")
        await person.wait_for(lambda: isinstance(person.app.screen, SamplingScreen))
        await person.wait_for(lambda: isinstance(person.app.focused, Input))
        first = focused_line(person)
        await burst(person, "ctrl+u", "0.5", "tab", "ctrl+u", "7")
        await person.wait_for(lambda: person.app.focused is not first and focused_line(person).value == "7")
        assert first.value == "0.5"


async def test_text_typed_with_a_message_selected_goes_to_the_input_whole(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.press("alt+up")
        assert person.app.focused is person.app.main.transcript
        await burst(person, "so what", "backspace", "T")
        await person.wait_for(lambda: prompt(person).text == "so whaT")


async def test_a_prompt_that_is_edited_and_sent_leaves_the_draft_before_what_follows(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.type("draft ")
        await burst(person, "f2", "!", "enter", "more")
        await person.wait_for(lambda: prompt(person).text == "draft more")
        await person.wait_for(lambda: [turn.text for turn in person.turns if turn.role == "user"] == ["ping!"])


async def test_a_path_and_enter_load_the_model_and_what_follows_is_for_the_prompt(
    start: StartApp, tmp_path: Path
) -> None:
    path = tmp_path / "tiny model.gguf"
    shutil.copy(DENSE, path)
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await burst(person, "ctrl+o", str(path), "enter", "hello")
        await person.wait_until_ready()
        assert person.loaded.path == str(path) and prompt(person).text == "hello"


async def test_what_enter_says_of_a_path_is_still_there_when_the_list_has_news(start: StartApp) -> None:
    async with start() as person:
        await burst(person, "ctrl+o", "/no/such.gguf", "enter")
        await person.wait_for(lambda: "There is no such file." in person.screen_text())
        picker = person.app.screen
        assert isinstance(picker, PickerScreen)
        await picker._read_records()
        await person.press("f5")
        await person.wait_for(lambda: not picker._is_scanning)
        assert "There is no such file." in person.screen_text()
        await burst(person, "backspace")
        await person.wait_for(lambda: "There is no such file." not in person.screen_text())


async def test_a_model_is_picked_and_loaded_with_another_context_by_keys_that_come_at_once(start: StartApp) -> None:
    async with start() as person:
        await burst(person, "ctrl+o", str(MOE), "f2", "shift+tab", "ctrl+u", "2048", "enter", "rest")
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.path == str(MOE))
        assert person.loaded.n_ctx == 2048
        assert prompt(person).text == "rest"


async def test_the_open_conversation_is_renamed_through_the_palette_by_keys_that_come_at_once(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await burst(person, "ctrl+p", "rename conv", "enter", "ctrl+u", "other title", "enter", "rest")
        await person.wait_for(lambda: prompt(person).text == "rest")
        await person.wait_for(lambda: person.app.controller.conversation.title == "other title")


async def test_a_conversation_is_renamed_and_another_deleted_by_keys_that_come_at_once(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await burst(person, "ctrl+r", "f2", "ctrl+u", "new title", "enter", "escape", "more")
        await person.wait_for(lambda: prompt(person).text == "more")
        assert person.app.controller.conversation.title == "new title"
        await burst(person, "ctrl+r", "ctrl+d", "y", "escape", "!")
        await person.wait_for(lambda: prompt(person).text == "more!")
        assert not await person.app.store.list()


async def test_a_folder_is_added_and_its_model_chosen_by_keys_that_come_at_once(
    start: StartApp, tmp_path: Path
) -> None:
    folder = tmp_path / "more models"
    folder.mkdir()
    shutil.copy(MOE, folder)
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await burst(person, "ctrl+p", "add folder", "enter", str(folder), "enter", "moe")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.wait_for(lambda: "1 model" in person.screen_text() and "❯ moe" in person.screen_text())


async def test_a_repository_opens_by_its_name_and_each_escape_closes_one_dialog(start: StartApp) -> None:
    with HubServer() as server:
        async with start() as person:
            person.app.controller.finding = finding_on(server)
            await burst(person, "alt+m", "Qwen/Tiny-GGUF", "enter", "escape", "escape", "words")
            await person.wait_for(lambda: prompt(person).text == "words")
            assert person.app.screen is person.app.main


async def test_enter_behind_what_is_searched_for_asks_at_once(start: StartApp) -> None:
    with HubServer() as server:
        async with start() as person:
            person.app.controller.finding = finding_on(server)
            await burst(person, "alt+m", "words", "enter")
            await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
            screen = person.app.screen
            assert isinstance(screen, FindScreen)
            await person.wait_for(lambda: screen._results.is_whole and not screen._is_asking)
            assert screen.wanted.text == "words" and not screen._may_pause


async def test_a_paste_goes_to_the_input_wherever_the_focus_is(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.press("alt+up")
        person.app.post_message(events.Paste("one\r\ntwo"))
        await person.wait_for(lambda: prompt(person).text == "one\ntwo")
        assert person.app.focused is prompt(person)


async def test_a_paste_into_a_dialog_goes_to_its_line_and_is_said_to_be_left_out_where_there_is_none(
    start: StartApp,
) -> None:
    async with start() as person:
        person.app.push_screen(LineEditScreen("Rename", "", person.app.keymap))
        await person.wait_for(lambda: isinstance(person.app.focused, Input))
        line = focused_line(person)
        await person.press("tab")
        assert person.app.focused is not line
        person.app.post_message(events.Paste("two\rlines\x1b[31m"))
        await person.wait_for(lambda: line.value == "two lines\u241b[31m")
        await person.press("escape")
        person.app.push_screen(ChoiceScreen("Which", [], person.app.keymap))
        await person.wait_for(lambda: isinstance(person.app.screen, ChoiceScreen))
        before = prompt(person).text
        person.app.post_message(events.Paste("text"))
        await person.wait_for(lambda: "nowhere to paste" in person.told)
        assert prompt(person).text == before


async def test_a_long_paste_leaves_the_app_time_and_is_undone_at_once(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        field = prompt(person)
        text = "a line of text\n" * 20_000
        seen: set[int] = set()

        def is_whole_there() -> bool:
            seen.add(len(field.text))
            return field.text.endswith("X")

        person.app.post_message(events.Paste(text))
        person.app.post_message(events.Key("X", "X"))
        await person.wait_for(is_whole_there)
        is_whole = field.text == f"{text}X"
        assert is_whole and len(seen) > 2
        field.undo()
        field.undo()
        assert field.text == ""
