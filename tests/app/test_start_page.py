"""The start page: what stands in the place of an empty conversation, and how one goes on from there."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tui.app.screens.help import HelpScreen
from tui.app.screens.picker import PickerScreen
from tui.app.screens.text_edit import LineEditScreen
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.row_list import RowList
from tui.app.widgets.start_page import StartPage
from tui.app.widgets.transcript import Transcript
from tui.chat.conversation import Conversation, new_conversation, user_turn
from tui.config import paths
from tui.config.actions import BY_ID
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.session import memory_speed


def saved(title: str, day: int) -> Conversation:
    """A conversation of one prompt, from that day of March 2024."""
    moment = datetime(2024, 3, day, 12).timestamp()
    return msgspec.structs.replace(
        new_conversation(), title=title, turns=(user_turn(f"About {title}"),), updated_at=moment
    )


async def with_saved(person: Person, *titles: str) -> None:
    """These conversations are in the store, the first being the latest, and offered."""
    for number, title in enumerate(titles):
        await person.app.store.create(saved(title, len(titles) - number))
    await person.wait_for(lambda: [one.title for one in page(person).state.latest] == list(titles[:4]))


def page(person: Person) -> StartPage:
    return person.app.main.query_one(StartPage)


def is_shown(person: Person) -> bool:
    """The page stands where the transcript would."""
    assert page(person).display is not person.app.main.query_one(Transcript).display
    return page(person).display


def place_of(person: Person, words: str) -> tuple[int, int]:
    """The cell at which these words begin on the screen."""
    for y, row in enumerate(person.screen_text().splitlines()):
        if words in row:
            return row.index(words), y
    raise AssertionError(f"{words} is not on the screen")


async def test_it_goes_with_the_first_prompt_and_comes_back_with_a_new_conversation(start: StartApp) -> None:
    async with start() as person:
        assert is_shown(person) and "1,024 tokens" in person.screen_text()
        await person.ask("hello")
        assert not is_shown(person) and "1,024 tokens" not in person.screen_text()
        await person.press("ctrl+n")
        await person.wait_for(lambda: is_shown(person))
        assert "1,024 tokens" in person.screen_text()


async def test_the_card_tells_the_speed_of_the_last_answer_also_after_a_new_start(start: StartApp) -> None:
    async with start() as person:
        assert "last time" not in person.screen_text()
        await person.ask("用Python写冒泡排序")
        await person.press("ctrl+n")
        await person.wait_for(lambda: "tok/s last time" in person.screen_text())
        told = page(person).state.card
    async with start() as person:
        await person.wait_for(lambda: page(person).state.card == told)


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 40), (200, 60)], ids=str)
async def test_a_digit_opens_a_conversation_once_the_page_has_the_focus(start: StartApp, size: tuple[int, int]) -> None:
    async with start(size=size) as person:
        await with_saved(person, "Lighthouse", "Tides", "Foghorns", "Gulls", "Ropes")
        await person.press("2")
        assert person.app.main.query_one(Prompt).text == "2"
        await person.press("backspace", "up", "2")
        await person.wait_for(lambda: [turn.text for turn in person.turns] == ["About Tides"])
        assert not is_shown(person) and person.app.focused is person.app.main.prompt


async def test_arrows_and_enter_open_one_and_lead_back_to_the_prompt(start: StartApp) -> None:
    async with start() as person:
        await with_saved(person, "Lighthouse", "Tides")
        await person.press("up", "down", "up", "down", "down")
        assert person.app.focused is person.app.main.prompt
        await person.press("up", "up", "enter")
        await person.wait_for(lambda: [turn.text for turn in person.turns] == ["About Lighthouse"])


async def test_what_is_typed_on_the_page_goes_to_the_prompt_also_digits_that_mean_nothing(start: StartApp) -> None:
    async with start() as person:
        await with_saved(person, "Lighthouse")
        await person.press("up", "3", "x")
        assert person.app.main.prompt.text == "3x" and person.turns == ()


async def test_a_click_opens_a_conversation_or_does_what_the_key_would(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        await with_saved(person, "Lighthouse", "Tides")
        await person.pilot.click(offset=place_of(person, f"f1 {BY_ID['help'].title}"))
        await person.wait_for(lambda: isinstance(person.app.screen, HelpScreen))
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.pilot.click(offset=place_of(person, "Tides"))
        await person.wait_for(lambda: [turn.text for turn in person.turns] == ["About Tides"])


async def test_the_latest_follow_what_is_renamed_and_deleted(start: StartApp) -> None:
    async with start() as person:
        await with_saved(person, "Lighthouse", "Tides")
        first, second = await person.app.store.list()
        await person.app.store.rename(first.id, "Harbour")
        await person.app.store.delete(second.id)
        await person.wait_for(lambda: [one.title for one in page(person).state.latest] == ["Harbour"])


async def test_without_any_model_it_says_where_one_belongs_and_which_fit(start: StartApp) -> None:
    async with start(model=None, size=(120, 40)) as person:
        await person.wait_without_a_model()
        shown = person.screen_text()
        assert str(paths.models_dir().relative_to(Path.home())) in shown and "Add folder" in shown
        # Which they are depends on the memory that is free where this runs.
        assert (
            "For this machine: Qwen3-" in shown and len(re.findall(r"^ +Qwen3-[\w.-]+ +Q\d", shown, re.MULTILINE)) > 1
        )
        assert "the folders of other programs" in shown and person.app.screen is person.app.main
        await person.press("ctrl+o")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))


async def test_on_a_new_machine_the_memory_is_measured_beside_the_page_which_then_tells_speeds(
    start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(*_: int | None) -> bool:
        return False

    monkeypatch.setattr(memory_speed, "is_disturbed", nobody)  # other tests have engines that compute
    paths.bandwidth_file().parent.mkdir(parents=True)
    paths.bandwidth_file().write_text("damaged")  # as if it had never been measured
    async with start(None) as person:
        await person.wait_without_a_model()
        await person.wait_for(lambda: re.search(r"≈[\d.,]+ tok/s", person.screen_text()))
        kept = KeptBandwidth(paths.bandwidth_file()).known()
        assert kept["CPU"] > 0


async def test_a_folder_that_is_added_is_searched_from_then_on(start: StartApp, tmp_path: Path) -> None:
    shutil.copytree(DENSE.parent, tmp_path / "mine")
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await person.app.run_action("screen.add_folder")
        await person.wait_for(lambda: isinstance(person.app.screen, LineEditScreen))
        await person.press(*"/nowhere", "enter")
        await person.wait_for(lambda: "There is no such folder." in person.screen_text())
        await person.press("ctrl+u", *str(tmp_path / "mine"), "enter")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.wait_for(lambda: person.app.screen.query_one(RowList).items)
    async with start(model=None) as person:
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.wait_for(lambda: person.app.screen.query_one(RowList).items)


async def test_with_several_models_the_picker_opens_and_the_page_names_its_key(start: StartApp) -> None:
    paths.models_dir().mkdir(parents=True)
    for file in (DENSE, MOE):
        shutil.copy(file, paths.models_dir())
    async with start(model=None) as person:
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.press("escape")
        await person.wait_for(lambda: "Press ^o to choose a model." in person.screen_text())
        assert "Qwen3-8B" not in person.screen_text()


async def test_a_card_about_a_load_that_failed_takes_its_place(start: StartApp, tmp_path: Path) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        (tmp_path / "broken.gguf").write_bytes(b"nothing")
        person.app.main.models.open_model(tmp_path / "broken.gguf")
        await person.wait_for(lambda: "broken.gguf cannot be loaded" in person.screen_text())
        assert not is_shown(person)
        await person.press("o")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
