"""Every word on the screens can be read, in the cells as the terminal gets them: 4.5:1 and more, in
colours and without. Where a terminal has only its own sixteen colours, what they look like is the terminal's; there,
text never stands on a ground of ours."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.style import Style
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.widgets import Button

from tests.app.conftest import Person
from tests.app.scenes import SCENES, shown
from tests.app.test_selection import hex_of
from tests.on_pty import LLMTUI, on_pty
from tests.seeing import NEAREST, contrast, least_contrast
from tui.app.markdown.text import width_of

READ = frozenset(string.ascii_letters + string.digits)
SHOWN = (
    "main", "main-wide", "main-prompt-read", "main-engine-died", "main-no-model", "start-page", "monitor", "picker",
    "load-settings-apu", "guard", "bench", "bench-start", "bench-running", "rename", "sampling", "system-prompt",
    "help", "palette", "conversations", "log",
)  # fmt: skip


def front(person: Person) -> Region:
    """Where words are read: in an open dialog, not behind it."""
    screen = person.app.screen
    if not isinstance(screen, ModalScreen):
        return screen.region
    frames = [widget.region for widget in screen.query("#frame")] or [child.region for child in screen.children]
    return Region.from_union(frames)


def words(person: Person) -> Iterator[tuple[str, Style]]:
    """Every piece of a row that has letters or digits in it and one style, where words are read."""
    region = front(person)
    for y, strip in enumerate(person.app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            if region.contains(x, y) and not READ.isdisjoint(text):
                yield text, style or Style()
            x += width_of(text)


@pytest.mark.parametrize("name", SHOWN)
async def test_every_word_can_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES[name], SCENES[name].sizes[-1], monkeypatch) as person:
        low = {}
        for theme in NEAREST[:-1]:
            person.app.theme = theme
            await person.pilot.pause()
            for text, style in words(person):
                colors = [hex_of(style.color), hex_of(style.bgcolor)]
                assert all(colors), (theme, text, style)
                assert not style.dim, (theme, text)
                if (ratio := least_contrast(*colors)) < 4.5:
                    low[theme, text.strip()] = f"{ratio:.2f} {style}"
        assert low == {}


@pytest.mark.parametrize("theme", ["nord", "solarized-dark", "catppuccin-latte"])
def test_every_word_can_be_read_on_a_terminal_of_256_colours(
    theme: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    with on_pty(*LLMTUI, "--monitor", "--theme", theme) as program:
        program.wait_for("RAM ──")
        cells = [cell for row in program.screen.buffer.values() for cell in row.values() if cell.data in READ]
        assert b"38;2;" not in program.raw and b"38;5;" in program.raw
        assert len(cells) > 20
        assert [cell for cell in cells if contrast(f"#{cell.fg}", f"#{cell.bg}") < 4.5] == []


@pytest.mark.parametrize("name", ["main", "picker", "load-settings-apu", "guard", "help", "sampling"])
async def test_the_terminals_own_colours_have_no_grounds_of_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES[name]._replace(theme="terminal"), (120, 40), monkeypatch) as person:
        for text, style in words(person):
            assert style.reverse or style.bgcolor is None or style.bgcolor.is_default, (text, style)


async def test_the_button_that_enter_presses_differs_by_more_than_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES["confirm"], (80, 24), monkeypatch) as person:
        for theme in NEAREST:
            person.app.theme = theme
            await person.pilot.pause()
            looks = {}
            for button in person.app.screen.query(Button):
                style = next(style for text, style in words(person) if str(button.label) in text)
                looks[button.has_focus] = (bool(style.bold), bool(style.reverse))
            assert looks[True] != looks[False], theme
