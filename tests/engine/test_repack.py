"""Weights in an order of the CPU's own: as the settings say, as the plan foretells, and without a change to what is
answered. Whether a CPU repacks at all, and into what, is its own business: what llama.cpp did is asked of the load."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.loads import but
from tests.models.gguf_files import Shape
from tui.engines.interface import Engine
from tui.engines.plans import DryRunPlanner
from tui.models.library import inspect
from tui.planning.formula import estimate
from tui.planning.taken import taken
from tui.protocol import loadlog
from tui.protocol.records import LoadSettings, Repack, repacked

QUESTION = user("用Python写冒泡排序")


def with_repack(repack: Repack, settings: LoadSettings = TINY) -> LoadSettings:
    return msgspec.structs.replace(settings, repack=repack)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """In a quantization that most CPUs repack, and with a tied output layer, which may then be there twice."""
    return with_vocabulary(Shape(n_vocab=N_VOCAB, tied=True), tmp_path / "model.gguf")


@pytest.mark.asyncio(loop_scope="module")
async def test_switched_off_every_weight_is_used_as_it_lies_in_the_file(shared: Engine, model: Path) -> None:
    loaded = await shared.load(model, with_repack("off"))
    host = taken(loaded, loaded.llama.devices)["CPU"]
    assert loaded.llama.repacked == () and host.repacked_bytes == 0
    assert host.mapped_bytes == host.weights_bytes == estimate(inspect(model).info, TINY).weights_bytes


@pytest.mark.asyncio(loop_scope="module")
async def test_switched_on_it_is_what_llama_cpp_does_by_itself_and_the_load_says_what_came_of_it(
    shared: Engine, model: Path
) -> None:
    on, auto = await shared.load(model, with_repack("on")), await shared.load(model, with_repack("auto"))
    assert on.llama.repacked == auto.llama.repacked
    assert on.llama.footprint and auto.llama.footprint
    assert on.llama.footprint.placed == auto.llama.footprint.placed
    host = taken(on, on.llama.devices)["CPU"]
    assert bool(on.llama.repacked) == (host.repacked_bytes > 0)
    # llama.cpp's log, which serves where its books cannot be read, and the books tell the same, but for rounding.
    by_the_log = but(on, footprint=None)
    assert taken(by_the_log, ())["CPU"].repacked_bytes == pytest.approx(host.repacked_bytes, abs=20_000)


@pytest.mark.parametrize("repack", ["on", "off"])
@pytest.mark.parametrize("use_mmap", [True, False], ids=["mapped", "read"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_plan_knows_what_the_load_will_take(
    shared: Engine, model: Path, repack: Repack, use_mmap: bool
) -> None:
    settings = with_repack(repack, msgspec.structs.replace(TINY, use_mmap=use_mmap))
    planner = DryRunPlanner()
    try:
        plan = await planner.plan(model, inspect(model).info, settings)
    finally:
        await planner.close()
    host = taken(await shared.load(model, settings), ())["CPU"]
    assert plan.is_sure
    assert (plan.host.weights_bytes, plan.host.mapped_bytes, plan.host.repacked_bytes, plan.host.kv_bytes) == (
        host.weights_bytes,
        host.mapped_bytes,
        host.repacked_bytes,
        host.kv_bytes,
    )


async def test_left_to_llama_cpp_it_is_planned_once(model: Path) -> None:
    planner = DryRunPlanner()
    try:
        plan = await planner.plan(model, inspect(model).info, with_repack("auto"))
        assert planner.known(model, with_repack("on")) is plan
        assert planner.known(model, with_repack("off")) is None
    finally:
        await planner.close()


@pytest.mark.parametrize("model_file", [DENSE, MOE], ids=lambda path: path.stem)
@pytest.mark.parametrize("way", [("on", "off"), ("off", "on")], ids=" to ".join)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_conversation_goes_along_when_it_is_changed(
    shared: Engine, model_file: Path, way: tuple[Repack, ...]
) -> None:
    before, after = way
    await shared.load(model_file, with_repack(before))
    first = await ask(shared, QUESTION, thinking=False)
    loaded = await shared.load(model_file, with_repack(after), keep_context=True)
    assert (loaded.n_kept, loaded.n_lost) == (first.done.n_used, 0)
    again = await ask(shared, QUESTION, thinking=False)
    assert again.text == first.text


@pytest.mark.parametrize(
    ("kind", "is_repacked"),
    [("CPU_REPACK", True), ("AMX", True), ("CPU_KLEIDIAI", True), ("CPU_RISCV64_SPACEMIT", True), ("CPU", False)]
    + [(kind, False) for kind in ("CPU_Mapped", "Vulkan0", "Vulkan_Host", "CUDA0", "BLAS")],
)
def test_kinds_of_memory_are_told_apart_by_their_names(kind: str, is_repacked: bool) -> None:
    lines = [f"load_tensors: {kind:>12} model buffer size =   100.00 MiB"]
    assert repacked(loadlog.buffers(lines)) == ((kind,) if is_repacked else ())


def test_only_the_last_load_in_a_log_counts() -> None:
    begin = "llama_model_loader: loaded meta data with 27 key-value pairs"
    amx, plain = (f"load_tensors: {kind:>12} model buffer size =   100.00 MiB" for kind in ("AMX", "CPU_Mapped"))
    assert loadlog.of_last_load([begin, amx, begin, plain]) == [begin, plain]
    assert loadlog.of_last_load([amx]) == [amx]
