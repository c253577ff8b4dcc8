"""What a table of tensors tells by itself: sizes, layers, types of weights. `info` puts the metadata to it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tui.models.gguf import TensorInfo

_EXPERTS = re.compile(r"^blk\.\d+\.ffn_(up|down|gate|gate_up)_(ch)?exps")
_INPUT = ("token_embd.weight", "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight")
_NO_WEIGHTS = ("I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K")
"""Types that llama.cpp has for other things: it crashes when it multiplies with such a matrix."""
_MATRIX = re.compile(r"^(token_embd|output|blk\.\d+\.(attn|ffn|ssm)_[a-z_]+)\.weight$")


class LayerTensors(msgspec.Struct, frozen=True, kw_only=True):
    """The tensors of one layer."""

    names: frozenset[str]
    """Without "blk.N."."""
    n_bytes: int
    expert_bytes: int
    """Of these, what belongs to experts that are chosen token by token."""
    largest_bytes: int


class TensorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All tensors of a model together."""

    names: frozenset[str]
    apart: tuple[str, ...]
    """Names that do not begin with "blk."."""
    n_bytes: int
    n_params: int
    n_expert_params: int
    layers: tuple[LayerTensors, ...]
    input_bytes: int
    """Embedding tables."""
    output_bytes: int
    """All else that belongs to no layer."""
    embedding: TensorInfo | None
    heaviest: str
    """The type that most bytes are of; empty without tensors."""
    odd: TensorInfo | None
    """A matrix of a type that none is kept in."""


def facts_of(tensors: Sequence[TensorInfo], n_layers: int) -> TensorFacts:
    """What is told by the tensors of a model of so many layers."""
    by_layer: list[dict[str, TensorInfo]] = [{} for _ in range(n_layers)]
    by_type: dict[str, int] = {}
    rest: list[TensorInfo] = []
    n_params = n_expert_params = 0
    # There are hundreds of tensors in each of a thousand files: one walk, and no expression that need not be matched.
    for tensor in tensors:
        kind, n_elements = tensor.ggml_type.name, tensor.n_elements
        by_type[kind] = by_type.get(kind, 0) + tensor.n_bytes
        n_params += n_elements
        if _is_expert(tensor):
            n_expert_params += n_elements
        block, _, numbered = tensor.name.partition(".")
        number, _, name = numbered.partition(".")
        if block == "blk" and name and number.isdecimal() and int(number) < n_layers:
            by_layer[int(number)][name] = tensor
        else:
            rest.append(tensor)
    input_bytes = sum(tensor.n_bytes for tensor in rest if tensor.name in _INPUT)
    strange = (tensor for tensor in tensors if tensor.ggml_type.name in _NO_WEIGHTS and len(tensor.shape) > 1)
    return TensorFacts(
        names=frozenset(tensor.name for tensor in tensors),
        apart=tuple(tensor.name for tensor in tensors if not tensor.name.startswith("blk.")),
        n_bytes=sum(by_type.values()),
        n_params=n_params,
        n_expert_params=n_expert_params,
        layers=tuple(_layer(tensors) for tensors in by_layer),
        input_bytes=input_bytes,
        output_bytes=sum(tensor.n_bytes for tensor in rest) - input_bytes,
        embedding=next((tensor for tensor in rest if tensor.name == "token_embd.weight"), None),
        heaviest=max(by_type, key=by_type.__getitem__, default=""),
        odd=next((tensor for tensor in strange if _MATRIX.match(tensor.name)), None),
    )


def _layer(tensors: dict[str, TensorInfo]) -> LayerTensors:
    sizes = [tensor.n_bytes for tensor in tensors.values()]
    return LayerTensors(
        names=frozenset(tensors),
        n_bytes=sum(sizes),
        expert_bytes=sum(tensor.n_bytes for tensor in tensors.values() if _is_expert(tensor)),
        largest_bytes=max(sizes, default=0),
    )


def _is_expert(tensor: TensorInfo) -> bool:
    return "exps" in tensor.name and _EXPERTS.match(tensor.name) is not None
