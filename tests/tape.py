"""Tape models: tiny GGUF files that write a script, whatever was asked.

A tape model is a `llama` with one working layer. Its attention head looks at the token just before, its
feed-forward layer holds one unit for each step of the script: "after these two tokens comes that one". The first
two tokens are those that the prompt ends with, so the model answers every turn of a conversation, and a prompt that
ends otherwise shows: the model then writes OFF, once. Its vocabulary is the 256 bytes, the special tokens that are
asked for, and the pieces of the script, so that a prompt has one token a byte. More layers, which do nothing, make
it slow.

    build("hello.gguf", [Tape("assistant\n", ["Hello", " there!", "<|im_end|>"])],
          control=["<|im_start|>", "<|im_end|>"], eos="<|im_end|>", template=CHATML)

The chat format, the splitting of an answer and its end can so be tried through the real engine, with any template.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gguf import GGUFWriter, TokenType

OFF = " (off the script)"
"""What the model writes where its script says nothing, before its end token."""
ROPE_BASE = 100.0
SHARP = 40.0
"""How clearly the token before wins the attention, in units of the softmax's exponent."""
IM = ("<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Tape(NamedTuple):
    """What is written behind a prompt that ends with `after`: of that the last two tokens count, or the one that it
    is. Each entry of `script` becomes one token: a special one if it is its text, else a piece of text, or some
    bytes. Within all tapes of a model two tokens in a row may have only one successor; end on two that came before
    to go round for ever."""

    after: str
    script: Sequence[str | bytes]


def byte_letters() -> dict[int, str]:
    """How a byte-level vocabulary spells each byte: printable ones as themselves, the rest from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(rest)}


_LETTERS = byte_letters()


class Vocabulary:
    """The 256 bytes, then special tokens, then pieces as they are asked for."""

    def __init__(self, control: Sequence[str], user: Sequence[str]) -> None:
        self.special = (*control, *user)
        self.texts = [_LETTERS[byte] for byte in range(256)] + list(self.special)
        self.types = (
            [TokenType.NORMAL] * 256 + [TokenType.CONTROL] * len(control) + [TokenType.USER_DEFINED] * len(user)
        )

    def piece(self, what: str | bytes) -> int:
        """The one token that is `what`."""
        if isinstance(what, str) and what in self.special:
            return self.texts.index(what)
        raw = what if isinstance(what, bytes) else what.encode()
        spelled = "".join(_LETTERS[byte] for byte in raw)
        if spelled not in self.texts:
            self.texts.append(spelled)
            self.types.append(TokenType.NORMAL)
        return self.texts.index(spelled)

    def prompt(self, text: str) -> list[int]:
        """The tokens that llama.cpp makes of a prompt: special ones, and bytes."""
        marks = "|".join(re.escape(mark) for mark in sorted(self.special, key=len, reverse=True))
        tokens: list[int] = []
        for part in re.split(f"({marks})", text) if marks else [text]:
            tokens += [self.texts.index(part)] if part in self.special else list(part.encode())
        return tokens


def build(
    path: str | Path,
    tapes: Sequence[Tape],
    *,
    eos: str,
    control: Sequence[str] = (),
    user: Sequence[str] = (),
    template: str | None = None,
    bos: str | None = None,
    add_bos: bool = False,
    add_eos: bool | None = None,
    name: str = "Tape",
    layers: int = 1,
    n_ctx: int = 8192,
    pre: str = "qwen2",
    texts: dict[str, str] | None = None,
) -> None:
    """Write a tape model. `control` and `user` are special tokens, those of `user` are shown as text; `eos` is one of
    them. `pre` names how a text is cut before it becomes tokens, `texts` are more strings for the metadata."""
    vocabulary = Vocabulary(control, user)
    end, off = vocabulary.piece(eos), vocabulary.piece(OFF)
    vocabulary.piece(bytes([0xFE, 0xFF]))  # what the one merge makes
    pairs, singles = _steps(vocabulary, tapes)
    tensors, sizes = _weights(pairs, singles | {off: end}, off, layers, len(vocabulary.texts))
    n_embd, head_size, n_ff = sizes

    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_file_type(0)
    writer.add_context_length(n_ctx)
    writer.add_block_count(layers)
    writer.add_embedding_length(n_embd)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary.texts)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges([f"{_LETTERS[0xFE]} {_LETTERS[0xFF]}"])  # bytes that UTF-8 has not: never merged
    writer.add_eos_token_id(end)
    if bos is not None:
        writer.add_bos_token_id(vocabulary.piece(bos))
    writer.add_add_bos_token(add_bos)
    if add_eos is not None:
        writer.add_add_eos_token(add_eos)
    if template is not None:
        writer.add_chat_template(template)
    for key, text in (texts or {}).items():
        writer.add_string(key, text)
    for tensor, weights in tensors:
        writer.add_tensor(tensor, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _steps(vocabulary: Vocabulary, tapes: Sequence[Tape]) -> tuple[dict[tuple[int, int], int], dict[int, int]]:
    """What comes after each two tokens, and after one whatever was before it."""
    pairs: dict[tuple[int, int], int] = {}
    singles: dict[int, int] = {}
    for tape in tapes:
        *_, before, last = (-1, *vocabulary.prompt(tape.after))
        for entry in tape.script:
            following = vocabulary.piece(entry)
            known = singles.setdefault(last, following) if before < 0 else pairs.setdefault((before, last), following)
            if known != following:
                spelled = [vocabulary.texts[token] for token in (before, last, following)]
                raise ValueError(f"this script goes on in two ways: {spelled}")
            before, last = last, following
    return pairs, singles


def _weights(
    pairs: dict[tuple[int, int], int], singles: dict[int, int], default: int, layers: int, n_vocab: int
) -> tuple[list[tuple[str, Any]], tuple[int, int, int]]:
    """The tensors, and (n_embd, head size, n_ff). A hidden state is: a constant 1; which token this is, or none that
    counts; the same of the token before; which step of the script this is."""
    counting = {token for pair in pairs for token in pair} | set(singles)
    known = {token: n for n, token in enumerate(sorted(counting), 1)}  # 0: any other token
    n_rules = len(pairs) + len(singles)
    head_size = max(32, _round_up(len(known) + 1))
    current, before = 1, 1 + len(known) + 1
    rule = before + len(known) + 1
    n_embd, n_ff = _round_up(rule + n_rules), _round_up(n_rules)

    def zeros(*shape: int) -> Any:
        return np.zeros(shape, np.float32)

    # RMS norm divides by sqrt(|x|² / n_embd), and |x|² is 2, then 3, then 4 where a step of the script was found.
    first, second, last = (math.sqrt(n_embd / square) for square in (2, 3, 4))

    embedding = zeros(n_vocab, n_embd)
    embedding[:, 0] = 1
    for token in range(n_vocab):
        embedding[token, current + known.get(token, 0)] = 1

    # Rotary positions turn query and key by their position: keys one position before the query fit best.
    turns = ROPE_BASE ** (-2 * np.arange(head_size // 2) / head_size)
    away = np.concatenate([[1], -np.arange(1, 1 << 16)])
    margin = float((1 - np.cos(np.outer(away, turns))).sum(axis=1).min())
    amplitude = math.sqrt(SHARP * math.sqrt(head_size) / margin)
    q, k, v, out = (
        zeros(head_size, n_embd),
        zeros(head_size, n_embd),
        zeros(head_size, n_embd),
        zeros(n_embd, head_size),
    )
    q[0::2, 0], q[1::2, 0] = amplitude * np.cos(turns) / first, -amplitude * np.sin(turns) / first
    k[0::2, 0] = amplitude / first
    for n in range(len(known) + 1):
        v[n, current + n] = 1 / first
        out[before + n, n] = 1

    gate, up, down, head = zeros(n_ff, n_embd), zeros(n_ff, n_embd), zeros(n_embd, n_ff), zeros(n_vocab, n_embd)
    steep = 60.0
    conditions = [([current + known[b], before + known[a]], following) for (a, b), following in pairs.items()]
    conditions += [([current + known[token]], following) for token, following in singles.items()]
    for n, (wanted, following) in enumerate(conditions):
        gate[n, wanted] = steep / second
        gate[n, 0] = -steep * (len(wanted) - 0.5) / second
        up[n, 0] = 2 / steep / second
        down[rule + n, n] = 1
        head[following, rule + n] = 60 / last
    head[default, 0] = 20 / last

    ones = np.ones(n_embd, np.float32)
    tensors = [("token_embd.weight", embedding), ("output_norm.weight", ones), ("output.weight", head)]
    for layer in range(layers):
        parts = {"attn_q": q, "attn_k": k, "attn_v": v, "attn_output": out}
        parts |= {"ffn_gate": gate, "ffn_up": up, "ffn_down": down}
        tensors += [(f"blk.{layer}.{part}.weight", ones) for part in ("attn_norm", "ffn_norm")]
        for part, weights in parts.items():
            tensors.append((f"blk.{layer}.{part}.weight", weights if layer == 0 else np.zeros_like(weights)))
    return tensors, (n_embd, head_size, n_ff)


def _round_up(n: int) -> int:
    return -(-n // 32) * 32
