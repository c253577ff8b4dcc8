"""The fastest load that fits, and the settings that a search may try. Speed is what the plan says that each token reads
from the host's memory: the whole is the same wherever the layers are, and a device reads its part faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import LoadDefaults
from tui.engine.loadcheck import obstacle
from tui.engine.planner import Fit
from tui.engine.records import Device, LoadSettings
from tui.memory.now import MemoryNow
from tui.memory.verdict import FITS, PlanMaker, Verdict, by_formula, judge_settings
from tui.models.info import ModelInfo

_CTX_STEPS = (512, 1024, 2048, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304)


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that a search found."""

    choice: LoadDefaults
    verdict: Verdict
    is_cut: bool = False
    """The context is smaller than what was asked for: whoever shows this must say so."""


def auto_fit(
    info: ModelInfo,
    choice: LoadDefaults,
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
    for wanted in FITS[: FITS.index(worst) + 1]:
        for n_ctx in (n_ctx_asked, *_smaller_contexts(n_ctx_asked)) if may_cut else (n_ctx_asked,):
            asked = choice if n_ctx == n_ctx_asked else msgspec.structs.replace(choice, n_ctx=n_ctx)
            if found := fastest(info, asked, devices, memory, planner, wanted):
                return msgspec.structs.replace(found, is_cut=n_ctx < n_ctx_asked)
    return None


def fastest(
    info: ModelInfo,
    choice: LoadDefaults,
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
    n_all = info.n_layers + 1
    best: Fitted | None = None
    for n_gpu_layers in range(n_all, -1, -1):
        for n_cpu_moe in _expert_counts(info, n_gpu_layers):
            # All layers are written as -1, as users and planners do.
            place = {"n_gpu_layers": -1 if n_gpu_layers == n_all else n_gpu_layers, "n_cpu_moe": n_cpu_moe}
            verdict = judge_settings(info, msgspec.structs.replace(settings, **place), memory, planner)
            if best and verdict.plan.host.read_bytes >= best.verdict.plan.host.read_bytes:
                break
            if _is(verdict, wanted):
                best = Fitted(choice=msgspec.structs.replace(choice, **place), verdict=verdict)
                break
        else:
            continue
        if best and n_cpu_moe == 0:
            break  # With fewer layers on the device, more is read on the host, wherever the experts are.
    return best


def most_layers(
    info: ModelInfo, choice: LoadDefaults, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker = by_formula
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
    info: ModelInfo, choice: LoadDefaults, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker = by_formula
) -> Fitted | None:
    """As `most_layers`: the smallest number of layers whose experts must stay on the CPU, above that of `choice`."""
    if not info.is_moe or not engine_settings(choice, devices)[0].devices:
        return None
    counts = range(choice.n_cpu_moe + 1, info.n_layers + 1)
    changes = (msgspec.structs.replace(choice, n_cpu_moe=n) for n in counts)
    return _first_that_fits(info, changes, devices, memory, planner)


def largest_context(
    info: ModelInfo, choice: LoadDefaults, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker = by_formula
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
    info: ModelInfo, changes: Iterator[LoadDefaults], devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker
) -> Fitted | None:
    for choice in changes:
        verdict = judge_settings(info, engine_settings(choice, devices)[0], memory, planner)
        if verdict.fit == "fits":
            return Fitted(choice=choice, verdict=verdict)
    return None


def _is(verdict: Verdict, wanted: Fit) -> bool:
    return FITS.index(verdict.fit) <= FITS.index(wanted)


def _expert_counts(info: ModelInfo, n_gpu_layers: int) -> Iterator[int]:
    """Numbers of layers, counted from the first, whose experts could be kept on the CPU: those before the first layer
    that is on a device make no difference."""
    yield 0
    if info.is_moe and n_gpu_layers:
        yield from range(info.n_layers + 2 - n_gpu_layers, info.n_layers + 1)


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
