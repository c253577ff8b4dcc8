"""The model picker while it looks: what it shows before a scan is done, what a rescan changes, and how it finds out
what fits."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.app.dialogs import KEYS, opened
from tests.app.picker_dialog import GPU, ROOMY, another, listed, look, models_in, picker
from tests.conftest import DENSE, until
from tests.models.gguf_files import Shape
from tui.app.screens.picker import PickerScreen
from tui.config.settings import ChosenLoad
from tui.models.library import Library
from tui.planning.exact import Confirmed
from tui.planning.guardrail import LoadPermission, may_load
from tui.planning.now import MemoryNow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """See `models_in`."""
    return models_in(tmp_path)


async def test_it_is_seen_before_the_scan_is_done(folder: Path) -> None:
    go = threading.Event()

    def slow() -> Library:
        go.wait(20)
        return look(folder)

    async with opened(PickerScreen(slow, ROOMY, KEYS)) as stage:
        await stage.shows("Looking for models…")
        go.set()
        await listed(stage)


async def test_what_was_found_before_is_there_at_once_while_it_looks_again(folder: Path) -> None:
    go = threading.Event()

    def slow() -> Library:
        go.wait(20)
        return look(folder)

    async with opened(PickerScreen(slow, ROOMY, KEYS, library=look(folder))) as stage:
        await stage.shows("Tiny Qwen3 0.001B", "looking…  2 models")
        another(folder)
        go.set()
        await stage.shows("3 models")
        await until(lambda: "looking…" not in stage.text)


async def test_without_any_model_it_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    async with opened(picker(tmp_path, folders=(Path("/srv/models"),))) as stage:
        await stage.shows("No models were found in", "/srv/models", "Ollama", "Add folder", "paste the path")


async def test_a_rescan_finds_what_came_since_and_keeps_the_place(folder: Path) -> None:
    async with opened(picker(folder)) as stage:
        await listed(stage)
        await stage.press("down")
        another(folder)
        await stage.press("f5")
        await stage.shows("3 models")
        assert "▶" in stage.text.split("\n")[stage.row_of("A0.")]


async def test_what_does_not_fit_says_what_it_needs(folder: Path) -> None:
    tiny = MemoryNow(host_free_bytes=1 << 20, host_total_bytes=1 << 21)
    async with opened(picker(folder, tiny), (120, 40)) as stage:
        await listed(stage)
        await stage.shows("○ does not fit · needs ", " of 1.0 MiB in RAM")
        assert re.search(r"○ +[\d.]+ MiB", stage.text.split("\n")[stage.row_of("A0.")])


async def test_a_gpu_shows_how_many_layers_it_takes(folder: Path) -> None:
    async with opened(picker(folder, devices=(GPU,)), (120, 40)) as stage:
        await listed(stage)
        await stage.shows("● fits · needs ", "5/5 layers on GPU")
    cpu = ChosenLoad(backend="cpu")
    async with opened(picker(folder, devices=(GPU,), load_for=lambda _: cpu), (120, 40)) as stage:
        await listed(stage)
        await stage.shows("● fits · needs ", "CPU only")


async def test_while_it_is_found_out_what_fits_every_key_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = asyncio.Event()

    async def slowly(*arguments: Any, **more: Any) -> LoadPermission:
        await go.wait()
        return await may_load(*arguments, **more)

    monkeypatch.setattr("tui.app.screens.picker.may_load", slowly)
    async with opened(picker(folder), (120, 40)) as stage:
        await listed(stage)
        assert stage.text.split("\n")[stage.row_of("A0.")].rstrip("│ ").endswith("…")
        await stage.press("down")
        await stage.shows("qwen3moe · 2.3M · 1.1M active")
        assert stage.text.count("●") == 1, "in the legend"
        go.set()
        await until(lambda: stage.text.count("●") == 4)


async def test_a_rescan_keeps_what_is_known_of_a_file_that_did_not_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Confirmed] = []

    async def noted(confirmed: Confirmed, *arguments: Any, **more: Any) -> LoadPermission:
        judged.append(confirmed)
        return await may_load(confirmed, *arguments, **more)

    monkeypatch.setattr("tui.app.screens.picker.may_load", noted)
    async with opened(picker(folder), (120, 40)) as stage:
        await until(lambda: len(judged) == 2)
        another(folder)
        Shape(n_layers=3).write(folder / DENSE.name)
        await stage.press("f5")
        await stage.shows("3 models")
        await until(lambda: stage.text.count("●") == 5)
        assert len(judged) == 4
