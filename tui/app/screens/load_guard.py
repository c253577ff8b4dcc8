"""The question before a load that would leave too little memory: what is wrong, which changes would mend it, and the
explicit yes without which it is not started."""

from __future__ import annotations

from collections.abc import Sequence

from tui.app.bindings import Keymap
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.base import format
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.guard import Remedy, placement
from tui.planning.now import MemoryNow
from tui.planning.verdict import Verdict
from tui.protocol.records import Device

ANYWAY, SETTINGS = "anyway", "settings"
_KEYS = {"fit": "f", "layers": "l", "experts": "e", "context": "c", "cache": "k", "file": "m"}


def guard_screen(
    info: ModelInfo,
    choice: ChosenLoad,
    devices: Sequence[Device],
    memory: MemoryNow,
    verdict: Verdict,
    found: Sequence[Remedy],
    keymap: Keymap,
) -> ChoiceScreen:
    """Gives a remedy's `change`, `SETTINGS`, `ANYWAY`, or None. What would help comes first: the key which takes the
    first line never loads what does not fit."""
    choices = [
        Choice(
            id=remedy.change,
            label=label(remedy, info, devices),
            note=f"leaves {_left(remedy.verdict)}",
            key=_KEYS[remedy.change],
        )
        for remedy in found
        if not remedy.quant
    ]
    choices.append(Choice(id=SETTINGS, label="Change the load settings", key="s"))
    if verdict.obstacle:  # memory is not what is missing, and a yes would not help
        return ChoiceScreen("Cannot be loaded so", choices, keymap, question=f"{info.name}: {verdict.obstacle}")
    note = "it will most likely fail" if verdict.fit == "no" else f"leaves {_left(verdict)}"
    choices.append(Choice(id=ANYWAY, label="Load anyway", note=note, key="y"))
    question = _question(info, choice, devices, memory, verdict)
    if not found:
        question += "\nNo single change makes it fit: free some memory, or take a smaller model."
    question += "".join(f"\n{_elsewhere(remedy)}" for remedy in found if remedy.quant)
    return ChoiceScreen("Too little memory", choices, keymap, question=question)


def label(remedy: Remedy, info: ModelInfo, devices: Sequence[Device]) -> str:
    """What a remedy changes, with its number: "Fewer layers: 32 of 37", "Context 16,384"."""
    n_gpu_layers, n_cpu_moe = placement(info, remedy.choice, devices)
    layers = f"{n_gpu_layers} of {info.n_layers + 1}"
    match remedy.change:
        case "layers":
            return f"Fewer layers on the GPU: {layers}"
        case "experts":
            return f"Experts on the CPU: {_layers(n_cpu_moe)}"
        case "context":
            return f"Smaller context: {remedy.choice.n_ctx:,}"
        case "cache":
            return f"KV cache in {' and '.join(dict.fromkeys((remedy.choice.type_k, remedy.choice.type_v)))}"
        case "file" if remedy.model:
            return f"Smaller file: {remedy.model.info.quant}, {format.size(remedy.model.info.size_bytes)}"
        case _:
            parts = [f"layers {layers}"] if n_gpu_layers else ["CPU"]
            parts += [f"experts on CPU: {_layers(n_cpu_moe)}"] * bool(n_cpu_moe)
            n_ctx = remedy.choice.n_ctx or info.n_ctx_train
            return f"Fastest that fits: {', '.join(parts)}, context {n_ctx:,}"


def _question(
    info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow, verdict: Verdict
) -> str:
    n_gpu_layers, n_cpu_moe = placement(info, choice, devices)
    place = f"{n_gpu_layers} of {info.n_layers + 1} layers on the GPU" if n_gpu_layers else "the CPU alone"
    if n_cpu_moe:
        place += f" (experts on CPU: {_layers(n_cpu_moe)})"
    worst = verdict.worst
    should = format.size(memory.reserve(worst.cost.device))
    wrong = (
        f"is {format.size(-worst.left_bytes)} too much for {worst.name}"
        if worst.fit == "no"
        else f"leaves only {format.size(worst.left_bytes)} free in {worst.name}, where {should} should stay"
    )
    return f"{info.name} with {place} and a context of {verdict.plan.n_ctx:,} tokens {wrong}."


def _elsewhere(remedy: Remedy) -> str:
    size = format.size(remedy.verdict.plan.weights_bytes)
    return f"A {remedy.quant} file of it, about {size}, would fit as it is; there is none on this machine."


def _left(verdict: Verdict) -> str:
    """What stays free at the place where the least does."""
    worst = min(verdict.places, key=lambda place: place.left_bytes)
    return f"{format.size(max(0, worst.left_bytes))} in {worst.name}"


def _layers(n: int) -> str:
    return "1 layer" if n == 1 else f"{n} layers"
