"""Models that load, made for what is tested: the tiny model's vocabulary before weights that are a hole."""

from __future__ import annotations

import functools
from pathlib import Path

from gguf import GGUFReader, GGUFValueType

from tests.conftest import DENSE
from tests.models.gguf_files import Shape, Typed, write

N_VOCAB = 1982
"""Of the tiny models."""


@functools.cache
def vocabulary() -> dict[str, object]:
    """The metadata of the tiny models' tokenizer and template."""
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
    return write(path, shape.metadata(**more) | vocabulary(), shape.tensors())


def split_with_vocabulary(shape: Shape, folder: Path, n: int, suffix: str = ".gguf") -> list[Path]:
    """As `with_vocabulary`, in `n` files as llama.cpp splits them."""
    tensors = shape.tensors()
    found = []
    for i in range(n):
        numbers = {
            "split.no": Typed(GGUFValueType.UINT16, i),
            "split.count": Typed(GGUFValueType.UINT16, n),
            "split.tensors.count": Typed(GGUFValueType.INT32, len(tensors)),
        }
        metadata = numbers | (shape.metadata() | vocabulary() if i == 0 else {})
        found.append(write(folder / f"split-{i + 1:05d}-of-{n:05d}{suffix}", metadata, tensors[i::n]))
    return found
