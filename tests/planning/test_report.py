"""Planned beside actual, also where llama.cpp's books or the system tell less."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from tests.conftest import DENSE, TINY
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.loads import but
from tests.models.gguf_files import Shape
from tui.app.memory_report import memory_lines
from tui.engines.interface import Engine
from tui.engines.plans import DryRunPlanner
from tui.models.library import inspect
from tui.planning.formula import estimate
from tui.planning.report import FILES, PRIVATE, SYSTEM, report
from tui.protocol.records import Buffer, Footprint, ProcessMemory

MIB = 1 << 20


async def test_an_exact_plan_differs_by_nothing_from_the_books(engine: Engine, tmp_path: Path) -> None:
    model = with_vocabulary(Shape(n_vocab=N_VOCAB, tied=True), tmp_path / "model.gguf")
    planner = DryRunPlanner()
    try:
        plan = await planner.plan(model, inspect(model).info, TINY)
    finally:
        await planner.close()
    lines = report(plan, await engine.load(model, TINY))
    in_ram = [line for line in lines if line.place == "RAM"]
    assert len(in_ram) >= 3
    assert all(line.difference_bytes == 0 for line in in_ram)
    assert sum(line.actual_bytes for line in in_ram) == plan.total_bytes - plan.host.other_bytes


async def test_without_the_books_the_log_tells_and_without_proc_nothing_is_said_of_the_process(engine: Engine) -> None:
    # Of a mapped file, the log counts what lies between two tensors that are used as they are; AMX takes some out.
    loaded = await engine.load(DENSE, msgspec.structs.replace(TINY, repack="off"))
    plan = estimate(inspect(DENSE).info, TINY)
    assert loaded.llama.footprint is not None
    by_books = {line.purpose: line.actual_bytes for line in report(plan, loaded)}
    bookless = but(loaded, footprint=msgspec.structs.replace(loaded.llama.footprint, placed=()))
    for purpose, n_bytes in {line.purpose: line.actual_bytes for line in report(plan, bookless)}.items():
        assert n_bytes == pytest.approx(by_books[purpose], abs=MIB // 50)
    blind = but(loaded, footprint=None)
    assert not any(line.place == SYSTEM for line in report(plan, blind))
    assert "This system does not report how much memory the engine's process takes." in memory_lines("x", plan, blind)


async def test_on_a_narrow_terminal_the_figures_stand_below_their_names(tiny: Engine) -> None:
    plan = estimate(inspect(DENSE).info, TINY)
    assert tiny.loaded
    wide, narrow = memory_lines("x", plan, tiny.loaded), memory_lines("x", plan, tiny.loaded, width=36)
    *table, _ = narrow
    assert max(map(len, table)) == 36
    [kv] = [line for line in wide if line.startswith("  KV cache")]
    assert narrow[narrow.index("  KV cache") + 1].split() == kv.removeprefix("  KV cache").split()


async def test_the_log_of_a_load_on_a_device_is_told_apart_by_place(tiny: Engine) -> None:
    info, settings = inspect(DENSE).info, msgspec.structs.replace(TINY, devices=("Vulkan0",))
    buffers: list[tuple[str, Literal["weights", "kv", "compute", "output"], int]] = [
        ("CPU_Mapped", "weights", 5), ("CPU_REPACK", "weights", 7), ("Vulkan0", "weights", 11),
        ("Vulkan0", "kv", 13), ("Vulkan_Host", "compute", 17), ("Vulkan0", "compute", 19), ("Vulkan_Host", "output", 1),
    ]  # fmt: skip
    idle = ProcessMemory(resident_bytes=0, file_bytes=0)
    busy = ProcessMemory(resident_bytes=3 * MIB, file_bytes=MIB)
    assert tiny.loaded
    loaded = but(
        tiny.loaded,
        devices=("Vulkan0",),
        buffers=tuple(Buffer(device=d, purpose=p, n_bytes=n * MIB) for d, p, n in buffers),
        footprint=Footprint(
            before=idle,
            after=busy,
            device_free_before={"Vulkan0": 90 * MIB},
            device_free_after={"Vulkan0": 40 * MIB},
        ),
    )
    found = {(line.place, line.purpose): line.actual_bytes // MIB for line in report(estimate(info, settings), loaded)}
    assert found == {
        ("RAM", "weights, as they are in the file"): 5,
        ("RAM", "weights, repacked for the CPU"): 7,
        ("RAM", "compute buffers, logits"): 18,
        ("Vulkan0", "weights"): 11,
        ("Vulkan0", "KV cache"): 13,
        ("Vulkan0", "compute buffers, logits"): 19,
        (SYSTEM, PRIVATE): 3,
        (SYSTEM, FILES): 1,
        (SYSTEM, "Vulkan0, no longer free"): 50,
    }
