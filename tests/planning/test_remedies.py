"""What the guardrail offers: every change really makes the load fit, and says with which number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.shapes import DEVICES, GIB, HEAD_80, MIB, QWEN3_8B, QWEN3_30B_A3B, TINY_DENSE, TINY_MOE, machine
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.now import MemoryNow
from tui.planning.remedies import Remedy, remedies
from tui.planning.search import auto_fit
from tui.planning.verdict import judge
from tui.planning.verdict_words import remedy_label, sentence


def offered(
    info: ModelInfo, asked: ChosenLoad, memory: MemoryNow, others: tuple[LibraryModel, ...] = ()
) -> dict[str, Remedy]:
    assert judge(info, asked, DEVICES, memory).fit != "fits"
    return {remedy.change: remedy for remedy in remedies(info, asked, DEVICES, memory, others)}


@pytest.mark.parametrize("info", [TINY_DENSE, TINY_MOE], ids=["dense", "mixture of experts"])
@given(host=st.integers(0, 12 * MIB), device=st.integers(0, 12 * MIB), n_ctx=st.sampled_from((512, 2048, 16384)))
@settings(deadline=None)
def test_every_change_that_is_offered_makes_the_load_fit(info: ModelInfo, host: int, device: int, n_ctx: int) -> None:
    memory = machine(host, device, reserve=MIB // 2)
    for remedy in remedies(info, ChosenLoad(n_ctx=n_ctx), DEVICES, memory):
        if not remedy.quant:
            assert judge(info, remedy.choice, DEVICES, memory) == remedy.verdict
        assert remedy.verdict.fit == "fits"


def test_a_dense_model_that_is_too_large_for_the_card_gets_fewer_layers_first() -> None:
    asked = ChosenLoad(n_ctx=16384)
    memory = machine(32 * GIB, 6 * GIB, reserve=GIB)
    found = remedies(QWEN3_8B, asked, DEVICES, memory)
    n_gpu_layers = found[0].verdict.plan.n_gpu_layers
    assert found[0].change == "layers"
    assert remedy_label(found[0]) == f"Fewer layers on the GPU: {n_gpu_layers} of 37"
    one_more = msgspec.structs.replace(asked, n_gpu_layers=n_gpu_layers + 1)
    assert judge(QWEN3_8B, one_more, DEVICES, memory).fit != "fits"


@pytest.mark.parametrize("n_ctx", [2048, 32768])
def test_a_cache_type_that_does_not_go_with_the_model_is_never_offered(n_ctx: int) -> None:
    asked = ChosenLoad(n_ctx=n_ctx)
    need = judge(HEAD_80, asked, DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0].total_bytes
    found = offered(HEAD_80, asked, machine(2 * GIB, need - MIB))
    assert found and "cache" not in found
    assert not any(judge(HEAD_80, remedy.choice, DEVICES, machine(GIB, GIB)).obstacle for remedy in found.values())


@pytest.mark.parametrize(
    "types", [{"type_k": "q8_0"}, {"type_v": "q4_0"}, {"type_k": "q8_0", "type_v": "q8_0"}], ids=str
)
def test_settings_that_do_not_go_with_the_model_are_mended_alone(types: dict[str, Any]) -> None:
    asked = ChosenLoad(**types)
    memory = machine(64 * GIB, 64 * GIB)
    verdict = judge(HEAD_80, asked, DEVICES, memory)
    assert verdict.fit == "no" and "head size of 80" in sentence(verdict)
    (remedy,) = remedies(HEAD_80, asked, DEVICES, memory)
    assert (remedy.change, remedy.choice) == ("cache", ChosenLoad())
    assert remedy_label(remedy) == "KV cache in f16"
    assert auto_fit(HEAD_80, asked, DEVICES, memory) is None


def test_where_the_mended_settings_do_not_fit_all_is_placed_anew() -> None:
    memory = machine(32 * GIB, 2 * GIB)
    (remedy,) = remedies(HEAD_80, ChosenLoad(type_k="q8_0"), DEVICES, memory)
    assert remedy.change == "fit" and remedy.choice.type_k == "f16" and remedy.verdict.fit == "fits"


def test_a_mixture_of_experts_gets_experts_on_the_cpu_first() -> None:
    memory = machine(32 * GIB, 10 * GIB, reserve=GIB)
    found = remedies(QWEN3_30B_A3B, ChosenLoad(), DEVICES, memory)
    assert found[0].change == "experts"
    assert remedy_label(found[0]) == f"Experts on the CPU: {found[0].choice.n_cpu_moe} layers"
    assert "layers" in {remedy.change for remedy in found}


def test_a_context_that_is_too_large_may_be_smaller_or_have_a_quantized_cache() -> None:
    asked = ChosenLoad(n_ctx=32768)
    need = judge(QWEN3_8B, asked, DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0]
    memory = machine(4 * GIB, need.total_bytes - GIB)
    found = offered(QWEN3_8B, asked, memory)
    assert remedy_label(found["context"]) == f"Smaller context: {found['context'].choice.n_ctx:,}"
    assert found["context"].choice.n_ctx < 32768
    assert (found["cache"].choice.type_k, found["cache"].choice.type_v) == ("q8_0", "q8_0")


def test_a_quantized_cache_is_not_offered_without_flash_attention_or_where_it_is_one_already() -> None:
    need = judge(QWEN3_8B, ChosenLoad(n_ctx=32768), DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0]
    memory = machine(4 * GIB, need.total_bytes // 2)
    for asked in (
        ChosenLoad(n_ctx=32768, flash_attn="off"),
        ChosenLoad(n_ctx=32768, type_k="q8_0", type_v="q4_0"),
    ):
        assert "cache" not in offered(QWEN3_8B, asked, memory)


def in_quant(info: ModelInfo, quant: str, factor: float, **changes: object) -> LibraryModel:
    """The same model in another quantization, in a file of its own."""
    layers = tuple(
        msgspec.structs.replace(layer, weights_bytes=int(layer.weights_bytes * factor)) for layer in info.layers
    )
    other = msgspec.structs.replace(
        info, quant=quant, layers=layers, weights_bytes=int(info.weights_bytes * factor), **changes
    )
    path = Path(f"/srv/{quant}.gguf")
    return LibraryModel(path=path, paths=(path,), info=other, source="folder")


def test_the_largest_smaller_file_of_the_same_model_is_offered() -> None:
    need = judge(QWEN3_8B, ChosenLoad(), DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0]
    memory = machine(GIB, need.total_bytes * 3 // 4)
    others = (
        in_quant(QWEN3_8B, "Q2_K", 0.4),
        in_quant(QWEN3_8B, "Q4_K_M", 0.6),
        in_quant(QWEN3_8B, "Q6_K", 0.9),
        in_quant(QWEN3_8B, "Q5_K_M", 0.7, name="Another model of that shape"),
    )
    found = offered(QWEN3_8B, ChosenLoad(), memory, others)
    assert found["file"].model == others[1]
    assert "quant" not in found


def test_without_such_a_file_the_quantization_to_look_for_is_named() -> None:
    need = judge(QWEN3_8B, ChosenLoad(), DEVICES, machine(64 * GIB, 64 * GIB)).plan.devices[0]
    found = offered(QWEN3_8B, ChosenLoad(), machine(GIB, need.total_bytes * 7 // 8))
    bits = 8 * found["quant"].verdict.plan.weights_bytes / QWEN3_8B.n_params
    assert found["quant"].quant and bits < 8 * QWEN3_8B.weights_bytes / QWEN3_8B.n_params


def test_nothing_is_offered_where_nothing_helps() -> None:
    assert remedies(QWEN3_30B_A3B, ChosenLoad(), DEVICES, machine(GIB, GIB)) == ()
