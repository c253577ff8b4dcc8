"""Plans against what is free: whether they fit, place by place, memory that is shared counted once."""

from __future__ import annotations

import pytest

from tests.planning.shapes import GIB
from tui.planning.formula import Cost, MemoryPlan
from tui.planning.now import MemoryNow
from tui.planning.placement import HOST
from tui.planning.verdict import judge_plan

TWO = ("Vulkan0", "Vulkan1")


def plan_of(host: int, *devices: int) -> MemoryPlan:
    costs = tuple(Cost(device=name, weights_bytes=n) for name, n in zip(TWO, devices, strict=False))
    return MemoryPlan(host=Cost(device=HOST, weights_bytes=host), devices=costs, n_gpu_layers=1, n_layers=1, n_ctx=256)


@pytest.mark.parametrize(
    ("plan", "host", "devices", "shared", "expected"),
    [
        (plan_of(4 * GIB), 8 * GIB, {}, {}, "fits"),
        (plan_of(4 * GIB), 4 * GIB, {}, {}, "tight"),
        (plan_of(4 * GIB), 4 * GIB - 1, {}, {}, "no"),
        (plan_of(GIB, 6 * GIB), 8 * GIB, {"Vulkan0": 8 * GIB}, {}, "fits"),
        (plan_of(GIB, 8 * GIB), 8 * GIB, {"Vulkan0": 8 * GIB}, {}, "tight"),
        (plan_of(GIB, 9 * GIB), 80 * GIB, {"Vulkan0": 8 * GIB}, {}, "no"),
        (plan_of(GIB, 4 * GIB, 9 * GIB), 80 * GIB, {"Vulkan0": 8 * GIB, "Vulkan1": 8 * GIB}, {}, "no"),
        (plan_of(GIB, GIB), 80 * GIB, {}, {}, "no"),
        # An integrated GPU: 2 GiB of its own, 8 of the host's. 6 GiB on it take 4 from the host.
        (plan_of(GIB, 6 * GIB), 8 * GIB, {"Vulkan0": 10 * GIB}, {"Vulkan0": 8 * GIB}, "fits"),
        (plan_of(4 * GIB, 6 * GIB), 8 * GIB, {"Vulkan0": 10 * GIB}, {"Vulkan0": 8 * GIB}, "tight"),
        (plan_of(5 * GIB, 6 * GIB), 8 * GIB, {"Vulkan0": 10 * GIB}, {"Vulkan0": 8 * GIB}, "no"),
    ],
)
def test_a_plan_fits_is_tight_or_does_not(
    plan: MemoryPlan, host: int, devices: dict[str, int], shared: dict[str, int], expected: str
) -> None:
    memory = MemoryNow(
        host_free_bytes=host,
        host_total_bytes=host,
        device_free=devices,
        shared_free=shared,
        reserve_bytes=GIB,
        gpu_reserve_bytes=GIB,
    )
    assert judge_plan(plan, memory).fit == expected
