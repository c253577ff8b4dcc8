"""The app with files that are no chat models, and with load settings that do not go with a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from textual.widgets import Static

from tests.app.conftest import Person, StartApp
from tests.app.test_flows import opened
from tests.conftest import DENSE
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.loads import but
from tests.models.gguf_files import Shape
from tui.config import paths
from tui.session.events import ModelLoaded

HEAD_80 = Shape(n_embd=160, n_head=2, n_head_kv=2, head=80, n_ff=64, n_vocab=N_VOCAB, kind="F32")


def question(person: Person) -> str:
    return str(person.app.screen.query_one("#question", Static).content)


async def without_a_model(person: Person) -> None:
    await person.wait_without_a_model()


@pytest.mark.parametrize(
    ("arch", "words"),
    [("t5", "A T5 model or its encoder"), ("bert", "An embedding model"), ("qwen99", "qwen99, is not known")],
)
async def test_a_file_for_something_else_gets_a_card_with_the_reason(
    start: StartApp, tmp_path: Path, arch: str, words: str
) -> None:
    path = Shape().write(tmp_path / "other.gguf", general__architecture=arch)
    async with start(model=None) as person:
        await without_a_model(person)
        person.app.main.models.open_model(path)
        await person.wait_for(lambda: "other.gguf cannot be loaded" in person.screen_text())
        assert words in person.screen_text() and "damaged" not in person.screen_text()
        assert person.app.controller.engine.alive and person.phase == "no_model"


async def test_the_picker_lists_it_apart_and_does_not_choose_it(start: StartApp, home: Path) -> None:
    paths.models_dir().mkdir(parents=True)
    shutil.copy(DENSE, paths.models_dir())
    Shape().write(paths.models_dir() / "draft.gguf", general__architecture="eagle3")
    async with start() as person:
        await person.press("ctrl+o")
        await opened(person, "No chat models")
        text = person.screen_text()
        assert text.index("No chat models") < text.index("draft.gguf") and "A draft head" in text
        before = person.app.controller.engine.loaded
        await person.press("ctrl+end", "enter")
        await person.pilot.pause()
        assert "No chat models" in person.screen_text() and person.app.controller.engine.loaded is before


async def test_a_cache_type_that_does_not_go_with_the_model_is_asked_about_and_one_key_mends_it(
    start: StartApp, tmp_path: Path
) -> None:
    path = with_vocabulary(HEAD_80, tmp_path / "model.gguf")
    async with start(model=None, load={"type_k": "q8_0"}) as person:
        await without_a_model(person)
        person.app.main.models.open_model(path)
        await opened(person, "Cannot be loaded with these settings")
        assert "A K cache in q8_0" in question(person) and "head size of 80" in question(person)
        assert "KV cache in f16" in person.screen_text() and "Load anyway" not in person.screen_text()
        await person.press("k")
        await person.wait_until_ready()
        assert person.loaded.llama.type_k == "f16"


async def test_the_load_settings_say_it_beside_the_field(start: StartApp, tmp_path: Path) -> None:
    path = with_vocabulary(HEAD_80, tmp_path / "model.gguf")
    async with start(model=path, load={"n_ctx": 512}) as person:
        await person.press("ctrl+l")
        await opened(person, "Load settings")
        person.app.screen.query_one("#type_v").focus()
        await person.press("right", "f5")
        await opened(person, "Not with head size 80: use f16.")
        assert "Load settings" in person.screen_text() and "comes in blocks of 32" in person.screen_text()


async def test_a_load_that_is_forced_says_what_to_change(start: StartApp, tmp_path: Path) -> None:
    path = with_vocabulary(HEAD_80, tmp_path / "model.gguf")
    async with start(model=None, load={"type_k": "q8_0"}) as person:
        await without_a_model(person)
        person.app.main.models.open_model(path, force=True)
        await person.wait_for(lambda: "model.gguf could not be loaded" in person.screen_text())
        assert "use f16." in person.screen_text() and "Change the load settings" in person.screen_text()
        assert "damaged" not in person.screen_text()


async def test_a_model_that_could_not_be_locked_is_said_with_what_to_do(start: StartApp) -> None:
    async with start() as person:
        assert "mlock" not in person.told
        person.app.main.hear(ModelLoaded(loaded=but(person.loaded, mlock_failed=True)))
        await person.wait_for(lambda: "could not be locked into RAM (mlock)" in person.told)
        assert "`ulimit -l`" in person.told
