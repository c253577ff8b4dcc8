"""The palette: one line for each action, found by its words in any language, those that were run last first."""

from __future__ import annotations

import pytest

from tests.app.conftest import Person, StartApp
from tests.app.dialogs import KEYS, OPEN, opened
from tests.conftest import until
from tui.app.markdown.text import width_of
from tui.app.screens.palette import N_RECENT, PaletteScreen, with_newest
from tui.config.actions import ACTIONS
from tui.config.state import StateStore

LISTED = [action for action in ACTIONS if action.palette]


def titles(dialog: PaletteScreen) -> list[str]:
    return [action.id for action in dialog.rows.items]


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (120, 40), (200, 60)], ids=str)
async def test_each_action_is_one_line_with_its_key_at_the_right_end(size: tuple[int, int]) -> None:
    dialog = PaletteScreen(KEYS)
    async with opened(dialog, size) as stage:
        await stage.shows("Find an action…")
        assert titles(dialog) == [action.id for action in LISTED]
        rows = stage.text.split("\n")
        inside = rows[stage.row_of("▶")].strip(" ").strip("│┃").rstrip("│┃ ")
        assert inside.endswith("^o") and "▶ " in inside
        assert max(width_of(row.strip()) for row in rows) == min(80, size[0])
        if size[0] >= 80:
            await stage.shows("Choose a model and load it.")


async def test_what_is_typed_finds_actions_by_title_and_description_the_best_first() -> None:
    dialog = PaletteScreen(KEYS)
    async with opened(dialog) as stage:
        await stage.type("sidebar")
        await until(lambda: titles(dialog)[:1] == ["toggle_sidebar"])
        await stage.press("enter")
        assert await stage.closes() == "toggle_sidebar"


async def test_nothing_found_is_said_and_enter_does_nothing() -> None:
    async with opened(PaletteScreen(KEYS)) as stage:
        await stage.type("zzzzqqqq")
        await stage.shows("No action matches.")
        await stage.press("enter")
        assert stage.result is OPEN
        await stage.press("escape")
        assert await stage.closes() is None


async def test_a_click_runs_an_action() -> None:
    async with opened(PaletteScreen(KEYS), (120, 40)) as stage:
        await stage.click("Choose a model and load it.")
        assert await stage.closes() == "pick_model"


async def test_what_was_run_last_comes_first_and_what_there_is_no_more_is_passed_over() -> None:
    dialog = PaletteScreen(KEYS, recent=("theme", "gone_since", "export"), is_live=lambda one: one.id != "delete")
    async with opened(dialog):
        await until(lambda: titles(dialog)[:3] == ["theme", "export", LISTED[0].id])
        assert sorted(titles(dialog)) == sorted(action.id for action in LISTED if action.id != "delete")


def test_the_newest_of_what_was_run_come_first_and_only_some_are_kept() -> None:
    recent: tuple[str, ...] = ()
    for action_id in (*(action.id for action in LISTED), "theme"):
        recent = with_newest(recent, action_id)
    assert recent[0] == "theme" and len(recent) == len(set(recent)) == N_RECENT


async def run(person: Person, words: str) -> None:
    await person.press("ctrl+p")
    await person.wait_for(lambda: isinstance(person.app.screen, PaletteScreen))
    await person.press(*words, "enter")
    await person.wait_for(lambda: not isinstance(person.app.screen, PaletteScreen))


async def test_an_action_is_run_and_is_first_the_next_time_and_in_the_next_run(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.press("escape")
        await run(person, "sidebar")
        await person.wait_for(lambda: person.app.main.has_class("-no-sidebar"))
        await person.wait_for(lambda: person.app.controller.state.state.actions == ("toggle_sidebar",))
        await person.press("ctrl+p")
        await person.wait_for(lambda: isinstance(person.app.screen, PaletteScreen))
        assert isinstance(person.app.screen, PaletteScreen)
        assert titles(person.app.screen)[0] == "toggle_sidebar"
    state = StateStore()
    assert state.read() == [] and state.state.actions == ("toggle_sidebar",)
