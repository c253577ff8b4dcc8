"""The guardrail of `llmtui --bench`: what it refuses and proposes, from outside with the real engine, and on machines
of invented size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE
from tests.models.gguf_files import write_recurrent
from tests.planning.shapes import CPU, DEVICES, GIB, MIB, QWEN3_8B, QWEN3_30B_A3B, machine
from tests.running import llmtui
from tui.base.exit_codes import ExitCode
from tui.base.format import size
from tui.bench.guard import TooLittleMemory, settle
from tui.config.load import engine_settings
from tui.config.options import BenchOptions
from tui.config.settings import ChosenLoad
from tui.measure.bench_plan import BenchJob, plan_tests
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel, inspect
from tui.planning.formula import estimate
from tui.planning.now import MemoryNow
from tui.planning.verdict import judge
from tui.protocol.records import Device

SHORT = ("-p", "16", "-n", "0", "-r", "1", "-t", "1", "--backend", "cpu")


@pytest.fixture
def greedy_reserve(tmp_path: Path) -> Path:
    """Settings that want more memory left than any machine has."""
    file = tmp_path / "own.toml"
    file.write_text("[memory]\nreserve_gib = 60000.0\n")
    return file


def test_a_load_that_leaves_too_little_is_refused_before_anything_is_loaded(greedy_reserve: Path) -> None:
    done = llmtui("--bench", DENSE, *SHORT, "--settings", greedy_reserve, "--json")
    assert done.returncode == ExitCode.MODEL and done.stdout == ""
    assert f"free in RAM, where {size(60000 * GIB)} should stay" in done.stderr
    assert "No option makes it fit. --force measures it anyway." in done.stderr


def test_force_measures_all_the_same(greedy_reserve: Path) -> None:
    done = llmtui("--bench", DENSE, *SHORT, "--settings", greedy_reserve, "--json", "--force")
    assert done.returncode == ExitCode.FINE
    assert len(json.loads(done.stdout)) == 1


def test_fit_is_taken_where_there_is_room() -> None:
    done = llmtui("--bench", DENSE, *SHORT, "--fit", "--json")
    assert done.returncode == ExitCode.FINE, done.stderr


TESTS = plan_tests([600], [128])


def job_of(info: ModelInfo, choice: ChosenLoad, devices: tuple[Device, ...] = DEVICES) -> BenchJob:
    model = LibraryModel(path=DENSE, paths=(DENSE,), info=info, source="folder")
    return BenchJob(model=model, settings=engine_settings(choice, devices)[0])


async def refusal(info: ModelInfo, choice: ChosenLoad, memory: MemoryNow) -> str:
    with pytest.raises(TooLittleMemory) as refused:
        await settle(BenchOptions(), job_of(info, choice), TESTS, DEVICES, memory)
    return str(refused.value)


async def test_many_users_are_refused_where_there_is_room_for_one(tmp_path: Path) -> None:
    info = inspect(write_recurrent(tmp_path / "model.gguf", n_layers=16)).info
    one = job_of(info, ChosenLoad(n_ctx=64 * 256, backend="cpu"))
    many = msgspec.structs.replace(one, settings=msgspec.structs.replace(one.settings, n_parallel=64))
    memory = machine(estimate(info, one.settings).total_bytes)
    assert await settle(BenchOptions(), one, TESTS, DEVICES, memory) == one
    with pytest.raises(TooLittleMemory, match="too much for RAM"):
        await settle(BenchOptions(), many, TESTS, DEVICES, memory)
    fitted = await settle(BenchOptions(fit=True), many, TESTS, DEVICES, machine(GIB))
    assert fitted.settings.n_parallel == 64


async def test_the_options_that_are_proposed_make_it_fit() -> None:
    memory = machine(24 * GIB, 10 * GIB, reserve=GIB)
    text = await refusal(QWEN3_30B_A3B, ChosenLoad(), memory)
    assert "too much for Vulkan0" in text
    n_cpu_moe = re.search(r"--n-cpu-moe (\d+)", text)
    n_gpu_layers = re.search(r"--ngl (\d+)", text)
    assert n_cpu_moe and n_gpu_layers
    for choice in (ChosenLoad(n_cpu_moe=int(n_cpu_moe[1])), ChosenLoad(n_gpu_layers=int(n_gpu_layers[1]))):
        job = job_of(QWEN3_30B_A3B, choice)
        assert await settle(BenchOptions(), job, TESTS, DEVICES, memory) == job


async def test_a_context_is_proposed_only_if_the_tests_have_room_in_it() -> None:
    asked = ChosenLoad(n_ctx=32768)
    need = judge(QWEN3_8B, asked, DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0].total_bytes
    assert re.search(r"--ctx \d+", await refusal(QWEN3_8B, asked, machine(4 * GIB, need - GIB)))
    smallest = judge(QWEN3_8B, ChosenLoad(n_ctx=512), DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0]
    tests_only = msgspec.structs.replace(asked, n_ctx=1024)
    text = await refusal(QWEN3_8B, tests_only, machine(4 * GIB, smallest.total_bytes + MIB))
    assert "--ctx" not in text


async def test_fit_places_layers_and_experts_and_leaves_the_context() -> None:
    memory = machine(24 * GIB, 10 * GIB, reserve=GIB)
    asked = job_of(QWEN3_30B_A3B, ChosenLoad(n_ctx=768, n_gpu_layers=0))
    fitted = await settle(BenchOptions(fit=True), asked, TESTS, DEVICES, memory)
    assert fitted.settings.n_gpu_layers == -1 and fitted.settings.n_cpu_moe > 0
    assert fitted.settings.n_ctx == 768


async def test_fit_is_refused_too_where_nothing_fits() -> None:
    job = job_of(QWEN3_30B_A3B, ChosenLoad(n_ctx=768), (CPU,))
    with pytest.raises(TooLittleMemory, match="No option makes it fit"):
        await settle(BenchOptions(fit=True), job, TESTS, (CPU,), machine(4 * GIB))
