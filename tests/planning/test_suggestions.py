"""Models for who has none: sizes as they are published, and a verdict that goes with the memory of the machine."""

from __future__ import annotations

import pytest

from tests.planning.shapes import CPU, DEVICES, GIB, QWEN3_8B, QWEN3_30B_A3B, machine
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.now import MemoryNow
from tui.planning.suggestions import Suggestion, suggestions

ASKED = ChosenLoad(n_ctx=8192)


async def suggested(memory: MemoryNow, *, has_gpu: bool = True) -> dict[str, Suggestion]:
    found = await suggestions(DEVICES if has_gpu else (CPU,), memory, ASKED)
    return {one.info.name: one for one in found}


async def test_they_come_from_the_smallest_to_the_largest() -> None:
    found = list((await suggested(machine(64 * GIB, 24 * GIB))).values())
    sizes = [one.info.size_bytes for one in found]
    assert sizes == sorted(sizes) and len(found) >= 5


async def test_with_much_memory_all_fit_and_with_little_only_the_small_ones() -> None:
    assert all(one.permission.fit == "fits" for one in (await suggested(machine(64 * GIB, 48 * GIB))).values())
    small = await suggested(machine(4 * GIB), has_gpu=False)
    assert small["Qwen3-0.6B"].permission.fit == "fits" and small["Qwen3-30B-A3B"].permission.fit == "no"


async def test_what_does_not_fit_on_the_gpu_alone_is_split_between_both() -> None:
    found = (await suggested(machine(64 * GIB, 8 * GIB)))["Qwen3-30B-A3B"]
    assert found.permission.fit == "tight" and found.permission.outcome.fit == "fits"
    assert found.permission.outcome.plan.n_gpu_layers > 0


@pytest.mark.parametrize(("name", "real"), [("Qwen3-8B", QWEN3_8B), ("Qwen3-30B-A3B", QWEN3_30B_A3B)])
async def test_they_are_described_as_their_headers_would(name: str, real: ModelInfo) -> None:
    info = (await suggested(machine(GIB)))[name].info
    for field in ("n_layers", "n_embd", "n_head", "n_head_kv", "n_ff", "n_ff_expert", "n_expert", "n_vocab"):
        assert getattr(info, field) == getattr(real, field), field
    assert info.layers[0].k_width == real.layers[0].k_width
    assert info.n_params == pytest.approx(real.n_params, rel=0.01)
    assert info.n_params_active == pytest.approx(real.n_params_active, rel=0.03)
    share = real.layers[0].expert_bytes / real.layers[0].weights_bytes
    assert info.layers[0].expert_bytes / info.layers[0].weights_bytes == pytest.approx(share, abs=0.03)
