"""The memory dialog on the real app: planned beside actual; and the planner's process ends with the app."""

from __future__ import annotations

import os
import re

import pytest

from tests.app.conftest import StartApp
from tests.conftest import MOE, until
from tests.engine.vulkan import require_vulkan
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.log_view import LogScreen
from tui.app.widgets.cost_table import CostTable


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_what_was_planned_stands_beside_what_was_taken(start: StartApp, size: tuple[int, int]) -> None:
    async with start(size=size) as person:
        await person.app.run_action("screen.memory_report")
        await person.wait_for(lambda: isinstance(person.app.screen, LogScreen))
        await person.wait_for(lambda: "difference" in person.screen_text())
        text = person.screen_text()
        assert "CPU · 1,024 tokens" in text and "by llama.cpp itself" in text
        for purpose in ("weights, as they are in the file", "KV cache", "compute buffers, logits"):
            assert f"{purpose} " in text
        kv = next(row for row in text.splitlines() if "KV cache" in row)
        assert kv.split("KV cache")[1].split("│")[0].split() == ["1.0", "MiB", "1.0", "MiB", "0"]
        assert "the engine's own memory" in text


async def test_a_load_on_a_device_has_its_own_rows(start: StartApp) -> None:
    async with start(MOE, load={"backend": "Vulkan0", "n_gpu_layers": 2}, software_vulkan=True) as person:
        require_vulkan(tuple(device.name for device in person.app.controller.model.devices))
        await person.app.run_action("screen.memory_report")
        await person.wait_for(lambda: "difference" in person.screen_text())
        assert "2 of 5 layers on Vulkan0" in person.screen_text()
        kv = re.findall(r"KV cache +(\S+ KiB) +(\S+ KiB) +(\S+)", person.screen_text())
        assert kv == [("768.0 KiB", "768.0 KiB", "0"), ("256.0 KiB", "256.0 KiB", "0")]


async def test_without_a_model_there_is_nothing_to_compare(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await person.app.run_action("screen.memory_report")
        await person.wait_for(lambda: "No model is loaded." in person.screen_text())


async def test_the_planners_process_ends_with_the_app(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+l")
        await person.wait_for(lambda: isinstance(person.app.screen, LoadScreen))
        table = person.app.screen.query_one(CostTable)
        await person.wait_for(lambda: table.verdict and table.verdict.plan.exact)
        pid = person.app.controller.planner.pid
        assert pid and pid != person.app.controller.engine.pid
    await until(lambda: not is_there(pid))
