"""The planner: exact plans from a process of its own, and the formula's when that cannot give any."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE, TINY, until
from tests.engine.vulkan import require_vulkan
from tests.models.gguf_files import Shape, write
from tui.engines import plans as plan_client
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.engines.plans import MAX_DEATHS, MOST_CELLS, MOST_LAYERS, DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.models.info import ModelInfo
from tui.models.library import inspect
from tui.planning.formula import estimate
from tui.protocol.records import LoadSettings

MIB = 1 << 20


@pytest_asyncio.fixture
async def planner() -> AsyncIterator[DryRunPlanner]:
    planner = DryRunPlanner()
    yield planner
    await planner.close()


@pytest.fixture(scope="module")
def dense() -> ModelInfo:
    return inspect(DENSE).info


def is_there(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return True


def deadly(path: Path) -> Path:
    """A file over which llama.cpp fails an assertion."""
    return Shape().write(path, qwen3__rope__dimension_count=63)


@pytest.mark.parametrize("model", [DENSE, MOE], ids=lambda path: path.stem)
async def test_a_plan_is_what_the_engine_takes(planner: DryRunPlanner, engine: Engine, model: Path) -> None:
    plan = await planner.plan(model, inspect(model).info, TINY)
    assert plan.exact
    loaded = await engine.load(model, TINY)
    assert loaded.llama.footprint is not None
    (real,) = loaded.llama.footprint.placed
    assert plan.host.weights_bytes == real.weights_bytes
    assert plan.host.mapped_bytes == real.mapped_bytes
    assert plan.host.kv_bytes == real.kv_bytes
    assert plan.host.compute_bytes == real.compute_bytes + real.output_bytes
    assert plan.n_ctx == loaded.n_ctx


async def test_a_context_that_nobody_means_is_left_to_the_formula(planner: DryRunPlanner, dense: ModelInfo) -> None:
    most, more = (msgspec.structs.replace(TINY, n_ctx=n) for n in (MOST_CELLS, MOST_CELLS + 256))
    assert (await planner.plan(DENSE, dense, most)).exact
    assert await planner.plan(DENSE, dense, more) == estimate(dense, more)


async def test_the_formula_is_near_and_says_that_it_is_the_formula(planner: DryRunPlanner, dense: ModelInfo) -> None:
    formula, exact = estimate(dense, TINY), await planner.plan(DENSE, dense, TINY)
    assert exact.exact and not formula.exact
    assert formula.total_bytes == pytest.approx(exact.total_bytes, rel=0.2, abs=MIB)
    assert formula.host.read_bytes == exact.host.read_bytes


async def test_a_plan_names_each_device_of_the_settings(dense: ModelInfo) -> None:
    planner = DryRunPlanner(env=engine_environment(software=True))
    try:
        await planner.warm_up()
        async with LocalEngine(env=engine_environment(software=True)) as engine:
            assert engine.hello
            require_vulkan(tuple(device.name for device in engine.hello.devices))
        settings = msgspec.structs.replace(TINY, devices=("Vulkan0",), n_gpu_layers=2)
        plan = await planner.plan(DENSE, dense, settings, {"Vulkan0": 1 << 30})
        assert plan.exact and [cost.device for cost in plan.devices] == ["Vulkan0"]
        assert plan.devices[0].kv_bytes * 3 == plan.host.kv_bytes
    finally:
        await planner.close()


async def test_what_was_planned_is_remembered(planner: DryRunPlanner, dense: ModelInfo, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(DENSE.read_bytes())
    assert planner.known(path, TINY) is None
    plan = await planner.plan(path, dense, TINY)
    more_threads = msgspec.structs.replace(TINY, n_threads=4, seed=1, use_mlock=True, n_gpu_layers=3)
    assert planner.known(path, TINY) is planner.known(path, more_threads) is plan
    assert planner.known(path, msgspec.structs.replace(TINY, n_ctx=512)) is None
    os.utime(path, (1, 1))
    assert planner.known(path, TINY) is None


async def test_many_at_once_are_all_answered_and_the_cancelled_ones_hold_nobody_up(
    planner: DryRunPlanner, dense: ModelInfo
) -> None:
    tasks = [
        asyncio.create_task(planner.plan(DENSE, dense, LoadSettings(n_ctx=256 * n, n_threads=1))) for n in range(1, 17)
    ]
    await asyncio.sleep(0)
    for task in tasks[:-2]:
        task.cancel()
    done = await asyncio.gather(*tasks[-2:])
    assert [plan.n_ctx for plan in done] == [256 * 15, 256 * 16]
    assert all(plan.exact for plan in done)


async def test_a_process_that_nobody_waits_for_starts_all_the_same(planner: DryRunPlanner, dense: ModelInfo) -> None:
    task = asyncio.create_task(planner.plan(DENSE, dense, TINY))
    await until(lambda: planner.pid)
    pid = planner.pid
    task.cancel()
    assert (await planner.plan(DENSE, dense, TINY)).exact
    assert planner.pid == pid


async def test_a_process_that_was_killed_is_replaced(planner: DryRunPlanner, dense: ModelInfo) -> None:
    await planner.warm_up()
    pid = planner.pid
    os.kill(pid or 0, signal.SIGSTOP)
    waiting = asyncio.create_task(planner.plan(DENSE, dense, TINY))
    await asyncio.sleep(0)
    os.kill(pid or 0, signal.SIGKILL)
    assert not (await waiting).exact
    again = await planner.plan(DENSE, dense, TINY)
    assert again.exact
    assert planner.pid != pid


async def test_a_file_that_kills_the_process_is_planned_by_the_formula(
    planner: DryRunPlanner, dense: ModelInfo, tiny: Engine, tmp_path: Path
) -> None:
    path = deadly(tmp_path / "deadly.gguf")
    info = inspect(path).info
    for n in range(1, MAX_DEATHS + 3):
        settings = msgspec.structs.replace(TINY, n_ctx=512 * n)
        assert await planner.plan(path, info, settings) == estimate(info, settings)
    assert planner.pid is None, "it is not asked again about a file that it died of"
    assert (await planner.plan(DENSE, dense, TINY)).exact, "other files are none the worse"
    assert tiny.alive and tiny.loaded


async def test_what_llama_cpp_refuses_is_planned_by_the_formula(
    planner: DryRunPlanner, dense: ModelInfo, tmp_path: Path
) -> None:
    for path in (tmp_path / "gone.gguf", tmp_path / os.fsdecode(b"\xff.gguf")):
        for _ in range(2):
            assert await planner.plan(path, dense, TINY) == estimate(dense, TINY)


async def test_without_llama_cpp_the_formula_serves(dense: ModelInfo, tmp_path: Path) -> None:
    (tmp_path / "llama_cpp").mkdir()
    (tmp_path / "llama_cpp" / "__init__.py").write_text("raise ImportError('broken')")
    planner = DryRunPlanner(env={"PYTHONPATH": str(tmp_path)})
    try:
        for _ in range(MAX_DEATHS + 1):
            assert await planner.plan(DENSE, dense, TINY) == estimate(dense, TINY)
        await planner.warm_up()
        assert planner.pid is None
    finally:
        await planner.close()


async def test_an_idle_process_ends_and_another_takes_its_place(dense: ModelInfo) -> None:
    planner = DryRunPlanner(idle_s=0.01)
    try:
        await planner.plan(DENSE, dense, TINY)
        await until(lambda: planner.pid is None)
        assert (await planner.plan(DENSE, dense, msgspec.structs.replace(TINY, n_ctx=512))).exact
    finally:
        await planner.close()


async def test_closing_ends_the_process_whatever_it_does(dense: ModelInfo) -> None:
    starting = DryRunPlanner()
    warming = asyncio.create_task(starting.warm_up())
    await until(lambda: starting.pid)
    pid = starting.pid
    waiting = asyncio.create_task(starting.plan(DENSE, dense, TINY))
    await asyncio.sleep(0)
    await starting.close()
    await warming
    assert not (await waiting).exact
    assert not is_there(pid)
    assert await starting.plan(MOE, dense, TINY) == estimate(dense, TINY)
    assert starting.pid is None


async def test_closing_before_anything_was_asked_does_nothing() -> None:
    planner = DryRunPlanner()
    await planner.close()
    await planner.close()
    assert planner.pid is None


async def test_a_dry_run_that_does_not_end_is_given_up_with_its_process(
    planner: DryRunPlanner, dense: ModelInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(DENSE.read_bytes())
    await planner.warm_up()
    pid = planner.pid
    os.kill(pid or 0, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(plan_client, "DRY_RUN_S", 0.1)
        assert await planner.plan(path, dense, TINY) == estimate(dense, TINY)
    assert not is_there(pid)
    more = msgspec.structs.replace(TINY, n_ctx=512)
    assert await planner.plan(path, dense, more) == estimate(dense, more), "it is not asked about that file again"
    assert planner.pid is None
    assert (await planner.plan(DENSE, dense, TINY)).exact, "other files are none the worse"


async def test_more_layers_than_any_model_has_and_contexts_from_a_file_are_left_to_the_formula(
    planner: DryRunPlanner, tmp_path: Path
) -> None:
    for name, shape, more in (
        ("layers", Shape(n_layers=MOST_LAYERS + 1), {}),
        ("context", Shape(), {"qwen3.context_length": MOST_CELLS + 256}),
    ):
        path = write(tmp_path / f"{name}.gguf", shape.metadata() | more, shape.tensors())
        info, settings = inspect(path).info, LoadSettings(n_ctx=0, n_threads=1)
        assert await planner.plan(path, info, settings) == estimate(info, settings)
    assert planner.pid is None


def test_a_process_may_only_grow_by_so_much_while_it_works_for_a_stranger() -> None:
    program = """
        from tui.engine.memorylimit import growing_at_most

        with growing_at_most(64 << 20):
            try:
                bytearray(1 << 30)
            except MemoryError:
                print("held")
        print(len(bytearray(1 << 30)) >> 20)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["held", "1024"]
