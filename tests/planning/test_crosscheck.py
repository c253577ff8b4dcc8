"""A dry run is held against the formula: what repacking explains is no dispute, everything else is marked and said."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE, TINY
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.models.gguf_files import Shape
from tests.planning.shapes import GIB, GPU, MIB, QWEN3_8B, QWEN3_30B_A3B
from tui.app.memory_report import memory_lines
from tui.engines.interface import Engine
from tui.engines.plans import DryRunPlanner
from tui.models.info import ModelInfo
from tui.models.library import inspect
from tui.planning.crosscheck import apart
from tui.planning.formula import Cost, MemoryPlan, estimate
from tui.protocol.records import LoadSettings

FORMULA = estimate(QWEN3_8B, LoadSettings(devices=(GPU.name,), n_gpu_layers=18))
TIED = 300 * MIB


@pytest_asyncio.fixture
async def planner() -> AsyncIterator[DryRunPlanner]:
    planner = DryRunPlanner()
    yield planner
    await planner.close()


@pytest.fixture
def said() -> Iterator[list[logging.LogRecord]]:
    """What the planner warns of. Not pytest's own fixture: the app, where another test has run it, keeps its log from
    the root's handlers."""
    records: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeper(logging.WARNING)
    logger = logging.getLogger("llmtui.planner")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def found(*, host: dict[str, int] | None = None, device: dict[str, int] | None = None) -> MemoryPlan:
    """The formula's plan with so many bytes more, or less, in some place."""

    def changed(cost: Cost, changes: dict[str, int] | None) -> Cost:
        return msgspec.structs.replace(cost, **{name: getattr(cost, name) + n for name, n in (changes or {}).items()})

    return msgspec.structs.replace(
        FORMULA, exact=True, host=changed(FORMULA.host, host), devices=(changed(FORMULA.devices[0], device),)
    )


@pytest.mark.parametrize(
    ("plan", "n_bytes"),
    [
        (found(), 0),
        (found(host={"weights_bytes": 60 * MIB}, device={"kv_bytes": -60 * MIB}), 0),
        (found(host={"weights_bytes": TIED}), TIED),
        (found(host={"weights_bytes": TIED, "repacked_bytes": GIB}), 0),
        (found(host={"weights_bytes": TIED + 100 * MIB, "repacked_bytes": GIB}), 0),
        (found(host={"weights_bytes": TIED + GIB, "repacked_bytes": GIB}), GIB - GIB // 8),
        (found(host={"weights_bytes": -GIB, "repacked_bytes": GIB}), GIB),
        (found(host={"kv_bytes": GIB}), GIB),
        (found(device={"kv_bytes": -GIB}), GIB),
        (found(host={"weights_bytes": -GIB}, device={"weights_bytes": GIB}), GIB),
        (found(host={"weights_bytes": GIB}, device={"weights_bytes": -GIB}), 0),
        (found(device={"weights_bytes": -TIED}), 0),
        (found(device={"weights_bytes": -TIED - GIB}), GIB),
        (found(host={"compute_bytes": GIB}, device={"compute_bytes": GIB}), 0),
    ],
)
def test_only_what_repacking_does_not_explain_is_a_dispute(plan: MemoryPlan, n_bytes: int) -> None:
    assert apart(FORMULA, plan, TIED) == n_bytes


def test_layers_may_go_to_either_of_two_devices() -> None:
    two = LoadSettings(devices=("Vulkan0", "Vulkan1"))
    here, there = (estimate(QWEN3_8B, two, {"Vulkan0": n, "Vulkan1": 4 - n}) for n in (1, 3))
    assert here.devices[0].weights_bytes != there.devices[0].weights_bytes
    assert apart(here, there, 0) == 0


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
async def test_llama_cpp_and_the_formula_agree_about_a_repacked_model(
    planner: DryRunPlanner, tmp_path: Path, tied: bool
) -> None:
    model = with_vocabulary(Shape(4096, 8, 32, 8, 128, 12288, N_VOCAB, tied=tied), tmp_path / "model.gguf")
    plan = await planner.plan(model, inspect(model).info, TINY)
    assert plan.is_sure and plan.weights_bytes > 500 * MIB


@pytest.mark.parametrize(("model", "info"), [(DENSE, QWEN3_8B), (MOE, QWEN3_30B_A3B)], ids=["dense", "experts"])
async def test_a_plan_that_the_header_contradicts_is_marked_and_logged_once(
    planner: DryRunPlanner,
    engine: Engine,
    said: list[logging.LogRecord],
    model: Path,
    info: ModelInfo,
) -> None:
    """The file was replaced after its header was read."""
    plans = [await planner.plan(model, info, msgspec.structs.replace(TINY, n_ctx=n)) for n in (512, 1024)]
    assert all(plan.exact and not plan.is_sure for plan in plans)
    formula = estimate(info, msgspec.structs.replace(TINY, n_ctx=1024))
    assert plans[1].apart_bytes == formula.weights_bytes + formula.kv_bytes - plans[1].weights_bytes - plans[1].kv_bytes
    (record,) = said
    assert str(model) in record.getMessage() and "where the formula comes to" in record.getMessage()
    told = memory_lines("x", plans[1], await engine.load(model, TINY))
    assert any("By the file's header" in line for line in told)
