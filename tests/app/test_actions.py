"""The table of actions and the app agree: each action is done by somebody, by key, by click and from the palette."""

from __future__ import annotations

import os
import signal

from tests.app.conftest import Person, StartApp
from tui.app.screens.help import HelpScreen
from tui.app.screens.picker import PickerScreen
from tui.app.widgets.key_bar import KeyBar
from tui.config.actions import ACTIONS


def footer(person: Person) -> str:
    return person.app.screen.query_one(KeyBar).rows_as_text[0]


async def click(person: Person, title: str) -> None:
    """Click on an entry of the footer."""
    row = footer(person)
    await person.pilot.click(person.app.screen.query_one(KeyBar), offset=(1 + row.index(title), 0))


async def test_every_action_outside_dialogs_has_a_place_where_it_lives(start: StartApp) -> None:
    async with start() as person:
        main = person.app.main
        places = {"app": person.app, "chat": main, "input": main.prompt, "transcript": main.transcript}
        places["card"] = main.transcript
        homeless = [
            action.id
            for action in ACTIONS
            if action.scope in places and not callable(getattr(places[action.scope], f"action_{action.id}", None))
        ]
        assert homeless == []


async def test_a_click_on_the_footer_runs_its_action(start: StartApp) -> None:
    async with start() as person:
        await click(person, "^o Choose model")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await click(person, "esc Close")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await click(person, "f1 Help")
        await person.wait_for(lambda: isinstance(person.app.screen, HelpScreen))


async def test_the_footer_has_the_keys_of_an_open_card(start: StartApp) -> None:
    async with start() as person:
        assert "Reload" not in footer(person)
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: "r Reload" in footer(person))
        assert "d Show engine log" in footer(person) and "small ubatch" not in footer(person)  # it was on the CPU
        await click(person, "r Reload")
        await person.wait_until_ready()
        await person.wait_for(lambda: "Reload" not in footer(person))
