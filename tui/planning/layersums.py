"""Sums over the layers of a model, from the first on, so that what any run of layers takes is a subtraction: a search
asks for the cost of hundreds of placements of the same model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from tui.models.info import Layer, ModelInfo
from tui.models.quants import BY_NAME, row_bytes
from tui.protocol.records import CacheType

_MOST_MODELS = 8


class LayerSums:
    """Each list has, at n, the sum or greatest of the first n layers."""

    def __init__(self, info: ModelInfo) -> None:
        layers = info.layers
        self.info = info
        self.dense_bytes = _sums(layer.weights_bytes - layer.expert_bytes for layer in layers)
        """Of weights that are no experts."""
        self.expert_bytes = _sums(layer.expert_bytes for layer in layers)
        self.expert_read_bytes = _sums(
            layer.expert_bytes - round(layer.expert_bytes * (1 - info.expert_share)) for layer in layers
        )
        """Of the experts, what a token reads."""
        self.state_bytes = _sums(layer.state_bytes for layer in layers)
        self.largest_tensor = _greatest(layer.largest_tensor_bytes for layer in layers)
        self.largest_with_experts = _greatest(
            layer.largest_tensor_bytes if layer.expert_bytes else 0 for layer in layers
        )
        """As `largest_tensor`, of the layers with experts alone."""
        self._cells: dict[tuple[CacheType, CacheType], dict[int, list[int]]] = {}

    def cell_bytes(self, type_k: CacheType, type_v: CacheType) -> dict[int, list[int]]:
        """K and V of one token, by the window of the layers: 0 for those that see the whole context."""
        if (type_k, type_v) not in self._cells:
            layers = self.info.layers
            windows = {layer.window for layer in layers}
            bytes_by_layer = [cell_bytes(layer, type_k, type_v) for layer in layers]
            self._cells[type_k, type_v] = {
                window: _sums(
                    n_bytes if layer.window == window else 0
                    for layer, n_bytes in zip(layers, bytes_by_layer, strict=True)
                )
                for window in windows
            }
        return self._cells[type_k, type_v]


def cell_bytes(layer: Layer, type_k: CacheType, type_v: CacheType) -> int:
    """K and V of one token in one layer."""
    return row_bytes(BY_NAME[type_k.upper()], layer.k_width) + row_bytes(BY_NAME[type_v.upper()], layer.v_width)


_known: dict[int, LayerSums] = {}
"""Of the models that were asked about last, by the identity of their records, which are held for that."""


def layer_sums(info: ModelInfo) -> LayerSums:
    """The sums of a model; made once for each record."""
    found = _known.get(id(info))
    if found is None or found.info is not info:
        found = LayerSums(info)
        while len(_known) >= _MOST_MODELS:
            _known.pop(next(iter(_known), 0), None)
        _known[id(info)] = found
    return found


def first_share(n: int, share: float) -> int:
    """Of `n` layers, how many begin before this share of them."""
    return bisect_left(range(n), share, key=lambda layer: layer / n)


def _sums(values: Iterable[int]) -> list[int]:
    return list(accumulate(values, initial=0))


def _greatest(values: Iterable[int]) -> list[int]:
    return list(accumulate(values, max, initial=0))
