"""What the load settings say a model will take and how fast it will be: the formula's figures at once, llama.cpp's own
when they are known, and speeds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.app.dialogs import KEYS, opened
from tests.app.load_dialog import CPU, GPU, ROOMY, plan_of
from tests.conftest import DENSE, until
from tests.measure.known import decoding, run_of
from tui.app.screens.load_settings import LoadScreen
from tui.app.widgets.cost_table import CostTable
from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.engines.plans import DryRunPlanner
from tui.measure.known_speeds import KnownSpeeds
from tui.models.library import inspect
from tui.planning.formula import MemoryPlan
from tui.protocol.records import LoadSettings


@pytest_asyncio.fixture
async def planner() -> AsyncIterator[DryRunPlanner]:
    planner = DryRunPlanner()
    yield planner
    await planner.close()


def planned_dialog(planner: DryRunPlanner, path: Path = DENSE, **settings: Any) -> LoadScreen:
    choice = ChosenLoad(**{"n_ctx": 2048, "backend": "cpu", **settings})
    return LoadScreen(inspect(DENSE).info, choice, (CPU,), ROOMY, KEYS, path=path, planner=planner)


class HeldPlanner(DryRunPlanner):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def plan(self, *arguments: Any, **more: Any) -> MemoryPlan:
        await self.may_answer.wait()
        return await super().plan(*arguments, **more)


async def test_the_formula_shows_at_once_and_llama_cpps_own_figures_follow() -> None:
    planner = HeldPlanner()
    async with contextlib.AsyncExitStack() as stack, opened(planned_dialog(planner)) as stage:
        stack.push_async_callback(planner.close)
        table = stage.dialog.query_one(CostTable)
        assert not plan_of(table).exact
        await stage.shows("≈GiB", "· ≈")
        planner.may_answer.set()
        await until(lambda: plan_of(table).exact)
        await until(lambda: "≈" not in stage.text)
        assert isinstance(stage.dialog, LoadScreen)
        settings = engine_settings(stage.dialog.choice, (CPU,))[0]
        assert plan_of(table) == await planner.plan(DENSE, inspect(DENSE).info, settings)


async def test_the_figures_follow_the_slider_to_where_it_stops(planner: DryRunPlanner) -> None:
    async with opened(planned_dialog(planner)) as stage:
        table = stage.dialog.query_one(CostTable)
        await stage.press("home", "right", "right", "end")
        await until(lambda: plan_of(table).exact and plan_of(table).n_ctx == 4096)
        await stage.press("left")
        await until(lambda: plan_of(table).exact and plan_of(table).n_ctx == 2048)
        await stage.press("end")
        assert plan_of(table).exact and plan_of(table).n_ctx == 4096, "known by now, so there at once"


async def test_a_file_that_llama_cpp_refuses_keeps_the_formulas_figures(planner: DryRunPlanner, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    async with opened(planned_dialog(planner, broken)) as stage:
        await stage.press("end")
        plan = await planner.plan(broken, inspect(DENSE).info, LoadSettings(n_ctx=4096))
        await stage.shows("≈GiB", "4,096 tokens")
        assert not plan.exact and not plan_of(stage.dialog.query_one(CostTable)).exact
        await stage.press("f5")
        assert (await stage.closes()).n_ctx == 4096


async def test_a_dialog_that_closes_leaves_no_question_open(planner: DryRunPlanner) -> None:
    async with opened(planned_dialog(planner)) as stage:
        await stage.press("end", "escape")
        assert await stage.closes() is None
        await until(lambda: not list(stage.host.workers))


async def test_the_expected_speed_stands_beside_what_it_costs() -> None:
    info = inspect(DENSE).info
    asked = ChosenLoad(n_ctx=2048, backend="cpu")
    speeds = KnownSpeeds(runs=(run_of(info, decoding(info, 31.4)),))
    screen = LoadScreen(info, asked, (CPU, GPU), ROOMY, KEYS, speeds=speeds)
    async with opened(screen, (120, 40)) as stage:
        await stage.shows("2,048 tokens", "31.4 tok/s (29 to 34)")
    async with opened(LoadScreen(info, asked, (CPU, GPU), ROOMY, KEYS), (120, 40)) as stage:
        await stage.shows("2,048 tokens")
        assert "tok/s" not in stage.text, "nothing is said where nothing is known"
