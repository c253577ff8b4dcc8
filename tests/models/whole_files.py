"""A whole GGUF file taken apart, weights included, so that any part of it can be changed while the rest stays."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.models.gguf_files import ALIGNMENT, CODES, Typed, pad, pair, text

_STRING, _ARRAY = 8, 9


@dataclass
class Tensor:
    """One tensor: type by its number, the data as bytes, of which there may be more or fewer than shape and type say.
    `offset` is where the file says that it lies, if not where it does."""

    name: str | bytes
    shape: tuple[int, ...]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass
class WholeFile:
    """Metadata and tensors in the order of the file. `n_keys` and `n_tensors` are what the file says of itself, if not
    how many there are; `hole` bytes that were never written follow it."""

    metadata: dict[str, object]
    tensors: list[Tensor]
    version: int = 3
    n_keys: int | None = None
    n_tensors: int | None = None
    hole: int = 0
    header_size: int = field(default=0, compare=False)
    """Of the header, once `to_bytes` was called."""

    def copy(self) -> WholeFile:
        """One that can be changed apart from this: its tensors are copied, values of the metadata are not."""
        return replace(self, metadata=dict(self.metadata), tensors=[replace(tensor) for tensor in self.tensors])

    def typed(self, key: str) -> Typed:
        """A value of the metadata as `take_apart` finds it."""
        found = self.metadata[key]
        assert isinstance(found, Typed), f"{key} has been changed"
        return found

    def values(self, key: str) -> list[Typed]:
        """Those of an array, as `take_apart` finds them."""
        found = self.typed(key).value
        assert isinstance(found, list)
        return found

    def tensor(self, name: str) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def to_bytes(self) -> bytes:
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_keys = len(self.metadata) if self.n_keys is None else self.n_keys
        raw = b"GGUF" + struct.pack("<IQQ", self.version, n_tensors, n_keys)
        raw += b"".join(pair(key, value) for key, value in self.metadata.items())
        infos, blobs, end = [], [], 0
        for tensor in self.tensors:
            offset = end if tensor.offset is None else tensor.offset
            shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            infos.append(text(tensor.name) + shape + struct.pack("<IQ", tensor.kind, offset))
            blobs.append(tensor.data.ljust(pad(len(tensor.data)), b"\0"))
            end += len(blobs[-1])
        raw += b"".join(infos)
        raw = raw.ljust(pad(len(raw)), b"\0")
        self.header_size = len(raw)
        return raw + b"".join(blobs)

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(self.to_bytes())
            file.truncate(file.tell() + self.hole)
        return path


def take_apart(raw: bytes) -> WholeFile:
    """The parts of a sound file."""
    at = 4

    def unpack(form: str) -> tuple[int, ...]:
        nonlocal at
        found = struct.unpack_from("<" + form, raw, at)
        at += struct.calcsize("<" + form)
        return found

    def string() -> bytes:
        nonlocal at
        (n,) = unpack("Q")
        at += n
        return raw[at - n : at]

    def value(code: int) -> Typed:
        if code == _STRING:
            return Typed(_STRING, string())
        if code == _ARRAY:
            kind, count = unpack("IQ")
            return Typed(_ARRAY, [value(kind) for _ in range(count)])
        return Typed(code, unpack(CODES[code])[0])

    version, n_tensors, n_keys = unpack("IQQ")
    metadata: dict[str, object] = {}
    for _ in range(n_keys):
        key = string().decode()
        metadata[key] = value(unpack("I")[0])
    infos: list[tuple[str, tuple[int, ...], int, int]] = []
    for _ in range(n_tensors):
        name = string().decode()
        (n_dims,) = unpack("I")
        shape, (kind, offset) = unpack(f"{n_dims}Q"), unpack("IQ")
        infos.append((name, shape, kind, offset))
    start = pad(at)
    assert pair_of(metadata, "general.alignment", ALIGNMENT) == ALIGNMENT
    ends = [offset for *_, offset in infos[1:]] + [len(raw) - start]
    tensors = [
        Tensor(name, shape, kind, raw[start + offset : start + end])
        for (name, shape, kind, offset), end in zip(infos, ends, strict=True)
    ]
    return WholeFile(metadata, tensors, version)


def pair_of(metadata: dict[str, object], key: str, default: object) -> object:
    """A value of the metadata without its type."""
    found = metadata.get(key, default)
    return found.value if isinstance(found, Typed) else found


def changed(raw: bytes, change: Callable[[WholeFile], object]) -> bytes:
    """A sound file with something in it changed."""
    parts = take_apart(raw)
    change(parts)
    return parts.to_bytes()
