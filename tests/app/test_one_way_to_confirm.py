"""Every form is confirmed in one way: by its first button, which has the key that the footer names and says the same
word, by enter in a line, and by ctrl+s everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from textual.widgets import Button

from tests.app.dialogs import KEYS, opened
from tests.conftest import DENSE
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.dialog import Dialog
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.sampling import SamplingScreen
from tui.app.screens.text_edit import LineEditScreen, TextEditScreen
from tui.app.widgets.key_bar import KeyBar
from tui.config.settings import ChosenLoad
from tui.models.library import inspect
from tui.planning.now import MemoryNow
from tui.protocol.records import Sampling

GIB = 1 << 30


def sampling() -> SamplingScreen:
    values = {**msgspec.structs.asdict(Sampling()), "max_tokens": 0, "thinking_budget": 0}
    return SamplingScreen({}, KEYS, defaults={name: (value, "built-in") for name, value in values.items()})


def load() -> LoadScreen:
    memory = MemoryNow(host_free_bytes=24 * GIB, host_total_bytes=32 * GIB)
    return LoadScreen(inspect(DENSE).info, ChosenLoad(backend="cpu"), (), memory, KEYS)


FORMS: dict[str, Callable[[], Dialog[Any]]] = {
    "line": lambda: LineEditScreen("Rename", "Plum cake", KEYS),
    "import": lambda: LineEditScreen("Import", "x.json", KEYS, save="Import"),
    "text": lambda: TextEditScreen("System prompt", "Be kind.", KEYS),
    "sampling": sampling,
    "load": load,
}


@pytest.mark.parametrize("name", FORMS)
async def test_the_first_button_says_what_the_footer_says_and_has_the_same_key(name: str) -> None:
    async with opened(FORMS[name](), (120, 40)) as stage:
        footer = stage.dialog.query_one(KeyBar).rows_as_text[0]
        first, *others = stage.dialog.query("#buttons Button").results(Button)
        word, _, key = str(first.label).rstrip(")").partition(" (")
        assert first.variant == "primary" and f"{key} {word}" in footer
        assert all(other.variant == "default" and f" {other.label}" in footer for other in others)
        assert str(others[-1].label) == "Cancel" and "esc Cancel" in footer


@pytest.mark.parametrize("name", FORMS)
async def test_ctrl_s_confirms(name: str) -> None:
    async with opened(FORMS[name](), (120, 40)) as stage:
        await stage.press("ctrl+s")
        assert await stage.closes() is not None


@pytest.mark.parametrize("name", [name for name in FORMS if name != "text"])
async def test_enter_confirms_where_a_line_is_written(name: str) -> None:
    async with opened(FORMS[name](), (120, 40)) as stage:
        await stage.press("enter")
        assert await stage.closes() is not None


@pytest.mark.parametrize("name", FORMS)
async def test_enter_on_a_button_does_what_it_says(name: str) -> None:
    async with opened(FORMS[name](), (120, 40)) as stage:
        stage.dialog.query_one("#button-dialog_close").focus()
        await stage.pilot.pause()
        await stage.press("enter")
        assert await stage.closes() is None


async def test_what_is_kept_by_closing_a_question_stands_in_its_footer() -> None:
    async with opened(ConfirmScreen("Delete it?", KEYS, yes="Delete", no="Keep")) as stage:
        await stage.shows("Keep (n)", "esc Keep")
