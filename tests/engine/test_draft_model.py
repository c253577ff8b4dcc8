"""A draft model beside the large one: the answers are the same, what it takes is planned to the byte, and one that does
not go with the model is refused before anything is freed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, user
from tests.engine.memory_models import build
from tests.engine.vulkan import vulkan_engine
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.machine.vulkan import engine_environment
from tui.models.library import inspect
from tui.planning.formula import estimate
from tui.protocol.bench_messages import MeasureSteps
from tui.protocol.messages import DryRun
from tui.protocol.records import LoadSettings, Placed

CASES = ("conversation", "thinking_budget", "overflow", "stopped")
needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="the token loop needs a C compiler: build-essential"
)
WITH_DRAFT = msgspec.structs.replace(TINY, model_draft=str(MOE))


def answers(model: Path, *more: object) -> dict[str, Any]:
    """Of the check program: what was said in each case, and tokens drafted and accepted."""
    command = [sys.executable, "-m", "tests.engine.drafted_answers_check", str(model), *map(str, more)]
    environment = {**os.environ, **engine_environment(software=True)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@needs_compiler
def test_answers_are_the_same_with_a_draft_model_and_without() -> None:
    """Also where they are cut off, left out, stopped, gone on with in another context, or go back."""
    told = answers(DENSE, MOE)
    for case in CASES:
        said, *none = told[f"{case} plain"]
        assert said and none == [0, 0]
        for way in ("repeats", "draft model"):
            same, n_drafted, n_accepted = told[f"{case} {way}"]
            assert same == said, (case, way)
            assert n_drafted >= n_accepted > 0, (case, way)
    # One that fails is told once, and costs no answer.
    assert told["failing plain"][1] == 0 and told["failing draft model"] == [told["failing plain"][0], 1]


@needs_compiler
def test_answers_of_a_model_with_states_are_the_same_with_drafts(tmp_path: Path) -> None:
    told = answers(build(tmp_path / "model.gguf", "hybrid"))
    for case in CASES:
        assert told[f"{case} repeats"][0] == told[f"{case} plain"][0], case
    assert told["conversation repeats"][1] > 0


async def test_a_model_with_states_loads_with_batches_that_are_too_small_for_drafts(tmp_path: Path) -> None:
    """llama.cpp would end the process."""
    model = build(tmp_path / "model.gguf", "hybrid")
    async with LocalEngine() as engine:
        for n_ubatch, n_drafts in ((5, 3), (4, 0)):
            loaded = await engine.load(model, LoadSettings(n_ctx=256, n_threads=1, n_ubatch=n_ubatch))
            costs = (await engine.ask(MeasureSteps())).costs
            assert loaded.llama.n_drafts == n_drafts == max(0, len(costs) - 1)


@needs_compiler
async def test_answers_on_vulkan_are_the_same_with_a_draft_model_and_without() -> None:
    async with vulkan_engine():
        pass  # skips where there is none
    told = answers(DENSE, MOE, "Vulkan0")
    assert told["short draft model"][0] == told["short plain"][0]
    assert told["short draft model"][1] > 0


def by_device(placed: tuple[Placed, ...]) -> dict[str, Placed]:
    return {place.device: place for place in placed}


async def test_what_it_takes_is_planned_and_told() -> None:
    async with LocalEngine() as engine:
        alone = await engine.load(DENSE, TINY)
        loaded = await engine.load(DENSE, WITH_DRAFT)
        planned = await engine.ask(DryRun(path=str(DENSE), settings=WITH_DRAFT))
    assert (alone.llama.draft, loaded.llama.draft) == ("", str(MOE))
    assert alone.llama.footprint and loaded.llama.footprint
    took, without = by_device(loaded.llama.footprint.placed)["CPU"], by_device(alone.llama.footprint.placed)["CPU"]
    assert by_device(planned.placed)["CPU"] == took
    assert planned.n_ctx == loaded.n_ctx == TINY.n_ctx
    for purpose in ("weights_bytes", "kv_bytes", "compute_bytes", "output_bytes"):
        assert getattr(took, purpose) > getattr(without, purpose), purpose
    info = inspect(DENSE).info
    formula, less = estimate(info, WITH_DRAFT), estimate(info, TINY)
    assert formula.draft_bytes == formula.total_bytes - less.total_bytes > 0
    assert formula.kv_bytes == took.kv_bytes
    # What is repacked may take more than in the file: `crosscheck` says why.
    more = took.weights_bytes - formula.weights_bytes
    assert -0.01 * took.weights_bytes < more < 0.01 * took.weights_bytes + took.repacked_bytes / 8


@pytest.mark.parametrize(("kind", "keeps"), [("hybrid", True), ("convolution", True), ("recurrent", False)])
async def test_snapshots_of_states_are_planned_to_the_byte(kind: str, keeps: bool, tmp_path: Path) -> None:
    model = build(tmp_path / "model.gguf", kind)
    off = msgspec.structs.replace(TINY, speculative="off")
    async with LocalEngine() as engine:
        planned = [await engine.ask(DryRun(path=str(model), settings=settings)) for settings in (TINY, off)]
    kv = [by_device(plan.placed)["CPU"].kv_bytes for plan in planned]
    assert kv == [estimate(inspect(model).info, settings).kv_bytes for settings in (TINY, off)]
    assert (kv[0] > kv[1]) == keeps


@pytest.mark.parametrize("settings", [{"speculative": "off"}, {"n_parallel": 2}], ids=["off", "several users"])
def test_none_is_planned_where_nothing_is_guessed(settings: dict[str, Any]) -> None:
    info, settled = inspect(DENSE).info, msgspec.structs.replace(WITH_DRAFT, **settings)
    assert estimate(info, settled) == estimate(info, msgspec.structs.replace(settled, model_draft="off"))


@pytest.mark.parametrize("n_batch", [512, 8], ids=["usual batches", "smaller ones than drafts"])
async def test_what_a_guess_costs_is_measured_with_the_steps(n_batch: int) -> None:
    async with LocalEngine() as engine:
        await engine.load(DENSE, msgspec.structs.replace(WITH_DRAFT, n_batch=n_batch, n_ubatch=n_batch))
        plain = await ask(engine, user("Show a table"), max_tokens=40)
        costs = (await engine.ask(MeasureSteps())).costs
        drafted = await ask(engine, user("Show a table"), max_tokens=40, step_costs=costs)
    assert 1 < len(costs) <= n_batch
    assert (drafted.thinking, drafted.text) == (plain.thinking, plain.text)


async def test_it_computes_with_the_threads_of_the_large_model_where_these_are_placed() -> None:
    async with LocalEngine() as engine:
        told = []
        for settings in (msgspec.structs.replace(WITH_DRAFT, poll=50), TINY):
            await engine.load(DENSE, settings)
            costs = (await engine.ask(MeasureSteps())).costs
            reply = await ask(engine, user("Show a table"), max_tokens=40, step_costs=costs)
            told.append((reply.thinking, reply.text))
    assert told[0] == told[1]


async def refused(engine: Engine, draft: Path) -> str:
    """What is said of a load with this draft model."""
    with pytest.raises(EngineError) as failed:
        await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1, model_draft=str(draft)))
    assert failed.value.info.kind == "bad_settings"
    return failed.value.info.text


async def test_one_that_does_not_go_with_the_model_is_refused_and_what_is_loaded_stays(
    tiny: Engine, tmp_path: Path
) -> None:
    other = build(tmp_path / "other.gguf", "dense")
    assert "other.gguf has another vocabulary" in await refused(tiny, other)
    recurrent = build(tmp_path / "mamba.gguf", "recurrent")
    assert "cannot be rolled back" in await refused(tiny, recurrent)
    assert "There is no draft model at" in await refused(tiny, tmp_path / "nothing.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert "broken.gguf cannot be a draft model" in await refused(tiny, tmp_path / "broken.gguf")
    assert tiny.loaded is not None and tiny.loaded.path == str(DENSE)
    assert (await ask(tiny, user("Show a table"), max_tokens=5)).text is not None
