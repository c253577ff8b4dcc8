"""Tiny models with random weights, one for each kind of memory that llama.cpp has: attention to everything, attention
to a window, a recurrent state, and both in turn. They write nonsense, always the same, that depends on all that was
read.

Their chat template opens a thought and drops it from earlier turns, so a conversation goes back at each turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import GGUFWriter, TokenType

from tests.tape import IM, byte_letters

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1].lstrip() }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
N_EMBD = 64
N_FF = 96
HEAD = 32
WINDOW = 32
"""Of the sliding-window layers."""
_N_HEAD, _N_HEAD_KV = 2, 1

Shapes = dict[str, tuple[int, ...]]
"""By name of the tensor, the length of a row last, as numpy has it."""


class Kind(NamedTuple):
    """What a kind of model has beside embeddings and vocabulary."""

    arch: str
    n_layers: int
    metadata: dict[str, Any]
    layer: Callable[[int], Shapes]
    """Tensors of a layer."""
    norm: str = "output_norm.weight"


def _feed_forward() -> Shapes:
    return {"ffn_gate.weight": (N_FF, N_EMBD), "ffn_up.weight": (N_FF, N_EMBD), "ffn_down.weight": (N_EMBD, N_FF)}


def _attention(q_times: int = 1) -> Shapes:
    return {
        "attn_q.weight": (_N_HEAD * HEAD * q_times, N_EMBD),
        "attn_k.weight": (_N_HEAD_KV * HEAD, N_EMBD),
        "attn_v.weight": (_N_HEAD_KV * HEAD, N_EMBD),
        "attn_output.weight": (N_EMBD, _N_HEAD * HEAD),
        "attn_q_norm.weight": (HEAD,),
        "attn_k_norm.weight": (HEAD,),
    }


def _dense(_: int) -> Shapes:
    return {"attn_norm.weight": (N_EMBD,), "ffn_norm.weight": (N_EMBD,), **_attention(), **_feed_forward()}


def _gemma3(_: int) -> Shapes:
    norms = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
    return {**{f"{name}.weight": (N_EMBD,) for name in norms}, **_attention(), **_feed_forward()}


def _qwen35(layer: int) -> Shapes:
    norms: Shapes = {"attn_norm.weight": (N_EMBD,), "post_attention_norm.weight": (N_EMBD,)}
    if layer % 2:
        return {**norms, **_attention(q_times=2), **_feed_forward()}
    return {
        **norms,
        "attn_qkv.weight": (4 * HEAD, N_EMBD),  # keys and queries of one group, values of two heads
        "attn_gate.weight": (2 * HEAD, N_EMBD),
        "ssm_conv1d.weight": (4 * HEAD, 4),
        "ssm_dt.bias": (2,),
        "ssm_a": (2,),
        "ssm_beta.weight": (2, N_EMBD),
        "ssm_alpha.weight": (2, N_EMBD),
        "ssm_norm.weight": (HEAD,),
        "ssm_out.weight": (N_EMBD, 2 * HEAD),
        **_feed_forward(),
    }


def _lfm2(layer: int) -> Shapes:
    norms: Shapes = {"attn_norm.weight": (N_EMBD,), "ffn_norm.weight": (N_EMBD,)}
    convolution: Shapes = {
        "shortconv.conv.weight": (N_EMBD, 3),
        "shortconv.in_proj.weight": (3 * N_EMBD, N_EMBD),
        "shortconv.out_proj.weight": (N_EMBD, N_EMBD),
    }
    return {**norms, **(_attention() if layer % 2 else convolution), **_feed_forward()}


def _mamba(_: int) -> Shapes:
    inner, state, rank = 2 * N_EMBD, 16, 4
    return {
        "attn_norm.weight": (N_EMBD,),
        "ssm_in.weight": (2 * inner, N_EMBD),
        "ssm_conv1d.weight": (inner, 4),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (rank + 2 * state, inner),
        "ssm_dt.weight": (inner, rank),
        "ssm_dt.bias": (inner,),
        "ssm_a": (inner, state),
        "ssm_d": (inner,),
        "ssm_out.weight": (N_EMBD, inner),
    }


_ATTENDS = {
    "feed_forward_length": N_FF,
    "attention.head_count": _N_HEAD,
    "attention.head_count_kv": _N_HEAD_KV,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
    "rope.dimension_count": HEAD,
    "rope.freq_base": 10000.0,
}
_STATE = {"ssm.conv_kernel": 4, "ssm.inner_size": 2 * HEAD, "ssm.state_size": HEAD}
KINDS = {
    "dense": Kind("qwen3", 2, _ATTENDS, _dense),
    "window": Kind(
        "gemma3",
        4,
        {**_ATTENDS, "attention.sliding_window": WINDOW, "attention.sliding_window_pattern": 2},
        _gemma3,
    ),
    "hybrid": Kind(
        "qwen35",
        4,
        {
            **_ATTENDS,
            **_STATE,
            "ssm.time_step_rank": 2,
            "ssm.group_count": 1,
            "full_attention_interval": 2,
            "rope.dimension_sections": [6, 5, 5, 0],
        },
        _qwen35,
    ),
    "convolution": Kind(
        "lfm2",
        4,
        {**_ATTENDS, "attention.head_count_kv": [0, _N_HEAD_KV, 0, _N_HEAD_KV], "shortconv.l_cache": 3},
        _lfm2,
        norm="token_embd_norm.weight",
    ),
    "recurrent": Kind(
        "mamba",
        2,
        {
            "feed_forward_length": 0,
            "attention.head_count": 0,
            **_STATE,
            "ssm.inner_size": 2 * N_EMBD,
            "ssm.state_size": 16,
            "ssm.time_step_rank": 4,
        },
        _mamba,
    ),
}
"""By the kind of memory."""


def build(path: Path, kind: str, n_ctx: int = 32768) -> Path:
    """Write the model of a kind of memory."""
    arch, n_layers, metadata = KINDS[kind][:3]
    letters = byte_letters()
    texts = [letters[byte] for byte in range(256)] + list(IM)
    writer = GGUFWriter(path, arch)
    writer.add_name(f"Tiny {arch}")
    writer.add_file_type(0)
    writer.add_block_count(n_layers)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(N_EMBD)
    writer.add_vocab_size(len(texts))
    writer.add_layer_norm_rms_eps(1e-6)
    for key, value in metadata.items():
        _add(writer, f"{arch}.{key}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(texts)
    writer.add_token_types([TokenType.NORMAL] * 256 + [TokenType.CONTROL] * len(IM))
    writer.add_token_merges([f"{letters[0xFE]} {letters[0xFF]}"])  # bytes that UTF-8 has not: never merged
    writer.add_eos_token_id(texts.index(IM[1]))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, weights in _weights(kind, len(texts)):
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)


def _weights(kind: str, n_vocab: int) -> Iterable[tuple[str, Any]]:
    _, n_layers, _, layer, norm = KINDS[kind]
    random = np.random.default_rng(16)
    yield "token_embd.weight", random.standard_normal((n_vocab, N_EMBD)).astype(np.float32)
    output = random.standard_normal((n_vocab, N_EMBD)).astype(np.float32)
    output[:0x21] = output[0x7F:] = 0  # it writes letters and signs, so that a text becomes the same tokens again
    yield "output.weight", output
    yield norm, np.ones(N_EMBD, np.float32)
    for i in range(n_layers):
        for name, shape in layer(i).items():
            yield f"blk.{i}.{name}", _tensor(random, name, shape)


def _tensor(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> Any:
    if name.endswith("norm.weight"):
        looks_closely = 2.0 if name.startswith(("attn_q_", "attn_k_")) else 1.0
        return np.full(shape, looks_closely, np.float32)
    if name == "ssm_a":  # how fast a state fades
        return -random.uniform(0.01, 0.1, shape).astype(np.float32)
    return (random.standard_normal(shape) / math.sqrt(shape[-1])).astype(np.float32)
