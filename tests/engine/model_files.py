"""Models that load, made for what is tested: the tiny model's vocabulary before weights that are a hole."""

from __future__ import annotations

import functools
from pathlib import Path

from gguf import GGUFReader, GGUFValueType

from tests.conftest import DENSE
from tests.models_on_disk.gguf_files import Shape, Typed, write

N_VOCAB = 1982
"""Of the tiny models."""


@functools.cache
def _vocabulary() -> dict[str, object]:
    found: dict[str, object] = {}
    for key, field in GGUFReader(DENSE).fields.items():
        if key.startswith("tokenizer."):
            value = field.contents()
            signed = field.types[-1] == GGUFValueType.INT32
            found[key] = [Typed(GGUFValueType.INT32, item) for item in value] if signed else value
    return found


def with_vocabulary(shape: Shape, path: Path, **more: object) -> Path:
    """A model of this shape, whose `n_vocab` must be `N_VOCAB`, with all that a chat needs but sense. `more` as for
    `Shape.metadata`."""
    assert shape.n_vocab == N_VOCAB
    return write(path, shape.metadata(**more) | _vocabulary(), shape.tensors())
