"""Every sentence about whether a load fits and what would help: for a cell of a table, a line of a panel, a question or
a message. What they say is in the records of `verdict.py`, `search.py` and `remedies.py`; nothing is judged here."""

from __future__ import annotations

from tui.base import format
from tui.planning.formula import MemoryPlan
from tui.planning.remedies import Remedy
from tui.planning.search import Fitted
from tui.planning.verdict import Verdict

_ROUND_FROM = 9.5 * 2**30
"""Bytes from which a cell has no room for a digit behind the point."""


def cell(verdict: Verdict) -> str:
    """In 25 cells: "CPU", "GPU 48/49", "GPU 49/49+CPU" with experts on the CPU, "no: needs 133 GiB of 31"."""
    if verdict.fit != "no":
        return _placement_cell(verdict.plan)
    if verdict.obstacle:
        return "no: load settings"
    if verdict.plan.total_bytes > verdict.free_bytes:
        return f"no: needs {_needed(verdict)} of {_free(verdict)}"
    tightest = verdict.tightest
    return f"no: {format.size(-tightest.left_bytes)} short on {tightest.name}"


def short_cell(verdict: Verdict) -> str:
    """The same in 11 cells or so: "no: 133 GiB"."""
    if verdict.fit != "no":
        return _placement_cell(verdict.plan)
    if verdict.obstacle:
        return "no: settings"
    return f"no: {_needed(verdict) if verdict.plan.total_bytes > verdict.free_bytes else verdict.tightest.name}"


def line(verdict: Verdict) -> str:
    """In some 45 cells: whether it fits, and where not, by how much. An obstacle is a sentence of any length."""
    if verdict.obstacle:
        return verdict.obstacle
    worst = verdict.worst
    if worst.fit == "no":
        return f"Does not fit: {format.size(-worst.left_bytes)} too much for {worst.name}."
    if worst.fit == "tight":
        return f"Tight: leaves only {format.size(worst.left_bytes)} free in {worst.name}."
    return "Fits."


def sentence(verdict: Verdict) -> str:
    """As `line`, with what should stay free where too little does."""
    worst = verdict.worst
    if verdict.obstacle or worst.fit != "tight":
        return line(verdict)
    left, should = format.size(worst.left_bytes), format.size(worst.reserve_bytes)
    return f"Tight: leaves only {left} free in {worst.name}, where {should} should stay."


def layers(plan: MemoryPlan) -> str:
    """Where layers and experts would lie: "CPU only", "49/49 layers on GPU · experts on CPU: 4 layers"."""
    if not plan.devices:
        return "CPU only"
    on_gpu = f"{plan.n_gpu_layers}/{plan.n_layers} layers on GPU"
    if not plan.n_experts_on_cpu:
        return on_gpu
    return f"{on_gpu} · experts on CPU: {_layers(plan.n_experts_on_cpu)}"


def tokens(plan: MemoryPlan) -> str:
    """The context of the plan: "32,768 tokens"."""
    return f"{plan.n_ctx:,} tokens"


def if_loaded_anyway(verdict: Verdict) -> str:
    """What comes of a load that is not granted."""
    return "it will most likely fail" if verdict.fit == "no" else leaves(verdict)


def leaves(verdict: Verdict) -> str:
    """What stays free at the place where the least does."""
    tightest = verdict.tightest
    return f"leaves {format.size(max(0, tightest.left_bytes))} in {tightest.name}"


# What would help ------------------------------------------------------------------------------------------------------

NOTHING_HELPS = "No single change makes it fit: free some memory, or take a smaller model."
NOTHING_FITS = "Nothing fits: even with the smallest context there is too little memory for this file."
FITS_ALREADY = "These settings fit, and nothing else that fits is expected to be faster: nothing was changed."


def remedy_label(remedy: Remedy) -> str:
    """What a remedy changes, with its number: "Fewer layers on the GPU: 32 of 37", "Smaller context: 16,384"."""
    plan, choice = remedy.verdict.plan, remedy.choice
    match remedy.change:
        case "layers":
            return f"Fewer layers on the GPU: {plan.n_gpu_layers} of {plan.n_layers}"
        case "experts":
            return f"Experts on the CPU: {_layers(plan.n_experts_on_cpu)}"
        case "context":
            return f"Smaller context: {choice.n_ctx:,}"
        case "cache" if choice.type_k == choice.type_v:
            return f"KV cache in {choice.type_k}"
        case "cache":
            return f"KV cache in {choice.type_k} and {choice.type_v}"
        case "file" if remedy.model:
            return f"Smaller file: {remedy.model.info.quant}, {format.size(remedy.model.info.size_bytes)}"
        case "quant":
            return f"A {remedy.quant} file of this model, about {format.size(plan.weights_bytes)}"
        case _:
            return _fastest_label(plan, choice.n_ctx or plan.n_ctx)


def elsewhere(remedy: Remedy) -> str:
    """That a quantization would fit which is not on this machine."""
    size = format.size(remedy.verdict.plan.weights_bytes)
    return f"A {remedy.quant} file of it, about {size}, would fit as it is; there is none on this machine."


def loaded_instead(found: Fitted) -> str:
    """That a model is loaded with less than was asked for, so that it fits."""
    plan = found.verdict.plan
    n_ctx = found.choice.n_ctx or plan.n_ctx
    if not plan.n_gpu_layers:
        return f"To fit into memory it is loaded with all layers on the CPU and a context of {n_ctx:,} tokens."
    on_gpu = f"{plan.n_gpu_layers} of {plan.n_layers} layers on the GPU"
    if not plan.n_experts_on_cpu:
        return f"To fit into memory it is loaded with {on_gpu} and a context of {n_ctx:,} tokens."
    experts = f"the experts of {_layers(plan.n_experts_on_cpu)} on the CPU"
    return f"To fit into memory it is loaded with {on_gpu}, {experts} and a context of {n_ctx:,} tokens."


def context_cut(n_ctx_asked: int, n_ctx: int) -> str:
    """That nothing fits with the context that was asked for."""
    return f"No placement fits with a context of {n_ctx_asked:,} tokens: it is cut to {n_ctx:,}."


def _fastest_label(plan: MemoryPlan, n_ctx: int) -> str:
    if not plan.n_gpu_layers:
        return f"Fastest that fits: CPU, context {n_ctx:,}"
    on_gpu = f"layers {plan.n_gpu_layers} of {plan.n_layers}"
    if not plan.n_experts_on_cpu:
        return f"Fastest that fits: {on_gpu}, context {n_ctx:,}"
    return f"Fastest that fits: {on_gpu}, experts on CPU: {_layers(plan.n_experts_on_cpu)}, context {n_ctx:,}"


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


def _layers(n: int) -> str:
    return "1 layer" if n == 1 else f"{n:,} layers"
