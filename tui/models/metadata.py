"""Typed look-ups in the metadata of a GGUF header. The values come from strangers: what has the wrong type or an absurd
size counts as missing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tui.models.gguf import Value

_MOST_OF_AN_ARCH = 64
"""Characters of the name of an architecture."""
_MAX_NUMBER = 1 << 26
"""Above any context size or width of today."""


class Metadata:
    """The metadata of a model; keys without a dot-separated owner belong to its architecture."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values
        self.arch = self.text("general.architecture")[:_MOST_OF_AN_ARCH]

    def text(self, key: str) -> str:
        """A text by its full key; empty when missing."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str, default: int = 0) -> int:
        """A count that the architecture declares, such as "block_count"; the greatest of an array."""
        value = self.values.get(f"{self.arch}.{key}")
        counts = [_count(item) for item in value] if isinstance(value, tuple) else [_count(value)]
        return max((count for count in counts if count is not None), default=default)

    def real(self, key: str) -> float:
        """A number that the architecture declares and that need not be whole; 0 when missing or none."""
        value = self.values.get(f"{self.arch}.{key}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0.0
        return float(value) if math.isfinite(value) else 0.0

    def per_layer(self, key: str, n_layers: int, default: int = 0) -> tuple[int, ...]:
        """A count that may be one for all layers or an array of one for each."""
        value = self.values.get(f"{self.arch}.{key}")
        if isinstance(value, tuple):
            counts = [_count(item) or 0 for item in value[:n_layers]]
            return (*counts, *[0] * (n_layers - len(counts)))
        count = _count(value)
        return (default if count is None else count,) * n_layers

    def flags(self, key: str, n_layers: int) -> tuple[bool, ...] | None:
        """One truth value for each layer; None when the key holds no array."""
        value = self.values.get(f"{self.arch}.{key}")
        if not isinstance(value, tuple):
            return None
        flags = [bool(item) for item in value[:n_layers]]
        return (*flags, *[False] * (n_layers - len(flags)))


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_NUMBER else None
