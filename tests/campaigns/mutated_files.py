"""Whole model files with something wrong in them, by kind: what `tests/campaigns/mutated_models.py` gives to the
engine. The same ones for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaigns.mutations import (
    ARCHITECTURES,
    I32,
    U16,
    Change,
    arch_of,
    of_hyperparameters,
    of_templates,
    of_tensors,
    of_vocabulary,
    of_weights,
)
from tests.conftest import DENSE, MOE
from tests.engine.model_files import N_VOCAB, vocabulary, with_vocabulary
from tests.models.gguf_files import Shape, Typed, header, tensor_bytes, write_recurrent
from tests.models.whole_files import Tensor, WholeFile, take_apart
from tests.tape import CHATML, IM, Tape, build
from tui.models.quants import BY_NAME


@dataclass
class Mutated:
    """A file to be tried: `kind` is what is wrong with it. `more` files, by name, lie beside it."""

    kind: str
    what: str
    raw: bytes
    hole: int = 0
    n_ctx: int = 512
    name: str = "model.gguf"
    more: dict[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, raw in self.more.items():
            (folder / name).write_bytes(raw)
        path = folder / self.name
        with path.open("wb") as file:
            file.write(self.raw)
            file.truncate(len(self.raw) + self.hole)
        return path


class Originals:
    """Sound files of each kind that there are writers for."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.dense, self.moe = (take_apart(path.read_bytes()) for path in (DENSE, MOE))
        build(
            folder / "tape.gguf",
            [Tape("assistant\n", ["Hi", " there!", IM[1]])],
            template=CHATML,
            eos=IM[1],
            control=IM,
        )
        self.tape = take_apart((folder / "tape.gguf").read_bytes())
        self.recurrent = take_apart(write_recurrent(folder / "mamba.gguf", n_vocab=N_VOCAB).read_bytes())
        self.recurrent.metadata |= vocabulary()
        for tensor in self.recurrent.tensors:
            tensor.data = struct.pack(f"<{len(tensor.data) // 4}f", *(rng.uniform(-0.1, 0.1) for _ in tensor.data[::4]))
        self.folder = folder
        self.all = {"dense": self.dense, "moe": self.moe, "tape": self.tape, "mamba": self.recurrent}


def damaged(raw: bytes, header_size: int, rng: random.Random) -> Iterator[tuple[str, str, bytes, int]]:
    """What transport and disks do: ends too early, flipped bits, holes. With the size of the hole behind it."""
    ends = [0, 1, 3, 4, 7, 8, 23, 24, header_size - 1, header_size, header_size + 1, len(raw) - 1, len(raw) - 32]
    for end in (*ends, *(rng.randrange(len(raw)) for _ in range(12))):
        yield "cut off", f"after {end}", raw[:end], 0
        if end > 24:
            yield "holes", f"from {end} on", raw[:end], len(raw) - end
    yield "holes", "a terabyte behind it", raw, 1 << 40
    for _ in range(40):
        data = bytearray(raw)
        within = rng.choice((header_size, len(raw)))
        for _ in range(rng.choice((1, 1, 4, 64))):
            data[rng.randrange(8, within)] ^= 1 << rng.randrange(8)
        yield "flipped bits", f"in the first {within}", bytes(data), 0


def split(parts: WholeFile) -> Iterator[Mutated]:
    """Files that say that they are parts of a model, and are not what they say."""

    def part(tensors: Sequence[Tensor], no: int, count: int, n_tensors: int, *, first: bool) -> bytes:
        numbers = {
            "split.no": Typed(U16, no),
            "split.count": Typed(U16, count),
            "split.tensors.count": Typed(I32, n_tensors),
        }
        return WholeFile(numbers | (parts.metadata if first else {}), list(tensors)).to_bytes()

    all_of_them, n = parts.tensors, len(parts.tensors)
    one, two = all_of_them[: n // 2], all_of_them[n // 2 :]
    names = [f"m-{i:05d}-of-00002.gguf" for i in (1, 2)]
    right = [part(one, 0, 2, n, first=True), part(two, 1, 2, n, first=False)]

    def pair(what: str, first: bytes, second: bytes | None) -> Mutated:
        return Mutated("split", what, first, name=names[0], more={names[1]: second} if second is not None else {})

    yield pair("as it should be", *right)
    yield pair("the second is missing", right[0], None)
    yield pair("both the first", right[0], right[0])
    yield pair("both the second", right[1], right[1])
    yield pair("the second is no model", right[0], b"GGUF")
    yield pair("the second is cut off", right[0], right[1][:-1000])
    yield pair("tensors twice", right[0], part(all_of_them, 1, 2, n, first=False))
    yield pair("too few tensors", right[0], part(two[1:], 1, 2, n, first=False))
    for count in (0, 1, 3, 65535):
        yield pair(f"of {count}", part(one, 0, count, n, first=True), part(two, 1, count, n, first=False))
        yield Mutated("split", f"alone of {count}", part(all_of_them, 0, count, n, first=True))
    for number in (-1, 0, 1, n + 1, 2**31 - 1):
        yield pair(f"{number} tensors", part(one, 0, 2, number, first=True), right[1])
    for no in (1, 7, 65535):
        yield pair(f"the first is number {no}", part(one, no, 2, n, first=True), right[1])


def quantized(folder: Path, rng: random.Random) -> Iterator[Mutated]:
    """Models of each type of tensor with weights by chance, whose scales are often no numbers."""
    for kind in BY_NAME:
        for n_expert in (0, 4):
            shape = Shape(n_vocab=N_VOCAB, kind=kind, n_expert=n_expert, n_expert_used=min(2, n_expert))
            path = with_vocabulary(shape, folder / "quantized.gguf")
            n_weights = sum(tensor_bytes(shape, kind) for _, shape, kind in shape.tensors())
            raw = path.read_bytes()
            yield Mutated(
                "quantized by chance", f"{kind}{' moe' * bool(n_expert)}", raw[:-n_weights] + rng.randbytes(n_weights)
            )


def asking_for_much() -> Iterator[Mutated]:
    """Sound files of a MB that ask for tens of GB: weights that are a hole, a context, experts."""
    shapes = {
        "large weights": (
            Shape(n_embd=8192, n_layers=80, n_head=64, n_head_kv=8, head=128, n_ff=28672, n_vocab=N_VOCAB),
            {},
        ),
        "many experts": (
            Shape(n_layers=64, n_embd=4096, n_expert=512, n_expert_used=8, n_ff_expert=1024, n_vocab=N_VOCAB),
            {},
        ),
        "all experts used": (Shape(n_expert=512, n_expert_used=512, n_vocab=N_VOCAB), {}),
        "a large context": (
            Shape(n_head=64, n_head_kv=64, head=128, n_vocab=N_VOCAB),
            {"qwen3.context_length": 1 << 20},
        ),
        "the largest context": (Shape(n_vocab=N_VOCAB), {"qwen3.context_length": (1 << 32) - 1}),
        "512 layers": (Shape(n_layers=512, n_vocab=N_VOCAB), {"qwen3.context_length": 1 << 20}),
        "wide heads": (Shape(n_layers=2, n_head_kv=4, head=65536, n_vocab=N_VOCAB), {"qwen3.context_length": 1 << 16}),
    }
    for what, (shape, more) in shapes.items():
        raw, size = header(shape.metadata() | vocabulary() | more, shape.tensors())
        for n_ctx in (512, 0):
            yield Mutated("asks for much", f"{what}, context {n_ctx}", raw, size - len(raw), n_ctx)


def everything(originals: Originals, rng: random.Random) -> Iterator[Mutated]:
    """All of them."""

    def made(which: str, changes: Iterator[tuple[str, str, Change]]) -> Iterator[Mutated]:
        for kind, what, change in changes:
            parts = originals.all[which].copy()
            try:
                change(parts)
            except (KeyError, StopIteration, ValueError):  # a model without such a part
                continue
            n_ctx = 0 if "context_length" in what else 512
            yield Mutated(kind, f"{which}: {what}", parts.to_bytes(), n_ctx=n_ctx)

    for which, parts in originals.all.items():
        yield Mutated("sound", which, parts.to_bytes())
    yield from made("dense", of_vocabulary(rng))
    yield from made("tape", of_templates())
    for arch in ARCHITECTURES:
        for which in ("dense", "moe"):

            def renamed(parts: WholeFile, arch: str = arch) -> None:
                old = arch_of(parts)
                new = {
                    key.replace(old, arch, 1) if key.startswith(old) else key: v for key, v in parts.metadata.items()
                }
                parts.metadata = new | {"general.architecture": arch}

            yield from made(which, iter([("architectures", arch, renamed)]))
    for which, n in {"dense": 60, "moe": 60, "tape": 30, "mamba": 30}.items():
        yield from made(which, of_hyperparameters(originals.all[which], rng, n))
        yield from made(which, of_tensors(originals.all[which], rng, 60))
    for which in ("dense", "moe", "mamba"):
        yield from made(which, of_weights(originals.all[which], rng))
    for which in ("dense", "tape", "mamba"):
        parts = originals.all[which]
        raw = parts.to_bytes()
        for kind, what, data, hole in damaged(raw, parts.header_size, rng):
            yield Mutated(kind, f"{which}: {what}", data, hole)
    yield from split(originals.dense)
    yield from asking_for_much()
    yield from quantized(originals.folder, rng)
