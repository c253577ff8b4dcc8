"""Every sentence about whether a load fits and what would help: for a cell of a table, a line of a panel, a question or
a message. What they say is in the records of `verdict.py`, `search.py` and `remedies.py`; nothing is judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.base import format
from tui.planning.formula import Fit, MemoryPlan
from tui.planning.remedies import Remedy
from tui.planning.search import Fitted
from tui.planning.verdict import Pool, Verdict
from tui.words import mark, tr, trn

if TYPE_CHECKING:
    from tui.planning.recommending import Recommendation, Why

_ROUND_FROM = 9.5 * 2**30
"""Bytes from which a cell has no room for a digit behind the point."""


def cell(verdict: Verdict) -> str:
    """In 23 cells: "CPU", "GPU 48/49", "GPU 49/49+CPU" with experts on the CPU, "no: needs 133 GiB of 31"."""
    if verdict.fit != "no":
        return _placement_cell(verdict.plan)
    if verdict.obstacle:
        return tr("no: load settings")
    if verdict.plan.total_bytes > verdict.free_bytes:
        return tr("no: needs {needed} of {free}", needed=_needed(verdict), free=_free(verdict))
    tightest = verdict.tightest
    return tr("no: {size} short on {place}", size=format.size(-tightest.left_bytes), place=tightest.name)


def in_words(verdict: Verdict, fit: Fit) -> str:
    """Whether it fits, in the place that decides, and how it would be loaded: "fits · needs 13.9 of 22.5 GiB in Vulkan0
    · 49/49 layers on GPU". `fit` is "tight" also where the load was changed before it fits. An obstacle is a
    sentence."""
    if verdict.obstacle:
        return verdict.obstacle
    place = verdict.worst
    if place.fit == "fits":
        place = max(verdict.places, key=lambda one: one.cost.total_bytes)
    needed, free = _of(place.cost.total_bytes, place.cost.total_bytes + place.left_bytes)
    how = layers(verdict.plan)
    match fit:
        case "fits":
            told = tr("fits · needs {needed} of {free} in {place}", needed=needed, free=free, place=place.name)
        case "tight":
            told = tr("tight · needs {needed} of {free} in {place}", needed=needed, free=free, place=place.name)
        case _:
            return tr("does not fit · needs {needed} of {free} in {place}", needed=needed, free=free, place=place.name)
    return f"{told} · {how}"


def line(verdict: Verdict) -> str:
    """In some 45 cells: whether it fits, and where not, by how much. An obstacle is a sentence of any length."""
    if verdict.obstacle:
        return verdict.obstacle
    worst = verdict.worst
    if worst.fit == "no":
        return tr("Does not fit: {size} too much for {place}.", size=format.size(-worst.left_bytes), place=worst.name)
    if worst.fit == "tight":
        return tr("Tight: leaves only {left} free in {place}.", left=format.size(worst.left_bytes), place=worst.name)
    return tr("Fits.")


def sentence(verdict: Verdict) -> str:
    """As `line`, with what should stay free where too little does."""
    worst = verdict.worst
    if verdict.obstacle or worst.fit != "tight":
        return line(verdict)
    return tr(
        "Tight: leaves only {left} free in {place}, where {reserve} should stay.",
        left=format.size(worst.left_bytes),
        place=worst.name,
        reserve=format.size(worst.reserve_bytes),
    )


def layers(plan: MemoryPlan) -> str:
    """Where layers and experts would lie: "CPU only", "49/49 layers on GPU · experts on CPU: 4 layers"."""
    if not plan.devices:
        return tr("CPU only")
    if not plan.n_experts_on_cpu:
        return tr("{n_gpu_layers}/{n_layers} layers on GPU", n_gpu_layers=plan.n_gpu_layers, n_layers=plan.n_layers)
    return trn(
        "{n_gpu_layers}/{n_layers} layers on GPU · experts on CPU: {n} layer",
        "{n_gpu_layers}/{n_layers} layers on GPU · experts on CPU: {n} layers",
        plan.n_experts_on_cpu,
        n_gpu_layers=plan.n_gpu_layers,
        n_layers=plan.n_layers,
    )


def windows(plan: MemoryPlan, *, is_auto: bool) -> str:
    """What the cache of sliding windows takes more, or saves; `is_auto` where that was not chosen: "auto: off, saves
    1.2 GiB"."""
    if not plan.window_saves_bytes:
        return tr("no difference with this context")
    size = format.size(plan.window_saves_bytes)
    if plan.swa_full:
        return tr("auto: on, takes {size} more", size=size) if is_auto else tr("takes {size} more", size=size)
    return tr("auto: off, saves {size}", size=size) if is_auto else tr("saves {size}", size=size)


def checkpoints(verdict: Verdict) -> str:
    """What going back in a conversation takes beside the load; "" where it takes nothing."""
    if not verdict.plan.checkpoint_bytes:
        return ""
    return tr(
        "checkpoints: {size} each, at most {total} of RAM",
        size=format.size(verdict.plan.checkpoint_bytes),
        total=format.size(verdict.checkpoint_room_bytes),
    )


def tokens(plan: MemoryPlan) -> str:
    """The context of the plan: "32,768 tokens"."""
    return trn("{n} token", "{n} tokens", plan.n_ctx)


def pool_name(pool: Pool) -> str:
    """ "RAM", "Vulkan0", "Vulkan0 dedicated", "Vulkan0 shared"."""
    match pool.kind:
        case "ram":
            return "RAM"
        case "own":
            return pool.place
        case "dedicated":
            return tr("{device} dedicated", device=pool.place)
        case "shared":
            return tr("{device} shared", device=pool.place)


def if_loaded_anyway(verdict: Verdict) -> str:
    """What comes of a load that is not granted."""
    return tr("it will most likely fail") if verdict.fit == "no" else leaves(verdict)


def leaves(verdict: Verdict) -> str:
    """What stays free at the place where the least does."""
    tightest = verdict.tightest
    return tr("leaves {left} in {place}", left=format.size(max(0, tightest.left_bytes)), place=tightest.name)


# A variant of a remote model ------------------------------------------------------------------------------------------

_WHY: dict[Why, str] = {
    "best": mark("Recommended: the best quality that fits and is fast enough here."),
    "unmeasured": mark(
        "Recommended: the best quality that fits. Its speed is not known: no benchmark was run here yet."
    ),
    "fastest": mark("Recommended: the fastest that fits without losing much quality."),
    "largest": mark("Recommended: the best quality that fits, though it is low at this size."),
    "tight": mark("Recommended: the smallest with good quality. It fits only tightly."),
}


def recommended_because(found: Recommendation) -> str:
    """Why this variant is recommended."""
    return tr(_WHY[found.why])


# What would help ------------------------------------------------------------------------------------------------------

NOTHING_HELPS = mark("No single change makes it fit: free some memory, or use a smaller model.")
NOTHING_FITS = mark("Nothing fits: even with the smallest context there is too little memory for this file.")
FITS_ALREADY = mark("These settings fit, and nothing else that fits is expected to be faster: nothing was changed.")


def remedy_label(remedy: Remedy) -> str:
    """What a remedy changes, with its number: "Fewer layers on the GPU: 32 of 37", "Smaller context: 16,384"."""
    plan, choice = remedy.verdict.plan, remedy.choice
    match remedy.change:
        case "layers":
            return tr(
                "Fewer layers on the GPU: {n_gpu_layers} of {n_layers}",
                n_gpu_layers=plan.n_gpu_layers,
                n_layers=plan.n_layers,
            )
        case "experts":
            n = plan.n_experts_on_cpu
            return trn("Experts on the CPU: {n} layer", "Experts on the CPU: {n} layers", n)
        case "context":
            return tr("Smaller context: {n_ctx}", n_ctx=f"{choice.n_ctx:,}")
        case "cache" if choice.type_k == choice.type_v:
            return tr("KV cache in {type_kv}", type_kv=choice.type_k)
        case "cache":
            return tr("KV cache in {type_k} and {type_v}", type_k=choice.type_k, type_v=choice.type_v)
        case "windows":
            return tr("Without the full SWA cache: {size} less", size=format.size(plan.window_saves_bytes))
        case "file" if remedy.model:
            info = remedy.model.info
            return tr("Smaller file: {quant}, {size}", quant=info.quant, size=format.size(info.size_bytes))
        case "quant":
            size = format.size(plan.weights_bytes)
            return tr("a {quant} file of this model, about {size}", quant=remedy.quant, size=size)
        case _:
            return _fastest_label(plan, choice.n_ctx or plan.n_ctx)


def elsewhere(remedy: Remedy) -> str:
    """That a quantization would fit which is not on this machine."""
    return tr(
        "A {quant} file of it, about {size}, would fit as it is; there is none on this machine.",
        quant=remedy.quant,
        size=format.size(remedy.verdict.plan.weights_bytes),
    )


def loaded_instead(found: Fitted) -> str:
    """That a model is loaded with less than was asked for, so that it fits."""
    plan = found.verdict.plan
    n_ctx = f"{found.choice.n_ctx or plan.n_ctx:,}"
    if not plan.n_gpu_layers:
        return tr(
            "To fit into memory it is loaded with all layers on the CPU and a context of {n_ctx} tokens.", n_ctx=n_ctx
        )
    if not plan.n_experts_on_cpu:
        return tr(
            "To fit into memory it is loaded with {n_gpu_layers} of {n_layers} layers on the GPU and a context of "
            "{n_ctx} tokens.",
            n_gpu_layers=plan.n_gpu_layers,
            n_layers=plan.n_layers,
            n_ctx=n_ctx,
        )
    return trn(
        "To fit into memory it is loaded with {n_gpu_layers} of {n_layers} layers on the GPU, the experts of {n} "
        "layer on the CPU and a context of {n_ctx} tokens.",
        "To fit into memory it is loaded with {n_gpu_layers} of {n_layers} layers on the GPU, the experts of {n} "
        "layers on the CPU and a context of {n_ctx} tokens.",
        plan.n_experts_on_cpu,
        n_gpu_layers=plan.n_gpu_layers,
        n_layers=plan.n_layers,
        n_ctx=n_ctx,
    )


def context_cut(n_ctx_asked: int, n_ctx: int) -> str:
    """That nothing fits with the context that was asked for."""
    return tr(
        "No placement fits with a context of {n_ctx_asked} tokens: it is cut to {n_ctx}.",
        n_ctx_asked=f"{n_ctx_asked:,}",
        n_ctx=f"{n_ctx:,}",
    )


def _fastest_label(plan: MemoryPlan, n_ctx: int) -> str:
    if not plan.n_gpu_layers:
        return tr("Fastest that fits: CPU, context {n_ctx}", n_ctx=f"{n_ctx:,}")
    if not plan.n_experts_on_cpu:
        return tr(
            "Fastest that fits: layers {n_gpu_layers} of {n_layers}, context {n_ctx}",
            n_gpu_layers=plan.n_gpu_layers,
            n_layers=plan.n_layers,
            n_ctx=f"{n_ctx:,}",
        )
    return trn(
        "Fastest that fits: layers {n_gpu_layers} of {n_layers}, experts on CPU: {n} layer, context {n_ctx}",
        "Fastest that fits: layers {n_gpu_layers} of {n_layers}, experts on CPU: {n} layers, context {n_ctx}",
        plan.n_experts_on_cpu,
        n_gpu_layers=plan.n_gpu_layers,
        n_layers=plan.n_layers,
        n_ctx=f"{n_ctx:,}",
    )


def _placement_cell(plan: MemoryPlan) -> str:
    if not plan.n_gpu_layers:
        return "CPU"
    on_gpu = f"GPU {plan.n_gpu_layers}/{plan.n_layers}"
    return f"{on_gpu}+CPU" if plan.n_experts_on_cpu else on_gpu


def _needed(verdict: Verdict) -> str:
    n_bytes = verdict.plan.total_bytes
    return f"{n_bytes / 2**30:.0f} GiB" if n_bytes >= _ROUND_FROM else format.size(n_bytes)


def _free(verdict: Verdict) -> str:
    """Without the unit where it is that of what is needed."""
    n_bytes = max(verdict.free_bytes, 0)
    return f"{n_bytes / 2**30:.0f}" if n_bytes >= _ROUND_FROM else format.size(n_bytes)


def _of(n_bytes: int, all_bytes: int) -> tuple[str, str]:
    """Both as text; the first without its unit where it is that of the second."""
    part, whole = format.size(n_bytes), format.size(max(all_bytes, 0))
    value, unit = part.split()
    return (value if whole.endswith(f" {unit}") else part), whole
