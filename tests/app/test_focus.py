"""Where the focus is can be seen, in dialogs and on the main screen, and is seen nowhere else."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

import pytest
from rich.segment import Segment
from textual.widget import Widget

from tests.app.conftest import Person, StartApp
from tests.app.scenes import SCENES, shown
from tui.app.widgets.key_bar import KeyBar
from tui.session.events import AnswerGrew


def looks(person: Person, widgets: Sequence[Widget]) -> dict[Widget, list[list[Segment]]]:
    """What of each widget is on the terminal."""
    rows = person.app.screen._compositor.render_strips()
    return {
        widget: [list(row.crop(region.x, region.right)) for row in rows[region.y : region.bottom]]
        for widget, region in ((widget, widget.region) for widget in widgets)
    }


@pytest.mark.parametrize(
    "name", ["load-settings", "load-settings-apu", "sampling", "rename", "system-prompt", "confirm"]
)
async def test_the_focused_field_and_no_other_has_the_mark(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES[name], (120, 50), monkeypatch) as person:
        screen = person.app.screen
        fields = list(screen.focus_chain)
        screen.set_focus(None)
        await person.pilot.pause()
        plain = looks(person, fields)
        for field in [*fields, *reversed(fields)]:
            field.focus()
            await person.wait_for(functools.partial(has_focus, field))
            assert [one for one, look in looks(person, fields).items() if look != plain[one]] == [field]


def has_focus(field: Widget) -> bool:
    return field.has_focus


def means(person: Person, role: str) -> bool:
    """What is done to a message would be done to one of this role."""
    meant = person.app.main.messages.meant()
    return meant is not None and meant.role == role


async def test_after_esc_the_focus_is_in_the_prompt(start: StartApp) -> None:
    async with start() as person:
        await person.ask("Count to 5")
        await person.press("ctrl+up")
        assert person.app.focused is person.app.main.transcript and person.app.main.transcript.selected
        await person.press("escape")
        await person.wait_for(lambda: person.app.main.transcript.selected is None)
        assert person.app.main.prompt.has_focus
        await person.press("ctrl+up", "f1", "escape", "escape")
        await person.wait_for(lambda: person.app.focused is person.app.main.prompt)


async def test_the_footer_offers_to_stop_an_answer_that_was_started_from_a_selected_message(start: StartApp) -> None:
    async with start() as person:
        await person.ask("Count to 20")
        for up, selected in ((1, "assistant"), (2, "user")):
            await person.press(*["ctrl+up"] * up)
            await person.wait_for(functools.partial(means, person, selected))
            go_on = person.hold_at_the_first(AnswerGrew)
            await person.press("r")
            await person.wait_for(lambda: person.phase == "answering")
            await person.wait_for(lambda: "esc Stop" in person.app.main.query_one(KeyBar).rows_as_text[0])
            await person.press("escape")
            go_on()
            await asyncio.wait_for(person.wait_for(lambda: person.phase == "ready"), 60)
            assert person.turns[-1].stop == "cancelled"
