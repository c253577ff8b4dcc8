"""A model with sliding windows in the app: loaded with a full cache where there is room for it, and kept as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.app.conftest import StartApp
from tests.engine.memory_models import build


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build(tmp_path / "window.gguf", "window")


async def test_where_there_is_room_it_gets_a_full_cache_as_it_was_planned(start: StartApp, model: Path) -> None:
    async with start(model=model, load={"n_ctx": 4096}) as person:
        assert person.loaded.llama.swa_full and person.app.controller.model.choice.swa_full == "auto"
        await person.app.run_action("screen.memory_report")
        await person.wait_for(lambda: "difference" in person.screen_text())
        text = person.screen_text()
        kv = re.findall(r"KV cache +(\S+ \S+) +(\S+ \S+) +(\S+)", text)
        assert kv == [("2.0 MiB", "2.0 MiB", "0")]
        assert "Checkpoints for going back in the conversation" in text


async def test_a_new_engine_has_what_the_old_one_had(start: StartApp, model: Path) -> None:
    async with start(model=model, load={"n_ctx": 4096}) as person:
        controller, before = person.app.controller, person.engine_pid
        controller.restart()
        await person.wait_for(lambda: controller.phase == "ready" and person.engine_pid != before)
        assert person.loaded.llama.swa_full


async def test_a_small_cache_is_had_by_asking_for_it(start: StartApp, model: Path) -> None:
    async with start(model=model, load={"n_ctx": 4096, "swa_full": "off"}) as person:
        assert not person.loaded.llama.swa_full
