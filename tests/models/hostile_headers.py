"""Headers that cost a reader as much as it lets them: each takes one thing to its limit. Shared by the tests and by the
campaign `tests/campaigns/headers.py`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.models.gguf_files import Shape, header, pair, text

MIB = 1 << 20
BASE = Shape().metadata()


def raw_array(key: str, kind: int, count: int, payload: bytes) -> bytes:
    return text(key) + struct.pack("<IIQ", 9, kind, count) + payload


def with_pairs(pairs: list[bytes], n_tensors: int = 0, rest: bytes = b"") -> bytes:
    """A header that begins with these entries of metadata, then those of a small model."""
    mine = [pair(key, value) for key, value in BASE.items()]
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, len(pairs) + len(mine)) + b"".join(pairs + mine) + rest


def tensors(n: int) -> bytes:
    return b"".join(text(f"blk.{i % 512}.t{i}") + struct.pack("<IQIQ", 1, 8, 0, 32 * i) for i in range(n))


def arrays(n: int, count: int, kind: int = 0) -> bytes:
    """`n` arrays of `count` bytes: at 65,536 of 1,024 a reader that keeps all values is busy for half a minute."""
    payload = bytes(count)
    return with_pairs([raw_array(f"a{i}", kind, count, payload) for i in range(n)])


def same_vocabularies(n: int, length: int) -> bytes:
    """Arrays of one count that differ only in their last string: comparing each with all is quadratic."""
    start = text("x" * (length // 1024)) * 1023
    return with_pairs([raw_array(f"v{i}", 8, 1024, start + text(f"{i:08d}")) for i in range(n)])


def many_layers(n_layers: int, n_expert: int) -> bytes:
    shape = Shape(n_layers=n_layers, n_expert=n_expert, n_expert_used=min(n_expert, 4), n_embd=256, n_ff_expert=256)
    return header(shape.metadata(), shape.tensors())[0]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "65,536 arrays": lambda: arrays(65_536, 1024),
    "30,000 arrays": lambda: arrays(30_000, 1024),
    "30,000 lists of texts": lambda: with_pairs([raw_array(f"a{i}", 8, 64, text("x") * 64) for i in range(30_000)]),
    "100,000 keys": lambda: with_pairs([pair(f"k{i}", i) for i in range(100_000)]),
    "keys of 64 KiB": lambda: with_pairs([pair(f"{i:05d}" + "k" * 65_000, 1) for i in range(900)]),
    "texts of 16 MiB": lambda: with_pairs([pair(f"t{i}", "é" * (8 * MIB)) for i in range(3)]),
    "a name of 16 MiB": lambda: with_pairs([pair("general.description", ""), pair("x.name", "n" * (16 * MIB))]),
    "7,000,000 empty texts": lambda: with_pairs([raw_array("tokens", 8, 7_000_000, bytes(56_000_000))]),
    "one vocabulary, 800 times": lambda: same_vocabularies(800, 64_000),
    "one vocabulary, 6 times": lambda: same_vocabularies(6, 8_000_000),
    "260,000 tensors": lambda: with_pairs([], 260_000, tensors(260_000)),
    "16,000 tensors": lambda: with_pairs([], 16_000, tensors(16_000)),
    "512 layers of experts": lambda: many_layers(512, 8),
    "1,024 layers of experts": lambda: many_layers(1024, 8),
    "arrays by layer, 1,024 long": lambda: with_pairs(
        [
            raw_array(f"qwen3.{key}", 4, 1024, struct.pack("<I", 7) * 1024)
            for key in ("attention.key_length_swa", "attention.value_length_swa", "ssm.inner_size", "ssm.conv_kernel")
        ]
    ),
}
"""By what is too much in it. "Damaged" and "too large" are right answers, so is a model."""


def write_all(folder: Path) -> Iterator[Path]:
    """Write them one after the other; their weights are holes."""
    for number, (name, make) in enumerate(HOSTILE.items()):
        path = folder / f"{number:02d} {name.replace(',', '')}.gguf"
        path.write_bytes(make())
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + (1 << 34))
        yield path
