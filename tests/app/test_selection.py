"""What is selected can be seen and read in every theme: text that is marked with the mouse or the keyboard, the row of
a list that a key would choose, in the cells as the terminal gets them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from rich.color import Color
from rich.style import Style
from textual.widget import Widget
from textual.widgets import Input, TextArea

from tests.app.conftest import Person
from tests.app.scenes import Scene, shown
from tests.app.steps import action, chat, open_palette, pick_model, read_problems
from tests.seeing import NEAREST, contrast, distance, linear
from tui.app.markdown.text import width_of
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.palette import PaletteScreen
from tui.app.screens.picker import PickerScreen

TOLD_APART = 15
"""Distance in L*a*b*: shades nearer than this are taken for one where they do not touch."""


Place = tuple[int, int]


class Cell(NamedTuple):
    """One cell of the terminal."""

    text: str
    color: str
    background: str
    reverse: bool


def hex_of(color: Color | None) -> str:
    return color.get_truecolor().hex if color and not color.is_default else ""


def cells(person: Person) -> dict[Place, Cell]:
    """Everything that is on the terminal, by column and row; of a wide character the first cell."""
    found = {}
    for y, strip in enumerate(person.app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            style = style or Style()
            for character in text:
                found[x, y] = Cell(character, hex_of(style.color), hex_of(style.bgcolor), bool(style.reverse))
                x += width_of(character)
    return found


def places(person: Person, text: str, widget: Widget | None = None) -> list[Place]:
    """The cells of the first place in the widget, or on the screen, where this text stands."""
    region = (widget or person.app.screen).region
    seen = [(place, cell.text) for place, cell in cells(person).items() if region.contains(*place)]
    for y in range(region.y, region.bottom):
        row = [(place, character) for place, character in seen if place[1] == y]
        if (start := "".join(character for _, character in row).find(text)) >= 0:
            return [place for place, _ in row[start : start + len(text)]]
    raise AssertionError(f"{text} is not there")


# What a person does; the cells that are selected then ---------------------------------------------------------------


async def mark_messages(person: Person) -> list[Place]:
    """A table, and code in colours."""
    transcript = person.app.main.transcript
    start, end = places(person, "Model", transcript)[0], places(person, "numbers[i + 1]:", transcript)[-1]
    await person.pilot.mouse_down(offset=start)
    await person.pilot.hover(offset=end)
    await person.pilot.mouse_up(offset=end)
    return [
        place
        for text in ("Model  ", "32B", "31 tok/s", "128 tok", "相邻", "def bubble_sort", "len", "# 每", "1, -1")
        for place in places(person, text, transcript)
    ]


async def mark_prompt(person: Person) -> list[Place]:
    await person.type("one two three")
    await person.press("shift+home")
    return places(person, "one two three", person.app.main.prompt)[1:]  # the cursor is on the first


async def rename(person: Person) -> None:
    await action("screen.rename")(person)
    await person.wait_for(lambda: isinstance(person.app.focused, Input))
    await person.press("end")


async def mark_line(person: Person) -> list[Place]:
    assert isinstance(person.app.focused, Input)
    await person.press("shift+home")
    return places(person, person.app.focused.value, person.app.focused)[1:]


async def mark_log(person: Person) -> list[Place]:
    area = person.app.screen.query_one(TextArea)
    area.select_line(1)
    return places(person, area.selected_text.strip()[:20], area)


async def highlight_row(person: Person) -> list[Place]:
    await person.press("down")
    assert isinstance(person.app.screen, PickerScreen | ChoiceScreen)
    rows = person.app.screen.rows
    _, y = places(person, "▶", rows)[0]
    return [(x, y) for x in range(rows.region.x, rows.region.right)]


async def highlight_command(person: Person) -> list[Place]:
    await person.press("down")
    assert isinstance(person.app.screen, PaletteScreen)
    rows = person.app.screen.rows
    _, y = places(person, "▶", rows)[0]
    return [(x, y) for x in range(rows.region.x, rows.region.right)]


SCENES: dict[str, tuple[Scene, Callable[[Person], Awaitable[list[Place]]]]] = {
    "messages": (Scene(chat, "complete"), mark_messages),
    "prompt": (Scene(chat, "complete"), mark_prompt),
    "title": (Scene(rename, "Rename"), mark_line),
    "log": (Scene(read_problems, "keys.pick_modell"), mark_log),
    "models": (Scene(pick_model, "half.gguf"), highlight_row),
    "choices": (Scene(action("screen.theme"), "midnight"), highlight_row),
    "palette": (Scene(open_palette, "Choose a model"), highlight_command),
}


async def in_every_theme(person: Person) -> dict[str, tuple[dict[Place, Cell], str]]:
    """What is on the terminal in each theme, and the background of its screen."""
    found = {}
    for theme in NEAREST:
        person.app.theme = theme
        await person.pilot.pause()
        found[theme] = cells(person), hex_of(person.app.screen.rich_style.bgcolor)
    return found


@pytest.mark.parametrize("name", SCENES)
async def test_what_is_selected_is_seen_and_read_in_every_theme(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, select = SCENES[name]
    async with shown(scene, (120, 40), monkeypatch) as person:
        before = await in_every_theme(person)
        selected = await select(person)
        await person.pilot.pause()
        for theme, (after, around) in (await in_every_theme(person)).items():
            for place in selected:
                cell, was = after.get(place), before[theme][0].get(place)
                if cell is None or was is None:  # the second half of a wide character
                    continue
                if cell.reverse and not cell.background:  # the terminal's own colours, whatever they are
                    continue
                beside = around if name == "choices" else was.background
                apart = distance(linear(cell.background), linear(beside or "#000000"))
                assert apart >= TOLD_APART, (theme, place, cell, was)
                if cell.text.strip():
                    assert contrast(cell.color, cell.background) >= 4.5, (theme, place, cell)
