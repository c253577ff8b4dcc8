"""The search for the fastest load that fits: against trying everything, and by what each kind of model should get."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.shapes import ASKED, CPU, DEVICES, GIB, MIB, QWEN3_8B, QWEN3_30B_A3B, TINY_DENSE, TINY_MOE, machine
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.now import MemoryNow
from tui.planning.search import auto_fit, context_steps, fastest, fewest_experts, largest_context, most_layers
from tui.planning.verdict import judge

ROOM = st.integers(0, 12 * MIB)


@st.composite
def machines(draw: st.DrawFn) -> MemoryNow:
    """A host and a device that the tiny models just fit into, or not; the device's memory its own, or in part the
    host's."""
    host, own = draw(ROOM), draw(ROOM)
    shared = draw(st.none() | st.integers(0, host))
    return machine(host, own + (shared or 0), shared=shared, reserve=draw(st.sampled_from((0, MIB))))


def everything(info: ModelInfo, asked: ChosenLoad) -> list[ChosenLoad]:
    """All placements of layers and experts."""
    experts = range(info.n_layers + 1) if info.is_moe else (0,)
    return [
        msgspec.structs.replace(asked, n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe)
        for n_gpu_layers in range(info.n_layers + 2)
        for n_cpu_moe in experts
    ]


@pytest.mark.parametrize("info", [TINY_DENSE, TINY_MOE], ids=["dense", "mixture of experts"])
@given(memory=machines())
@settings(deadline=None)
def test_the_fastest_of_all_placements_that_fit_is_found_whenever_one_does(info: ModelInfo, memory: MemoryNow) -> None:
    verdicts = [judge(info, choice, DEVICES, memory) for choice in everything(info, ASKED)]
    fitting = [verdict for verdict in verdicts if verdict.fit == "fits"]
    found = fastest(info, ASKED, DEVICES, memory)
    assert (found is not None) == bool(fitting)
    if found is not None:
        assert found.verdict == judge(info, found.choice, DEVICES, memory)
        assert found.verdict.fit == "fits"
        assert found.verdict.plan.host.read_bytes == min(verdict.plan.host.read_bytes for verdict in fitting)


@given(memory=machines())
@settings(deadline=None)
def test_of_a_dense_model_no_more_layers_would_fit(memory: MemoryNow) -> None:
    found = fastest(TINY_DENSE, ASKED, DEVICES, memory)
    if found is not None:
        n = found.verdict.plan.n_gpu_layers
        for more in range(n + 1, TINY_DENSE.n_layers + 2):
            asked = msgspec.structs.replace(ASKED, n_gpu_layers=more)
            assert judge(TINY_DENSE, asked, DEVICES, memory).fit != "fits"


@pytest.mark.parametrize("info", [TINY_DENSE, TINY_MOE], ids=["dense", "mixture of experts"])
@given(memory=machines(), n_ctx=st.integers(256, 65536))
@settings(deadline=None, max_examples=40)
def test_the_context_is_cut_only_where_nothing_fits_with_what_was_asked_for(
    info: ModelInfo, memory: MemoryNow, n_ctx: int
) -> None:
    asked = ChosenLoad(n_ctx=n_ctx)
    found = auto_fit(info, asked, DEVICES, memory, worst="fits")
    whole = fastest(info, asked, DEVICES, memory)
    if whole is not None:
        assert found == whole and not found.is_cut
    elif found is not None:
        assert found.is_cut and found.choice.n_ctx < n_ctx and found.verdict.fit == "fits"
        next_step = min((step for step in context_steps(n_ctx) if step > found.choice.n_ctx), default=n_ctx)
        larger = msgspec.structs.replace(asked, n_ctx=next_step)
        assert fastest(info, larger, DEVICES, memory) is None


def test_all_layers_go_to_a_device_with_room_for_them() -> None:
    found = auto_fit(QWEN3_8B, ChosenLoad(n_gpu_layers=3), DEVICES, machine(24 * GIB, 24 * GIB, reserve=GIB))
    assert found is not None
    assert (found.choice.n_gpu_layers, found.choice.n_cpu_moe, found.is_cut) == (-1, 0, False)


def test_a_mixture_of_experts_keeps_attention_on_the_device_and_moves_only_experts() -> None:
    memory = machine(24 * GIB, 8 * GIB, reserve=GIB)
    found = auto_fit(QWEN3_30B_A3B, ChosenLoad(), DEVICES, memory)
    assert found is not None and found.verdict.fit == "fits"
    assert found.choice.n_gpu_layers == -1 and 0 < found.choice.n_cpu_moe < QWEN3_30B_A3B.n_layers
    fewer = msgspec.structs.replace(found.choice, n_cpu_moe=found.choice.n_cpu_moe - 1)
    assert judge(QWEN3_30B_A3B, fewer, DEVICES, memory).fit != "fits"
    layers_only = most_layers(QWEN3_30B_A3B, ChosenLoad(), DEVICES, memory)
    assert layers_only is not None
    assert found.verdict.plan.host.read_bytes < layers_only.verdict.plan.host.read_bytes


def test_with_too_little_room_for_all_attention_some_layers_stay_on_the_host_whole() -> None:
    memory = machine(24 * GIB, 900 * MIB, reserve=0)
    found = auto_fit(QWEN3_30B_A3B, ChosenLoad(n_ctx=4096), DEVICES, memory)
    assert found is not None and found.verdict.fit == "fits"
    assert 0 < found.choice.n_gpu_layers <= QWEN3_30B_A3B.n_layers and found.choice.n_cpu_moe


def test_on_the_cpu_alone_only_the_context_can_give_way() -> None:
    asked = ChosenLoad(backend="cpu", n_ctx=40960)
    found = auto_fit(QWEN3_8B, asked, (CPU,), machine(10 * GIB, reserve=GIB))
    assert found is not None and found.is_cut
    assert found.choice == msgspec.structs.replace(asked, n_ctx=found.choice.n_ctx)


def test_what_leaves_no_reserve_is_taken_only_where_nothing_better_is_and_only_when_allowed() -> None:
    smallest = judge(QWEN3_8B, ChosenLoad(backend="cpu", n_ctx=512), (CPU,), machine(64 * GIB))
    memory = machine(smallest.plan.total_bytes + GIB // 2, reserve=GIB)
    asked = ChosenLoad(backend="cpu", n_ctx=512)
    tight = auto_fit(QWEN3_8B, asked, (CPU,), memory)
    assert tight is not None and tight.verdict.fit == "tight"
    assert auto_fit(QWEN3_8B, asked, (CPU,), memory, worst="fits") is None


def test_nothing_is_found_where_nothing_fits() -> None:
    assert auto_fit(QWEN3_30B_A3B, ChosenLoad(), DEVICES, machine(4 * GIB, 2 * GIB)) is None


@given(memory=machines())
@settings(deadline=None)
def test_one_change_alone_fits_goes_just_far_enough_and_leaves_the_rest(memory: MemoryNow) -> None:
    asked = ChosenLoad(n_ctx=4096)
    if layers := most_layers(TINY_MOE, asked, DEVICES, memory):
        assert layers.verdict.fit == "fits"
        assert layers.choice == msgspec.structs.replace(asked, n_gpu_layers=layers.choice.n_gpu_layers)
    if experts := fewest_experts(TINY_MOE, asked, DEVICES, memory):
        assert experts.verdict.fit == "fits"
        assert experts.choice == msgspec.structs.replace(asked, n_cpu_moe=experts.choice.n_cpu_moe)
        if experts.choice.n_cpu_moe > 1:
            less = msgspec.structs.replace(asked, n_cpu_moe=experts.choice.n_cpu_moe - 1)
            assert judge(TINY_MOE, less, DEVICES, memory).fit != "fits"
    if context := largest_context(TINY_MOE, asked, DEVICES, memory):
        assert context.verdict.fit == "fits" and context.is_cut
        assert context.choice == msgspec.structs.replace(asked, n_ctx=context.choice.n_ctx)
