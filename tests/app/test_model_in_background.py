"""A model that is loaded in the background makes room for the app's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.conftest import StartApp
from tests.ask.test_ask import HELLO, TINY
from tests.host.conftest import runtime
from tests.host.test_background import hosts
from tests.running import llmtui
from tui.planning.now import MemoryNow

__all__ = ["runtime"]
GIB = 1 << 30


async def test_it_is_freed_only_where_memory_is_short(
    runtime: Path, start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert llmtui("ask", "hello", *TINY, "--keep").stdout == f"{HELLO}\n"
    free = 8 * GIB

    def memory(*_: object) -> MemoryNow:
        return MemoryNow(host_free_bytes=free, host_total_bytes=8 * GIB, reserve_bytes=0)

    monkeypatch.setattr("tui.planning.now.memory_now", memory)
    async with start() as person:
        assert hosts()[0]["phase"] == "ready"

        def less(*_: object) -> MemoryNow:
            """As long as the other model is there."""
            nonlocal free
            free = 8 * GIB if hosts()[0]["phase"] == "no_model" else 1 << 20
            return memory()

        monkeypatch.setattr("tui.planning.now.memory_now", less)
        person.app.main.models.action_raise_context()
        await person.wait_for(lambda: person.app.controller.engine.loaded and person.loaded.n_ctx == 2048)
        assert "was loaded in the background, is unloaded to make room" in person.told
    assert hosts()[0]["phase"] == "no_model"
