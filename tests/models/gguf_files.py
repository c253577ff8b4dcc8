"""Writes GGUF files for tests, byte by byte, so that also such can be made that no other writer would write. Weights
are a hole in the file."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.models.quants import BY_NAME, row_bytes

CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ALIGNMENT = 32

Tensor = tuple[str, tuple[int, ...], str]
"""Name, shape with the length of a row first, type: its name, or as "#31" its number, whatever it is."""


@dataclass(frozen=True)
class Typed:
    """A value with the number of its GGUF type, where the usual one for a Python value is not wanted."""

    code: int
    value: object


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def _code(value: object) -> int:
    match value:
        case Typed():
            return value.code
        case bool():
            return 7
        case int():
            return 4
        case float():
            return 6
        case str() | bytes():
            return 8
        case _:
            return 9


def _payload(value: object) -> bytes:
    code, value = _code(value), value.value if isinstance(value, Typed) else value
    if code == 8:
        assert isinstance(value, str | bytes)
        return text(value)
    if code == 9:
        assert isinstance(value, Sequence)
        kind = _code(value[0]) if value else 4
        return struct.pack("<IQ", kind, len(value)) + b"".join(map(_payload, value))
    return struct.pack("<" + CODES[code], value)


def pair(key: str | bytes, value: object) -> bytes:
    """One entry of the metadata."""
    return text(key) + struct.pack("<I", _code(value)) + _payload(value)


def tensor_bytes(shape: Sequence[int], kind: str) -> int:
    if kind.startswith("#"):
        return 0
    rows = 1
    for n in shape[1:]:
        rows *= n
    return rows * row_bytes(BY_NAME[kind], shape[0])


def _type_id(kind: str) -> int:
    return int(kind[1:]) if kind.startswith("#") else BY_NAME[kind].id


def pad(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT


def header(metadata: Mapping[str, object], tensors: Sequence[Tensor] = (), version: int = 3) -> tuple[bytes, int]:
    """The bytes of a header, padded, and the size of the whole file."""
    raw = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    raw += b"".join(pair(key, value) for key, value in metadata.items())
    offset = 0
    end = 0
    for name, shape, kind in tensors:
        raw += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _type_id(kind), offset)
        end = offset + tensor_bytes(shape, kind)
        offset = pad(end)
    if tensors:
        raw = raw.ljust(pad(len(raw)), b"\0")
    return raw, len(raw) + end


def write(path: Path, metadata: Mapping[str, object], tensors: Sequence[Tensor] = ()) -> Path:
    """A whole file, its weights a hole."""
    raw, size = header(metadata, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(size)
    return path


def add_metadata(source: Path, target: Path, more: Mapping[str, object]) -> Path:
    """A copy of a whole file with more metadata, before that which it has."""
    raw = source.read_bytes()
    version, n_tensors, n_pairs = struct.unpack_from("<IQQ", raw, 4)
    pairs = b"".join(pair(key, value) for key, value in more.items())
    filler = "test.filler"
    # The weights begin at the next multiple of the alignment: they stay where they belong if they move by one.
    missing = -(len(pairs) + len(pair(filler, ""))) % ALIGNMENT
    pairs += pair(filler, " " * missing)
    head = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_pairs + len(more) + 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(head + pairs + raw[len(head) :])
    return target


@dataclass(frozen=True)
class Shape:
    """A model of Qwen3's kind; the defaults are small."""

    n_embd: int = 256
    n_layers: int = 2
    n_head: int = 4
    n_head_kv: int = 2
    head: int = 64
    n_ff: int = 512
    n_vocab: int = 512
    n_expert: int = 0
    n_expert_used: int = 0
    n_ff_expert: int = 256
    tied: bool = False
    kind: str = "Q4_K"

    @property
    def arch(self) -> str:
        return "qwen3moe" if self.n_expert else "qwen3"

    def metadata(self, **more: object) -> dict[str, object]:
        arch = self.arch
        found: dict[str, object] = {
            "general.architecture": arch,
            "general.name": "Test Qwen3",
            "general.file_type": 15,
            f"{arch}.block_count": self.n_layers,
            f"{arch}.context_length": 40960,
            f"{arch}.embedding_length": self.n_embd,
            f"{arch}.feed_forward_length": self.n_ff,
            f"{arch}.attention.head_count": self.n_head,
            f"{arch}.attention.head_count_kv": self.n_head_kv,
            f"{arch}.attention.key_length": self.head,
            f"{arch}.attention.value_length": self.head,
            f"{arch}.attention.layer_norm_rms_epsilon": 1e-6,
            f"{arch}.rope.freq_base": 1e6,
            f"{arch}.vocab_size": self.n_vocab,
            "tokenizer.ggml.model": "no_vocab",
        }
        if self.n_expert:
            found |= {
                f"{arch}.expert_count": self.n_expert,
                f"{arch}.expert_used_count": self.n_expert_used,
                f"{arch}.expert_feed_forward_length": self.n_ff_expert,
            }
        return found | {key.replace("__", "."): value for key, value in more.items()}

    def tensors(self) -> list[Tensor]:
        n, q, kv, kind = self.n_embd, self.n_head * self.head, self.n_head_kv * self.head, self.kind
        found: list[Tensor] = [("token_embd.weight", (n, self.n_vocab), kind), ("output_norm.weight", (n,), "F32")]
        if not self.tied:
            found.append(("output.weight", (n, self.n_vocab), kind))
        for i in range(self.n_layers):
            layer: list[Tensor] = [
                ("attn_norm", (n,), "F32"),
                ("ffn_norm", (n,), "F32"),
                ("attn_q_norm", (self.head,), "F32"),
                ("attn_k_norm", (self.head,), "F32"),
                ("attn_q", (n, q), kind),
                ("attn_k", (n, kv), kind),
                ("attn_v", (n, kv), kind),
                ("attn_output", (q, n), kind),
            ]
            if self.n_expert:
                f, e = self.n_ff_expert, self.n_expert
                layer += [
                    ("ffn_gate_inp", (n, e), "F32"),
                    ("ffn_gate_exps", (n, f, e), kind),
                    ("ffn_up_exps", (n, f, e), kind),
                    ("ffn_down_exps", (f, n, e), kind),
                ]
            else:
                layer += [
                    ("ffn_gate", (n, self.n_ff), kind),
                    ("ffn_up", (n, self.n_ff), kind),
                    ("ffn_down", (self.n_ff, n), kind),
                ]
            found += [(f"blk.{i}.{name}.weight", shape, t) for name, shape, t in layer]
        return found

    def write(self, path: Path, **more: object) -> Path:
        """The model as a file whose weights are a hole."""
        return write(path, self.metadata(**more), self.tensors())


def write_recurrent(path: Path, n_layers: int = 2, n_vocab: int = 512) -> Path:
    """A model of Mamba's kind as a file whose weights are a hole: no KV cache, but a state for each sequence."""
    n_embd, inner, state, taps, rank = 256, 512, 16, 4, 16
    metadata: dict[str, object] = {
        "general.architecture": "mamba",
        "general.name": "Test Mamba",
        "mamba.block_count": n_layers,
        "mamba.context_length": 40960,
        "mamba.embedding_length": n_embd,
        "mamba.feed_forward_length": 0,
        "mamba.attention.head_count": 0,
        "mamba.attention.layer_norm_rms_epsilon": 1e-5,
        "mamba.ssm.conv_kernel": taps,
        "mamba.ssm.inner_size": inner,
        "mamba.ssm.state_size": state,
        "mamba.ssm.time_step_rank": rank,
        "mamba.vocab_size": n_vocab,
        "tokenizer.ggml.model": "no_vocab",
    }
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm.weight": (n_embd,),
        "ssm_in.weight": (n_embd, 2 * inner),
        "ssm_conv1d.weight": (taps, inner),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (inner, rank + 2 * state),
        "ssm_dt.weight": (rank, inner),
        "ssm_dt.bias": (inner,),
        "ssm_a": (state, inner),
        "ssm_d": (inner,),
        "ssm_out.weight": (inner, n_embd),
    }
    tensors: list[Tensor] = [
        ("token_embd.weight", (n_embd, n_vocab), "F32"),
        ("output_norm.weight", (n_embd,), "F32"),
        *((f"blk.{i}.{name}", shape, "F32") for i in range(n_layers) for name, shape in layer.items()),
    ]
    return write(path, metadata, tensors)
