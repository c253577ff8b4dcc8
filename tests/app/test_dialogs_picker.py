"""The model picker on a real folder of models: what it shows, filters, chooses and refuses, by keyboard and mouse."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from textual.events import MouseScrollDown, Paste
from textual.widgets import Input

from tests.app.dialogs import KEYS, OPEN, Stage, opened
from tests.app.picker_dialog import ROOMY, listed, look, models_in, picker
from tests.conftest import DENSE, MOE, until
from tests.measure.known import decoding, run_of
from tests.models.gguf_files import Shape
from tui.app.screens.details import DetailsScreen
from tui.app.screens.model_records import ModelRecords
from tui.app.screens.picker import PickedModel, PickerScreen
from tui.measure.known_speeds import KnownSpeeds
from tui.models.detail_words import DetailRow
from tui.models.filesums import FileSums
from tui.models.library import Library, LibraryModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """See `models_in`."""
    return models_in(tmp_path)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 44)], ids=str)
async def test_every_model_stands_in_the_table_with_its_figures(folder: Path, size: tuple[int, int]) -> None:
    async with opened(picker(folder), size) as stage:
        await listed(stage)
        await stage.shows("NAME ↑", "PARAMS", "QUANT", "SIZE", "NEEDS")
        await until(lambda: stage.text.count("●") == 4)  # in both rows, the details and the legend
        moe = stage.text.split("\n")[stage.row_of("A0.")]
        assert "2.3M (1.1M)" in moe and "Q8_0" in moe and "2.4 MiB" in moe
        assert re.search(r"● +[\d.]+ MiB", moe)
        await stage.shows("2 models", "qwen3 · 1.0M", "4 layers", "trained for 4,096 tokens", "chat template")
        await until(lambda: re.search(r"● fits · needs [\d.]+ MiB of 24.0 GiB in RAM", stage.text))


async def test_a_low_terminal_shows_models_and_only_why_a_file_cannot_be_loaded_beside_them(folder: Path) -> None:
    async with opened(picker(folder), (40, 12)) as stage:
        await stage.shows("Tiny Qwen3 0.001B", "2.4 MiB", "half.gguf", "page.gguf", "NAME", "●")
        assert "trained for" not in stage.text and "chat template" not in stage.text
        await stage.press("down", "down")
        await stage.shows("Incomplete: it ends within its")
        await stage.press("up")
        await until(lambda: "Incomplete: it ends within its" not in stage.text)


async def test_broken_files_stand_at_the_end_with_their_reasons_and_cannot_be_loaded(folder: Path) -> None:
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        await stage.shows("Incomplete: it ends within its header.", "A web page was saved instead of the model")
        assert stage.row_of("── Cannot be loaded") > stage.row_of("A0.")
        await stage.press("ctrl+end", "enter")
        await stage.shows("page.gguf")
        assert stage.result is OPEN


async def test_typing_filters_by_words_in_any_order_and_case(folder: Path) -> None:
    async with opened(picker(folder)) as stage:
        await listed(stage)
        await stage.type("QWEN3moe tiny")
        await stage.shows("1 of 2 models")
        assert "half.gguf" not in stage.text
        await stage.type(" nonsense")
        await stage.shows("Nothing matches", "0 of 2 models")


async def test_the_highlighted_model_is_chosen_with_enter(folder: Path) -> None:
    async with opened(picker(folder)) as stage:
        await listed(stage)
        await stage.press("down", "enter")
        picked = await stage.closes()
        assert picked.path == folder / MOE.name and not picked.settings_first


async def test_load_settings_can_be_asked_for_first(folder: Path) -> None:
    async with opened(picker(folder)) as stage:
        await listed(stage)
        await stage.press("f2")
        picked = await stage.closes()
        assert picked.path == folder / DENSE.name and picked.settings_first


async def test_a_click_highlights_and_a_second_one_loads(folder: Path) -> None:
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        await stage.click("2.3M (1.1M)")
        await stage.shows("qwen3moe · 2.3M · 1.1M active")
        assert stage.result is OPEN
        await stage.click("2.3M (1.1M)")
        assert (await stage.closes()).path == folder / MOE.name


async def test_a_click_on_the_key_bar_is_as_good_as_the_key(folder: Path) -> None:
    async with opened(picker(folder)) as stage:
        await listed(stage)
        await stage.click("Close")
        assert await stage.closes() is None


def order(stage: Stage[PickedModel]) -> list[str]:
    """The models in the order of the table."""
    return [item.info.name for item in stage.dialog.rows.items if isinstance(item, LibraryModel)]  # type: ignore[attr-defined]


async def test_the_table_is_sorted_by_any_column_with_a_key_and_the_other_way_round(folder: Path) -> None:
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        first, second = order(stage)
        await stage.press("f6")
        await stage.shows("NAME ↓")
        assert order(stage) == [second, first]
        for title, expected in (
            ("PARAMS ↓", [second, first]),
            ("QUANT ↑", [first, second]),
            ("SIZE ↓", [second, first]),
            ("NEEDS ↑", [first, second]),
            ("NAME ↑", [first, second]),
        ):
            await stage.press("f4")
            await stage.shows(title)
            await until(lambda expected=expected: order(stage) == expected)  # type: ignore[misc]


async def test_a_click_on_a_title_sorts_by_its_column_and_another_one_the_other_way_round(folder: Path) -> None:
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        first, second = order(stage)
        await stage.click("SIZE")
        await stage.shows("SIZE ↓")
        assert order(stage) == [second, first]
        await stage.click("SIZE ↓")
        await stage.shows("SIZE ↑")
        assert order(stage) == [first, second]


async def test_favourites_come_first_however_the_table_is_sorted_and_are_kept(folder: Path) -> None:
    kept: list[tuple[str, bool]] = []
    heard = picker(folder, keep_favourite=lambda path, is_one: kept.append((path, is_one)))
    async with opened(heard, (120, 40)) as stage:
        await listed(stage)
        first, second = order(stage)
        await stage.press("down", "f3")
        await stage.shows("★")
        assert order(stage) == [second, first] and kept == [(str(folder / MOE.name), True)]
        assert "▶" in stage.text.split("\n")[stage.row_of("A0.")], "the highlight goes with it"
        await stage.press("f3")
        assert order(stage) == [first, second] and kept[-1] == (str(folder / MOE.name), False)
    async with opened(picker(folder, favourites=(str(folder / MOE.name),)), (120, 40)) as stage:
        await listed(stage)
        assert order(stage) == [second, first]
        await stage.press("ctrl+end", "f3")
        assert order(stage) == [second, first], "a broken file is none"


async def test_speeds_and_the_last_use_are_shown_where_they_are_known(folder: Path) -> None:
    model = look(folder).models[1]
    run = run_of(model.info, decoding(model.info, 31.44))
    speeds = KnownSpeeds(runs=(run,))
    now = datetime(2026, 3, 2, 12, 0)

    async def records() -> ModelRecords:
        return ModelRecords(speeds=speeds, used={str(model.path): now.timestamp() - 86_400})

    async with opened(picker(folder, records=records, now=lambda: now), (120, 40)) as stage:
        await listed(stage)
        await stage.shows("SPEED", "USED", "31.4 tok/s", "yesterday")
        row = stage.text.split("\n")[stage.row_of("31.4 tok/s")]
        assert "A0.0" in row and "≈" not in row
        await stage.press("down")
        await stage.shows("decode 31.4 tok/s (29 to 34), from 1 run of it")
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        assert "SPEED" not in stage.text and "USED" not in stage.text, "a column that says nothing takes no room"


async def test_all_about_the_highlighted_model_is_shown_over_the_list(folder: Path) -> None:
    def details_of(model: LibraryModel, here: Sequence[DetailRow]) -> DetailsScreen:
        return DetailsScreen(model.path, KEYS, sums=FileSums(folder / "sums.json"), here=here)

    async with opened(picker(folder, details_of=details_of), (120, 40)) as stage:
        await listed(stage)
        await until(lambda: stage.text.count("●") == 4)
        await stage.press("down", "f8")
        await stage.shows("Model details", "On this machine", "● fits · needs", "8, 2 of them used")
        await stage.press("escape")
        await stage.shows("Models", "half.gguf")
        await stage.press("ctrl+end", "f8")
        assert isinstance(stage.host.screen, PickerScreen), "a broken file is no model"


async def test_escape_changes_nothing(folder: Path) -> None:
    async with opened(picker(folder)) as stage:
        await stage.press("escape")
        assert await stage.closes() is None


async def test_the_loaded_model_is_highlighted_at_first(folder: Path) -> None:
    async with opened(picker(folder, current=folder / MOE.name)) as stage:
        await listed(stage)
        assert "▶ ✓" in stage.text.split("\n")[stage.row_of("A0.")]


async def test_a_path_that_is_pasted_is_loaded_without_being_in_a_folder(folder: Path) -> None:
    async with opened(PickerScreen(Library, ROOMY, KEYS)) as stage:
        await stage.type(f"'{folder / DENSE.name}'")
        await stage.shows("Load this file:")
        await stage.press("enter")
        picked = await stage.closes()
        assert picked.path == folder / DENSE.name and picked.model.info.arch == "qwen3"


async def test_a_file_that_is_dragged_into_the_terminal_as_a_url_is_loaded(folder: Path) -> None:
    shutil.copy(DENSE, folder / "my 模型 100%.gguf")
    url = (folder / "my 模型 100%.gguf").as_uri()
    assert "my%20" in url
    async with opened(PickerScreen(Library, ROOMY, KEYS)) as stage:
        stage.host.post_message(Paste(url))
        await stage.shows("Load this file:")
        await stage.press("enter")
        assert (await stage.closes()).path == folder / "my 模型 100%.gguf"


@pytest.mark.parametrize("text", ["~nobody-of-that-name/x.gguf", "file:///x%00.gguf", f"/{'x' * 300}.gguf"])
async def test_a_path_that_cannot_be_is_refused_with_a_sentence(text: str) -> None:
    async with opened(PickerScreen(Library, ROOMY, KEYS)) as stage:
        stage.host.post_message(Paste(text))
        await stage.shows("Load this file:")
        await stage.press("enter")
        await until(lambda: "There is no such file." in stage.text or "ile name too long" in stage.text)
        assert stage.result is OPEN


async def test_a_path_that_is_no_model_says_why_and_stays(folder: Path) -> None:
    async with opened(PickerScreen(Library, ROOMY, KEYS)) as stage:
        await stage.type(str(folder / "nowhere.gguf"))
        await stage.press("enter")
        await stage.shows("nowhere.gguf: There is no such file.")
        assert stage.result is OPEN
        await stage.press("ctrl+u")
        await stage.type(str(folder / "page.gguf"))
        await stage.press("enter")
        await stage.shows("A web page was saved instead of the model")


async def test_a_name_that_looks_like_markup_is_shown_as_it_is(folder: Path) -> None:
    (folder / "[bold]x[red].gguf").write_text("no model")
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        await stage.press("ctrl+end")
        await stage.shows("[bold]x[red].gguf")


async def test_nothing_that_a_file_or_its_name_says_is_a_command_to_the_terminal(folder: Path) -> None:
    evil = "\x1b[2J\x9b31m\u202e"
    Shape().write(folder / f"a{evil}.gguf", general__name=f"Aaa {evil} model")
    (folder / f"big{evil}-00001-of-00002.gguf").write_bytes(DENSE.read_bytes())
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        await stage.shows("Aaa [2J 31m model")
        await stage.press("ctrl+end", "up", "up")
        await stage.shows("Part 2 of 2 is missing (big [2J 31m-00002-of-00002.gguf)")
        assert not {"\x1b", "\x9b", "\u202e"} & set(stage.text)
        await stage.press("ctrl+u")
        await stage.type(str(folder / "nowhere"))
        stage.dialog.query_one("#filter", Input).value += f"{evil}.gguf"
        await stage.press("enter")
        await stage.shows("There is no such file.")
        assert not {"\x1b", "\x9b", "\u202e"} & set(stage.text)


async def test_forty_columns_keep_name_and_fit(folder: Path) -> None:
    async with opened(picker(folder), (40, 24)) as stage:
        await listed(stage)
        await stage.shows("Tiny Qwen3 0.001B", "●")
        assert max(len(line) for line in stage.text.split("\n")) <= 40


async def test_a_thousand_models_are_filtered_row_by_row_seen(folder: Path) -> None:
    one = look(folder).models[0]
    many = Library(models=tuple(_named(one, f"Model {number:04d}") for number in range(1000)))
    async with opened(PickerScreen(lambda: many, ROOMY, KEYS)) as stage:
        await stage.shows("1,000 models")
        await stage.type("0777")
        await stage.shows("1 of 1,000 models", "Model 0777")
        await stage.press("backspace")
        await stage.shows("11 of 1,000 models")
        # Verdicts are made for rows that were seen, not for all.
        assert len(stage.dialog._permissions) < 60  # type: ignore[attr-defined]


async def test_the_wheel_scrolls_and_the_highlight_stays(folder: Path) -> None:
    one = look(folder).models[0]
    many = Library(models=tuple(_named(one, f"Model {number:04d}") for number in range(100)))
    async with opened(PickerScreen(lambda: many, ROOMY, KEYS)) as stage:
        await stage.shows("Model 0000")
        await stage.pilot._post_mouse_events([MouseScrollDown], offset=(10, 8))
        await stage.shows("Model 0003")
        await until(lambda: "Model 0000" not in stage.text.split("\n")[4])
        await stage.press("enter")
        assert (await stage.closes()).model.info.name == "Model 0000"


def _named(model: LibraryModel, name: str) -> LibraryModel:
    info = msgspec.structs.replace(model.info, name=name)
    return msgspec.structs.replace(model, info=info, path=Path(f"/m/{name}.gguf"))
