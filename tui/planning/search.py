"""The fastest load that fits, and the settings that a search may try. Speed is what the plan says that each token reads
from the host's memory: the whole is the same wherever the layers are, and a device reads its part faster."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.formula import Fit
from tui.planning.loadcheck import obstacle
from tui.planning.now import MemoryNow
from tui.planning.verdict import FITS, PlanMaker, Verdict, by_formula, judge_settings
from tui.protocol.records import Device, LoadSettings

_CTX_STEPS = (512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304)
_MOST_STEPS = 128
"""Of layers on the device that are tried, evenly spread, and then those around the best: no real model has more
layers, and a file may claim four times as many."""


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that a search found."""

    choice: ChosenLoad
    verdict: Verdict
    is_cut: bool = False
    """The context is smaller than what was asked for: whoever shows this must say so."""


def auto_fit(
    info: ModelInfo,
    choice: ChosenLoad,
    devices: Sequence[Device],
    memory: MemoryNow,
    planner: PlanMaker = by_formula,
    *,
    worst: Fit = "tight",
    may_cut: bool = True,
) -> Fitted | None:
    """`choice` with the layers and experts where they are fastest, of all that fits; None when nothing does.

    What leaves the reserve goes before what is "tight", unless `worst` is "fits": then that is not taken at all. A
    smaller context is tried only when no placement fits with the one that was asked for, and is never raised.
    """
    n_ctx_asked = choice.n_ctx or info.n_ctx_train
    smaller = tuple(_smaller_contexts(n_ctx_asked)) if may_cut else ()
    for wanted in FITS[: FITS.index(worst) + 1]:
        if found := fastest(info, choice, devices, memory, planner, wanted):
            return found
        found_by_context: dict[int, Fitted | None] = {}

        def fits_with(
            n_ctx: int, wanted: Fit = wanted, found_by_context: dict[int, Fitted | None] = found_by_context
        ) -> bool:
            asked = msgspec.structs.replace(choice, n_ctx=n_ctx)
            found_by_context[n_ctx] = fastest(info, asked, devices, memory, planner, wanted)
            return found_by_context[n_ctx] is not None

        # A smaller context takes less of everything, so what fits begins at one of them.
        first = bisect_left(smaller, True, key=fits_with)
        if first < len(smaller) and (found := found_by_context[smaller[first]]):
            return msgspec.structs.replace(found, is_cut=True)
    return None


def fastest(
    info: ModelInfo,
    choice: ChosenLoad,
    devices: Sequence[Device],
    memory: MemoryNow,
    planner: PlanMaker = by_formula,
    wanted: Fit = "fits",
) -> Fitted | None:
    """Of all numbers of layers on the device and of layers with experts on the CPU, with which `choice` is at least
    `wanted`, those with which a token reads the least on the host; of equals, those with the most on the device."""
    settings, _ = engine_settings(choice, devices)
    if _is_hopeless(info, settings, memory, planner):
        return None
    if not settings.devices:
        verdict = judge_settings(info, settings, memory, planner)
        return Fitted(choice=choice, verdict=verdict) if _is(verdict, wanted) else None
    placements = _Placements(info, choice, settings, memory, planner, wanted)
    n_all = info.n_layers + 1
    step = -(-n_all // _MOST_STEPS)
    for n_gpu_layers in (*range(n_all, 0, -step), 0):
        if not placements.try_layers(n_gpu_layers):
            break
    if step > 1 and placements.best:
        near = placements.n_gpu_layers
        for n_gpu_layers in range(min(near + step, n_all), max(near - step, -1), -1):
            placements.try_layers(n_gpu_layers)
    return placements.best


class _Placements:
    """The fastest of the placements that were tried. With each number of layers on the device, the fewest experts
    on the CPU are the fastest; from one on, more of them leave more room on the device and less on the host."""

    def __init__(
        self,
        info: ModelInfo,
        choice: ChosenLoad,
        settings: LoadSettings,
        memory: MemoryNow,
        planner: PlanMaker,
        wanted: Fit,
    ) -> None:
        self.best: Fitted | None = None
        self.n_gpu_layers = 0
        """Of the best."""
        self._info, self._choice, self._settings = info, choice, settings
        self._memory, self._planner, self._wanted = memory, planner, wanted
        self._last_count = info.n_layers

    def try_layers(self, n_gpu_layers: int) -> bool:
        """With this many layers on the device, the output layer counted; False when fewer cannot be faster than the
        best: more is then read on the host, wherever the experts are."""
        verdict = self._verdict(n_gpu_layers, 0)
        if self._is_slower(verdict, n_gpu_layers):
            return False
        if _is(verdict, self._wanted):
            self._take(n_gpu_layers, 0, verdict)
            return False
        if not self._has_room_on_devices(verdict) and (count := self._fewest_experts(n_gpu_layers)):
            verdict = self._verdict(n_gpu_layers, count)
            if _is(verdict, self._wanted) and not self._is_slower(verdict, n_gpu_layers):
                self._take(n_gpu_layers, count, verdict)
        return True

    def _fewest_experts(self, n_gpu_layers: int) -> int:
        """Of how many layers, counted from the first, the experts must be on the CPU for the devices to hold the rest;
        0 where no number helps. Those before the first layer that is on a device make no difference."""
        first, last = self._info.n_layers + 2 - n_gpu_layers, self._info.n_layers
        if not self._info.is_moe or not n_gpu_layers or first > last:
            return 0

        def has_room(count: int) -> bool:
            return self._has_room_on_devices(self._verdict(n_gpu_layers, count))

        # With fewer layers on the device it is mostly the number of the last time, or one less.
        good = self._last_count if first <= self._last_count and has_room(self._last_count) else last
        if good == last and not has_room(last):
            return 0
        step = 1
        while good - step >= first and has_room(good - step):
            good, step = good - step, 2 * step
        below = max(good - step, first - 1)
        self._last_count = below + 1 + bisect_left(range(below + 1, good), True, key=has_room)
        return self._last_count

    def _verdict(self, n_gpu_layers: int, n_cpu_moe: int) -> Verdict:
        place = self._place(n_gpu_layers, n_cpu_moe)
        return judge_settings(self._info, msgspec.structs.replace(self._settings, **place), self._memory, self._planner)

    def _place(self, n_gpu_layers: int, n_cpu_moe: int) -> dict[str, int]:
        # All layers are written as -1, as users and planners do.
        n = -1 if n_gpu_layers > self._info.n_layers else n_gpu_layers
        return {"n_gpu_layers": n, "n_cpu_moe": n_cpu_moe}

    def _has_room_on_devices(self, verdict: Verdict) -> bool:
        return all(FITS.index(place.fit) <= FITS.index(self._wanted) for place in verdict.places[1:])

    def _is_slower(self, verdict: Verdict, n_gpu_layers: int) -> bool:
        """Than the best, or as fast with no more layers on the device."""
        if self.best is None:
            return False
        mine, best = verdict.plan.host.read_bytes, self.best.verdict.plan.host.read_bytes
        return mine > best or (mine == best and n_gpu_layers <= self.n_gpu_layers)

    def _take(self, n_gpu_layers: int, n_cpu_moe: int, verdict: Verdict) -> None:
        place = self._place(n_gpu_layers, n_cpu_moe)
        self.best = Fitted(choice=msgspec.structs.replace(self._choice, **place), verdict=verdict)
        self.n_gpu_layers = n_gpu_layers


def most_layers(
    info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker = by_formula
) -> Fitted | None:
    """The largest number of layers on the device, below that of `choice`, with which it fits and leaves the reserve;
    everything else stays as it is. None when there is no device or no such number."""
    settings, _ = engine_settings(choice, devices)
    asked = info.n_layers + 1 if settings.n_gpu_layers < 0 else min(settings.n_gpu_layers, info.n_layers + 1)
    if not settings.devices:
        return None
    changes = (msgspec.structs.replace(choice, n_gpu_layers=n) for n in range(asked - 1, -1, -1))
    return _first_that_fits(info, changes, devices, memory, planner)


def fewest_experts(
    info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker = by_formula
) -> Fitted | None:
    """As `most_layers`: the smallest number of layers whose experts must stay on the CPU, above that of `choice`."""
    if not info.is_moe or not engine_settings(choice, devices)[0].devices:
        return None
    counts = range(choice.n_cpu_moe + 1, info.n_layers + 1)
    changes = (msgspec.structs.replace(choice, n_cpu_moe=n) for n in counts)
    return _first_that_fits(info, changes, devices, memory, planner)


def largest_context(
    info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker = by_formula
) -> Fitted | None:
    """As `most_layers`: the largest context below that of `choice`, of those that a slider stops at."""
    changes = (
        msgspec.structs.replace(choice, n_ctx=n_ctx) for n_ctx in _smaller_contexts(choice.n_ctx or info.n_ctx_train)
    )
    found = _first_that_fits(info, changes, devices, memory, planner)
    return msgspec.structs.replace(found, is_cut=True) if found else None


def context_steps(n_ctx_train: int) -> tuple[int, ...]:
    """Context sizes that a slider stops at: up to what the model was trained with, at least up to 4,096."""
    top = max(n_ctx_train, 4096)
    steps = [*_CTX_STEPS, *(k << 17 for k in range(1, (top >> 17) + 1))]
    return (*(step for step in steps if step < top), top)


def _first_that_fits(
    info: ModelInfo, changes: Iterator[ChosenLoad], devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker
) -> Fitted | None:
    for choice in changes:
        verdict = judge_settings(info, engine_settings(choice, devices)[0], memory, planner)
        if verdict.fit == "fits":
            return Fitted(choice=choice, verdict=verdict)
    return None


def _is(verdict: Verdict, wanted: Fit) -> bool:
    return FITS.index(verdict.fit) <= FITS.index(wanted)


def _is_hopeless(info: ModelInfo, settings: LoadSettings, memory: MemoryNow, planner: PlanMaker) -> bool:
    """Whether the settings do not go with the model, or weights and KV cache alone, which take the same room wherever
    they are, are more than there is."""
    if obstacle(info, settings):
        return True
    plan = planner(info, settings, memory)
    own = sum(memory.own_free(name) for name in settings.devices)
    return info.weights_bytes + plan.kv_bytes > memory.host_free_bytes + own


def _smaller_contexts(n_ctx: int) -> Iterator[int]:
    yield from (step for step in reversed(context_steps(n_ctx)) if step < n_ctx)
