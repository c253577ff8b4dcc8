"""Words can be read on terminals with fewer colours, and the button that enter presses is told apart in each theme.
All screens are read in `test_snapshots.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Button

from tests.app.readable import READ, words
from tests.app.scenes import SCENES, shown
from tests.on_pty import LLMTUI, on_pty
from tests.seeing import NEAREST, contrast


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
