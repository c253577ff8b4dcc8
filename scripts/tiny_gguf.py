"""Writes a GGUF file of a tiny model with random weights and rows as long as real ones need them, for llama.cpp's
self-test: one layer of attention and a mixture of experts, with or without a vocabulary. Standard library only."""

from __future__ import annotations

import functools
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

N_EMBD = 256
"""Also the longest block of any quantization; every row is a multiple of it."""
N_FF = 512
N_VOCAB = 512
N_HEAD = 4
N_HEAD_KV = 2
N_EXPERT = 2
"""All of them are used for each token, so that a small difference does not choose another one."""

SENTENCE = "Hello world, 42 models!\n"
"""What the vocabulary has tokens for; no piece of it is longer than a letter but for "llo"."""

_F32 = 0
_ALIGNMENT = 32
_UINT32, _FLOAT32, _STRING, _ARRAY = 4, 6, 8, 9


@dataclass(frozen=True)
class Pool:
    """Rows of `N_EMBD` random weights in one format, from which all matrices of a model are taken."""

    kind: int
    """The format, as a number of `ggml_type`."""
    row_bytes: int
    data: bytes

    def rows(self, first: int, count: int) -> bytes:
        """So many rows, from the first on and round and round."""
        have = len(self.data) // self.row_bytes
        begin = first % have * self.row_bytes
        turns = -(-(begin + count * self.row_bytes) // len(self.data))
        return (self.data * turns)[begin : begin + count * self.row_bytes]


@functools.cache
def random_weights(count: int, scale: float, seed: int = 1) -> array[float]:
    """Evenly spread between -scale and scale, the same ones each time."""
    values, state = array("f"), seed
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state / 0x80000000 - 1.0) * scale)
    return values


def write(file: Path, pool: Pool, *, has_vocabulary: bool = False) -> None:
    """Write the model whose matrices are rows of that pool; what is no matrix is float."""
    tensors: list[tuple[str, Sequence[int], int, bytes]] = []

    def matrix(name: str, first: int, columns: int, *more: int) -> None:
        count = columns // N_EMBD
        for length in more:
            count *= length
        tensors.append((name, (columns, *more), pool.kind, pool.rows(first, count)))

    def floats(name: str, values: array[float], *shape: int) -> None:
        tensors.append((name, shape, _F32, values.tobytes()))

    ones = array("f", [1.0]) * N_EMBD
    floats("token_embd.weight", random_weights(N_EMBD * N_VOCAB, 1.0, 2), N_EMBD, N_VOCAB)
    floats("output_norm.weight", ones, N_EMBD)
    matrix("output.weight", 1, N_EMBD, N_VOCAB)
    floats("blk.0.attn_norm.weight", ones, N_EMBD)
    matrix("blk.0.attn_q.weight", 11, N_EMBD, N_EMBD)
    matrix("blk.0.attn_k.weight", 23, N_EMBD, N_EMBD * N_HEAD_KV // N_HEAD)
    matrix("blk.0.attn_v.weight", 37, N_EMBD, N_EMBD * N_HEAD_KV // N_HEAD)
    matrix("blk.0.attn_output.weight", 53, N_EMBD, N_EMBD)
    floats("blk.0.ffn_norm.weight", ones, N_EMBD)
    floats("blk.0.ffn_gate_inp.weight", random_weights(N_EMBD * N_EXPERT, 0.1, 3), N_EMBD, N_EXPERT)
    matrix("blk.0.ffn_gate_exps.weight", 71, N_EMBD, N_FF, N_EXPERT)
    matrix("blk.0.ffn_up_exps.weight", 97, N_EMBD, N_FF, N_EXPERT)
    matrix("blk.0.ffn_down_exps.weight", 127, N_FF, N_EMBD, N_EXPERT)
    file.write_bytes(_file(tensors, has_vocabulary=has_vocabulary))


def _file(tensors: Sequence[tuple[str, Sequence[int], int, bytes]], *, has_vocabulary: bool) -> bytes:
    numbers = {
        "block_count": 1,
        "context_length": 512,
        "embedding_length": N_EMBD,
        "feed_forward_length": N_FF,
        "attention.head_count": N_HEAD,
        "attention.head_count_kv": N_HEAD_KV,
        "rope.dimension_count": N_EMBD // N_HEAD,
        "vocab_size": N_VOCAB,
        "expert_count": N_EXPERT,
        "expert_used_count": N_EXPERT,
    }
    texts = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2" if has_vocabulary else "none"}
    if has_vocabulary:
        texts["tokenizer.ggml.pre"] = "deepseek-llm"  # split by the regular expressions of the C++ library
    fields = [_string(name) + struct.pack("<I", _STRING) + _string(text) for name, text in texts.items()]
    fields += [_string(f"llama.{name}") + struct.pack("<II", _UINT32, number) for name, number in numbers.items()]
    epsilon = "llama.attention.layer_norm_rms_epsilon"
    fields.append(_string(epsilon) + struct.pack("<If", _FLOAT32, 1e-5))
    if has_vocabulary:
        fields += [_texts("tokenizer.ggml.tokens", _tokens()), _texts("tokenizer.ggml.merges", ["l l", "ll o"])]
    infos, blobs, offset = [], [], 0
    for name, shape, kind, data in tensors:
        infos.append(_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        blobs.append(_padded(data))
        offset += len(blobs[-1])
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(fields)) + b"".join(fields + infos)
    return _padded(header) + b"".join(blobs)


def _tokens() -> list[str]:
    """One for each letter of the sentence, as vocabularies of bytes spell it, and for what is merged."""
    letters = sorted(set(SENTENCE.replace(" ", "\u0120").replace("\n", "\u010a")))
    known = [*letters, "ll", "llo"]
    return known + [f"<{n}>" for n in range(N_VOCAB - len(known))]


def _texts(name: str, texts: Sequence[str]) -> bytes:
    return _string(name) + struct.pack("<IIQ", _ARRAY, _STRING, len(texts)) + b"".join(map(_string, texts))


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
