"""Searches that llama.cpp confirms: with the real dry run of the tiny models, on machines with as much memory as that
says they need, or one byte less."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE
from tests.planning.shapes import CPU, GIB, MIB, TINY_DENSE, machine
from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.models.library import inspect
from tui.planning.exact import Confirmed
from tui.planning.formula import MemoryPlan
from tui.planning.now import MemoryNow

ON_CPU = ChosenLoad(backend="cpu", n_ctx=2048, n_threads=1)


@pytest_asyncio.fixture
async def planner() -> AsyncIterator[DryRunPlanner]:
    planner = DryRunPlanner()
    yield planner
    await planner.close()


def confirmed(planner: DryRunPlanner, memory: MemoryNow, path: Path = DENSE) -> Confirmed:
    return Confirmed(planner, path, inspect(path).info, (CPU,), memory)


async def need(planner: DryRunPlanner, choice: ChosenLoad, path: Path = DENSE) -> int:
    """What llama.cpp takes for this load."""
    plan: MemoryPlan = await planner.plan(path, inspect(path).info, engine_settings(choice, (CPU,))[0])
    assert plan.exact
    return plan.total_bytes


async def test_what_fits_by_far_is_not_asked_about(planner: DryRunPlanner) -> None:
    verdict = await confirmed(planner, machine(8 * GIB)).judge(ON_CPU)
    assert verdict.fit == "fits" and not verdict.plan.exact
    assert planner.pid is None


@pytest.mark.parametrize("path", [DENSE, MOE], ids=["dense", "mixture of experts"])
async def test_near_the_limit_llama_cpp_decides_to_the_byte(planner: DryRunPlanner, path: Path) -> None:
    n_bytes = await need(planner, ON_CPU, path)
    enough = await confirmed(planner, machine(n_bytes), path).judge(ON_CPU)
    too_little = await confirmed(planner, machine(n_bytes - 1), path).judge(ON_CPU)
    assert enough.plan.exact and too_little.plan.exact
    assert (enough.fit, too_little.fit) == ("fits", "no")


async def test_what_many_sequences_take_is_asked_about(planner: DryRunPlanner) -> None:
    settings = msgspec.structs.replace(engine_settings(ON_CPU, (CPU,))[0], n_parallel=8)
    plan = await planner.plan(DENSE, TINY_DENSE, settings)
    assert plan.exact and plan.total_bytes != await need(planner, ON_CPU)
    for left_bytes, fit in ((0, "fits"), (-1, "no")):
        memory = machine(plan.total_bytes + left_bytes)
        verdict = await Confirmed(planner, DENSE, TINY_DENSE, (CPU,), memory, n_parallel=8).judge(ON_CPU)
        assert verdict.plan.exact and verdict.fit == fit


async def test_the_context_that_is_found_is_one_that_llama_cpp_has_room_for(planner: DryRunPlanner) -> None:
    asked = msgspec.structs.replace(ON_CPU, n_ctx=4096)
    memory = machine(await need(planner, ON_CPU))
    found = await confirmed(planner, memory).auto_fit(asked)
    assert found is not None and found.verdict.plan.exact
    assert found.choice == ON_CPU and found.is_cut
    less = machine(await need(planner, ON_CPU) - 1)
    smaller = await confirmed(planner, less).auto_fit(asked)
    assert smaller is not None and smaller.verdict.plan.exact and smaller.choice.n_ctx == 1024


async def test_the_changes_that_are_proposed_are_confirmed(planner: DryRunPlanner) -> None:
    asked = msgspec.structs.replace(ON_CPU, n_ctx=4096)
    memory = machine(await need(planner, ON_CPU))
    found = {remedy.change: remedy for remedy in await confirmed(planner, memory).remedies(asked)}
    assert found["context"].choice.n_ctx == 2048
    assert all(remedy.verdict.plan.exact for remedy in found.values() if not remedy.quant)


async def test_a_file_that_llama_cpp_cannot_plan_is_judged_by_the_formula(
    planner: DryRunPlanner, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and no more")
    memory = machine(6 << 20)
    asked = msgspec.structs.replace(ON_CPU, n_ctx=65536)
    judged = Confirmed(planner, broken, TINY_DENSE, (CPU,), memory)
    assert (await judged.judge(asked)).fit == "no"
    found = await judged.auto_fit(asked)
    assert found is not None and not found.verdict.plan.exact and found.verdict.fit == "fits"


@pytest.mark.parametrize("path", [DENSE, MOE], ids=["dense", "mixture of experts"])
async def test_what_is_found_for_a_gpu_is_loaded_there_and_takes_no_more_than_there_is(path: Path) -> None:
    environment = engine_environment(software=True)
    planner = DryRunPlanner(env=environment)
    async with LocalEngine(env=environment) as engine:
        devices = (await engine.start()).devices
        if "Vulkan0" not in {device.name for device in devices}:
            pytest.skip("this build and machine have no Vulkan device, not even one in software")
        info, asked = inspect(path).info, ChosenLoad(backend="Vulkan0", n_ctx=1024, n_threads=1)
        settings, _ = engine_settings(asked, devices)
        whole = (await planner.plan(path, info, settings)).devices[0].total_bytes
        memory = machine(GIB, whole - 1)
        found = await Confirmed(planner, path, info, devices, memory).auto_fit(asked)
        await planner.close()
        assert found is not None and found.verdict.plan.exact and not found.is_cut
        assert 0 < found.verdict.plan.devices[0].total_bytes < whole
        assert (found.choice.n_cpu_moe > 0) == info.is_moe, "experts go before layers"
        loaded = await engine.load(path, engine_settings(found.choice, devices)[0])
    taken = sum(buffer.n_bytes for buffer in loaded.llama.buffers if buffer.device == "Vulkan0")
    assert loaded.llama.devices == ("Vulkan0",)
    # The log gives MiB with two digits.
    assert taken == pytest.approx(found.verdict.plan.devices[0].total_bytes, abs=0.05 * MIB)
    assert taken < whole
