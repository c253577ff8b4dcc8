"""How a load compares with what is free: place by place whether it fits, and pool by pool what it takes. The figures of
the load are the planner's; here they are judged. `verdict_words.py` says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.checkpointroom import room_bytes
from tui.planning.formula import Cost, Fit, MemoryPlan, estimate, free_after
from tui.planning.loadcheck import obstacle
from tui.planning.now import MemoryNow
from tui.planning.placement import HOST
from tui.planning.windows import has_ample_room, ways
from tui.protocol.records import Device, LoadSettings

FITS: tuple[Fit, ...] = ("fits", "tight", "no")
"""From the best to the worst."""

PlanMaker = Callable[[ModelInfo, LoadSettings, MemoryNow], MemoryPlan]
"""Says what a load takes. It must be quick: a search asks it hundreds of times."""


def by_formula(info: ModelInfo, settings: LoadSettings, memory: MemoryNow) -> MemoryPlan:
    """The planner that needs nothing but the header."""
    return estimate(info, settings, memory.device_free)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a load means for the host or one device."""

    cost: Cost
    left_bytes: int
    """Free once the model is loaded; negative where it does not fit."""
    reserve_bytes: int
    """What should stay free there."""
    fit: Fit

    @property
    def name(self) -> str:
        """The host's memory is called by its own name: "RAM", "Vulkan0"."""
        return "RAM" if self.cost.device == HOST else self.cost.device


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that is one on the machine, in bytes: RAM, a card's own, an integrated GPU's dedicated or shared part.
    What a GPU shares is RAM, and counted in both."""

    place: str
    """`HOST` or the device's name."""
    kind: Literal["ram", "own", "dedicated", "shared"]
    total_bytes: int
    used_bytes: int
    """By everything but the model that is loaded now."""
    planned_bytes: int
    """What the load takes of it."""
    limit_bytes: int
    """Where the reserve begins: used and planned should together not be more."""

    @property
    def left_bytes(self) -> int:
        """Free once the model is loaded; negative where it does not fit."""
        return self.total_bytes - self.used_bytes - self.planned_bytes

    @property
    def fit(self) -> Fit:
        """Of this pool alone."""
        if self.left_bytes < 0:
            return "no"
        return "fits" if not self.planned_bytes or self.used_bytes + self.planned_bytes <= self.limit_bytes else "tight"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, judged. The host comes first in `places` and in `pools`."""

    plan: MemoryPlan
    places: tuple[Place, ...]
    pools: tuple[Pool, ...] = ()
    obstacle: str = ""
    """Why it cannot be loaded however much memory there is (`tui.planning.loadcheck`); "" when nothing is."""

    @property
    def fit(self) -> Fit:
        """Of the worst place; "no" where there is an obstacle."""
        if self.obstacle:
            return "no"
        return max((place.fit for place in self.places), key=FITS.index)

    @property
    def worst(self) -> Place:
        """The place that decides."""
        return min(self.places, key=lambda place: (-FITS.index(place.fit), place.left_bytes))

    @property
    def tightest(self) -> Place:
        """The place where the least stays free."""
        return min(self.places, key=lambda place: place.left_bytes)

    @property
    def spare_bytes(self) -> int:
        """What stays free beyond the reserve in the fullest of the places that the load uses; below zero where it is
        tight."""
        used = (place for place in self.places if place.cost.total_bytes)
        return min((place.left_bytes - place.reserve_bytes for place in used), default=0)

    @property
    def checkpoint_room_bytes(self) -> int:
        """What the checkpoints of a conversation may come to take of the RAM that stays free."""
        return room_bytes(self.places[0].left_bytes) if self.plan.checkpoint_bytes else 0

    @property
    def free_bytes(self) -> int:
        """What is free now on the host and the devices of the plan together, shared memory counted once."""
        return sum(pool.total_bytes - pool.used_bytes for pool in self.pools if pool.kind != "shared")


def judge(
    info: ModelInfo,
    choice: ChosenLoad,
    devices: Sequence[Device],
    memory: MemoryNow,
    planner: PlanMaker = by_formula,
) -> Verdict:
    """What loading with `choice` would mean. A backend that is not there counts as "auto", as when it is loaded."""
    return judge_settings(info, engine_settings(choice, devices)[0], memory, planner)


def judge_settings(info: ModelInfo, settings: LoadSettings, memory: MemoryNow, planner: PlanMaker) -> Verdict:
    """As `judge`, for what the engine is asked. With a full cache of sliding windows only where that was asked for, or
    where it fits with ample room: `plan.swa_full` says which."""
    *fuller, least = ways(info, settings)
    wrong = obstacle(info, settings)
    for way in fuller:
        verdict = judge_plan(planner(info, way, memory), memory, wrong)
        if verdict.fit == "fits" and has_ample_room(verdict.plan, verdict.spare_bytes):
            return verdict
    return judge_plan(planner(info, least, memory), memory, wrong)


def judge_plan(plan: MemoryPlan, memory: MemoryNow, obstacle: str = "") -> Verdict:
    """A plan against what is free, and what else is in its way."""
    left = free_after(plan, memory.host_free_bytes, memory.device_free, memory.shared_free)
    places = []
    for cost in (plan.host, *plan.devices):
        left_bytes = left[cost.device]
        is_idle = cost is not plan.host and not cost.total_bytes
        reserve_bytes = memory.reserve(cost.device)
        fit = "fits" if is_idle else fit_of(left_bytes, reserve_bytes)
        places.append(Place(cost=cost, left_bytes=left_bytes, reserve_bytes=reserve_bytes, fit=fit))
    return Verdict(plan=plan, places=tuple(places), pools=_pools(plan, memory), obstacle=obstacle)


def fit_of(left_bytes: int, reserve_bytes: int) -> Fit:
    """What it means that so much stays free where so much should."""
    return "no" if left_bytes < 0 else "tight" if left_bytes < reserve_bytes else "fits"


def _pools(plan: MemoryPlan, memory: MemoryNow) -> tuple[Pool, ...]:
    on_host = plan.host.total_bytes
    found: list[Pool] = []
    for cost in plan.devices:
        name, own_free = cost.device, memory.own_free(cost.device)
        own_total = max(memory.own_total.get(name, 0), own_free)
        shared = memory.shared_free.get(name)
        of_own = cost.total_bytes if shared is None else min(cost.total_bytes, own_free)
        if own_total or shared is None:
            found.append(
                Pool(
                    place=name,
                    kind="own" if shared is None else "dedicated",
                    total_bytes=own_total,
                    used_bytes=own_total - own_free,
                    planned_bytes=of_own,
                    limit_bytes=own_total - memory.reserve(name),
                )
            )
        if shared is not None:
            used = memory.shared_used.get(name, 0)
            on_host += cost.total_bytes - of_own
            found.append(
                Pool(
                    place=name,
                    kind="shared",
                    total_bytes=max(memory.shared_total.get(name, 0), used + shared),
                    used_bytes=used,
                    planned_bytes=cost.total_bytes - of_own,
                    limit_bytes=used + memory.usable(name) - own_free,
                )
            )
    total = max(memory.host_total_bytes, memory.host_free_bytes)
    ram = Pool(
        place=HOST,
        kind="ram",
        total_bytes=total,
        used_bytes=total - memory.host_free_bytes,
        planned_bytes=on_host,
        limit_bytes=total - memory.reserve_bytes,
    )
    return (ram, *found)
