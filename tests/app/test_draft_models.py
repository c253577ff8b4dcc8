"""A draft model in the app: one of the library is taken by itself where it goes with the model, kept by a new engine,
and none is taken that somebody does not want."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.app.conftest import StartApp
from tests.conftest import DENSE
from tests.engine.memory_models import build
from tests.padded_model import pad
from tui.app.screens.tune import TuneScreen
from tui.planning import drafts
from tui.session.events import DraftModelLeftOut


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model beside which the library has one that writes the same and is a sixth of it."""
    monkeypatch.setattr(drafts, "LEAST_BYTES", 1)
    shutil.copy(DENSE, tmp_path / "small.gguf")
    return pad(DENSE, tmp_path / "large.gguf", 26)


def searching(folder: Path) -> str:
    return f"\n[models]\nfolders = [{json.dumps(str(folder))}]\n"


async def test_one_of_the_library_is_taken_and_kept_by_a_new_engine_and_after_tuning(
    start: StartApp, large: Path
) -> None:
    small = str(large.with_name("small.gguf"))
    more = f"\n[load]\nn_threads = 1\nn_ctx = 512\n[tune]\nseconds = 1.0\n{searching(large.parent)}"
    async with start(model=large, more_settings=more) as person:
        controller, before = person.app.controller, person.engine_pid
        assert person.loaded.llama.draft == small and controller.model.choice.model_draft == "auto"
        await person.app.run_action("screen.memory_report")
        await person.wait_for(lambda: "with the draft model small.gguf" in person.screen_text())
        await person.press("escape")
        controller.restart()
        await person.wait_for(lambda: controller.phase == "ready" and person.engine_pid != before)
        assert person.loaded.llama.draft == small
        tuned = person.loaded
        await person.app.run_action("screen.tune")
        await person.wait_for(lambda: isinstance(screen := person.app.screen, TuneScreen) and bool(screen.state.told))
        await person.press("escape")
        await person.wait_for(lambda: controller.phase == "ready" and person.loaded is not tuned)
        assert person.loaded.llama.draft == small


async def test_none_is_taken_by_those_who_want_none(start: StartApp, large: Path) -> None:
    async with start(model=large, load={"model_draft": "off"}, more_settings=searching(large.parent)) as person:
        assert person.loaded.llama.draft == ""


async def test_one_that_cannot_be_loaded_keeps_no_model_from_being_loaded(
    start: StartApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> str:
        return str(tmp_path / "gone.gguf")

    monkeypatch.setattr(drafts, "LEAST_BYTES", 1)
    monkeypatch.setattr(drafts, "auto_draft", gone)
    async with start() as person:
        assert person.loaded.path == str(DENSE) and person.loaded.llama.draft == ""


async def test_one_of_the_settings_is_left_out_where_the_vocabulary_is_another(start: StartApp, tmp_path: Path) -> None:
    other = build(tmp_path / "other.gguf", "dense")
    async with start(more_settings=f"\n[load]\nmodel_draft = {json.dumps(str(other))}\n") as person:
        assert person.loaded.path == str(DENSE) and person.loaded.llama.draft == ""
        assert "other.gguf has another vocabulary" in person.told


async def test_one_that_fails_in_an_answer_is_said(start: StartApp) -> None:
    async with start() as person:
        person.app.main.hear(DraftModelLeftOut())
        await person.wait_for(lambda: "The draft model failed." in person.told)
