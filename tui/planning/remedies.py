"""Which single change would make a load fit that leaves too little memory. The planner is asked about each before it is
offered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.loadcheck import UNQUANTIZED, cache_problem, obstacle
from tui.planning.now import MemoryNow
from tui.planning.search import auto_fit, fewest_experts, largest_context, most_layers
from tui.planning.verdict import PlanMaker, Verdict, by_formula, judge
from tui.protocol.records import Device

Change = Literal["fit", "layers", "experts", "context", "cache", "windows", "file", "quant"]
"""What is changed: everything, to what is fastest of all that fits; or one thing alone."""

_BITS = (("Q8_0", 8.5), ("Q6_K", 6.56), ("Q5_K_M", 5.7), ("Q4_K_M", 4.89), ("Q3_K_M", 4.0), ("Q2_K", 3.16))
"""Bits a weight of whole files, by the table in llama.cpp's `tools/quantize/README.md` (Llama 3.1 8B)."""


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """A change with which the load fits and leaves the reserve."""

    change: Change
    choice: ChosenLoad
    verdict: Verdict
    model: LibraryModel | None = None
    """For "file": another quantization of the model, which is on disk."""
    quant: str = ""
    """For "quant": one that would have to be fetched or made. Its size is the verdict's, and an estimate."""


def remedies(
    info: ModelInfo,
    choice: ChosenLoad,
    devices: Sequence[Device],
    memory: MemoryNow,
    others: Iterable[LibraryModel] = (),
    planner: PlanMaker = by_formula,
) -> tuple[Remedy, ...]:
    """What would help, the fastest of all first. `others` are the models on disk. Empty when nothing does. Where the
    settings do not go with the model, that alone is mended. Takes up to a second with a large mixture of experts: not
    for the UI's thread."""
    if obstacle(info, engine_settings(choice, devices)[0]):
        return _without_obstacle(info, choice, devices, memory, planner)
    singles = list(_singles(info, choice, devices, memory, planner))
    found: list[Remedy] = []
    if best := auto_fit(info, choice, devices, memory, planner, worst="fits"):
        # Where one change alone comes to the same as the best of all, its own name says more.
        same = next((remedy for remedy in singles if remedy.choice == best.choice), None)
        found.append(same or Remedy(change="fit", choice=best.choice, verdict=best.verdict))
    found += (remedy for remedy in singles if remedy not in found)
    smaller = _smaller_file(info, choice, devices, memory, others, planner)
    smaller = smaller or _smaller_quant(info, choice, devices, memory)
    return (*found, smaller) if smaller else tuple(found)


def _singles(
    info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker
) -> Iterator[Remedy]:
    if layers := most_layers(info, choice, devices, memory, planner):
        yield Remedy(change="layers", choice=layers.choice, verdict=layers.verdict)
    if experts := fewest_experts(info, choice, devices, memory, planner):
        yield Remedy(change="experts", choice=experts.choice, verdict=experts.verdict)
    if choice.swa_full == "on" and info.n_swa:
        small = msgspec.structs.replace(choice, swa_full="auto")
        if (verdict := judge(info, small, devices, memory, planner)).fit == "fits":
            yield Remedy(change="windows", choice=small, verdict=verdict)
    if context := largest_context(info, choice, devices, memory, planner):
        yield Remedy(change="context", choice=context.choice, verdict=context.verdict)
    quantized = _quantized_cache(info, choice, devices)
    if quantized and (verdict := judge(info, quantized, devices, memory, planner)).fit == "fits":
        yield Remedy(change="cache", choice=quantized, verdict=verdict)


def _quantized_cache(info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device]) -> ChosenLoad | None:
    """With a KV cache in q8_0; None where that saves nothing, or cannot be loaded."""
    types = {name: "q8_0" for name in ("type_k", "type_v") if getattr(choice, name) in UNQUANTIZED}
    quantized = msgspec.structs.replace(choice, **types)
    if not types or cache_problem(info, engine_settings(quantized, devices)[0]):
        return None
    return quantized


def _without_obstacle(
    info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow, planner: PlanMaker
) -> tuple[Remedy, ...]:
    """With a KV cache that goes with every model; if that is too large, layers and experts placed again."""
    plain = msgspec.structs.replace(choice, type_k="f16", type_v="f16")
    verdict = judge(info, plain, devices, memory, planner)
    if verdict.fit == "fits":
        return (Remedy(change="cache", choice=plain, verdict=verdict),)
    best = auto_fit(info, plain, devices, memory, planner, worst="fits")
    return (Remedy(change="fit", choice=best.choice, verdict=best.verdict),) if best else ()


def _smaller_file(
    info: ModelInfo,
    choice: ChosenLoad,
    devices: Sequence[Device],
    memory: MemoryNow,
    others: Iterable[LibraryModel],
    planner: PlanMaker,
) -> Remedy | None:
    """The largest file of the same model that fits as it is."""
    for other in sorted(others, key=lambda other: -other.info.weights_bytes):
        if _is_smaller(other.info, info):
            verdict = judge(other.info, choice, devices, memory, planner)
            if verdict.fit == "fits":
                return Remedy(change="file", choice=choice, verdict=verdict, model=other)
    return None


def _is_smaller(other: ModelInfo, info: ModelInfo) -> bool:
    """Whether `other` is the same model in a smaller quantization."""
    same = ("arch", "n_layers", "n_embd", "n_ff", "n_ff_expert", "n_head", "n_expert", "n_vocab")
    return (
        other.kind == "model"
        and other.name.casefold() == info.name.casefold()
        and other.weights_bytes < info.weights_bytes
        and all(getattr(other, name) == getattr(info, name) for name in same)
    )


def _smaller_quant(info: ModelInfo, choice: ChosenLoad, devices: Sequence[Device], memory: MemoryNow) -> Remedy | None:
    """The largest common quantization that would fit, by the formula: every tensor scaled alike."""
    bits = 8 * info.weights_bytes / max(info.n_params, 1)
    for quant, target in _BITS:
        if target < 0.95 * bits:
            verdict = judge(scaled(info, target / bits), choice, devices, memory)
            if verdict.fit == "fits":
                return Remedy(change="quant", choice=choice, verdict=verdict, quant=quant)
    return None


def scaled(info: ModelInfo, factor: float) -> ModelInfo:
    """The model with each tensor `factor` times as large: another quantization of it, by estimate."""

    def times(n_bytes: int) -> int:
        return round(n_bytes * factor)

    layers = tuple(
        msgspec.structs.replace(
            layer,
            weights_bytes=times(layer.weights_bytes),
            expert_bytes=times(layer.expert_bytes),
            largest_tensor_bytes=times(layer.largest_tensor_bytes),
        )
        for layer in info.layers
    )
    names = ("size_bytes", "weights_bytes", "input_bytes", "output_bytes", "tied_bytes")
    return msgspec.structs.replace(info, layers=layers, **{name: times(getattr(info, name)) for name in names})
