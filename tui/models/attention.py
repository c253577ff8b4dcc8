"""What each layer of a model keeps per token or per sequence: widths of the K and V cache, sliding windows, recurrent
state. The rules are llama.cpp's (llama-hparams.cpp, llama-kv-cache.cpp, `load_arch_hparams` of each architecture)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.models.metadata import Metadata

_WINDOW_PERIOD: dict[str, tuple[int, bool]] = {
    "afmoe": (4, False),
    "cohere2": (4, False),
    "cohere2moe": (4, True),
    "exaone-moe": (4, False),
    "exaone4": (4, False),
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "llama4": (4, False),
    "mellum": (4, False),
    "olmo2": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
}
"""Every how many layers one looks at the whole context, and whether it is the first of them (else the last), for
architectures whose files need not say so."""
_DEFAULT_WINDOW = {"gemma2": 4096, "llama4": 8192, "exaone-moe": 128}
_VECTORS = ("key", "value")
_RECURRENT = ("ssm_", "shortconv.", "time_mix_")
_MAX_STATE_BYTES = 1 << 40
"""A bound for files that lie, so that sums stay within what the cache of headers can store."""


class LayerCache(msgspec.Struct, frozen=True, kw_only=True):
    """See `tui.models.info.Layer` for the meaning of the fields."""

    k_width: int
    v_width: int
    window: int
    state_bytes: int


def kv_heads(meta: Metadata, n_layers: int) -> tuple[int, ...]:
    """KV heads of each layer; as many as there are heads unless the file says otherwise."""
    if f"{meta.arch}.attention.head_count_kv" in meta.values:
        return meta.per_layer("attention.head_count_kv", n_layers)
    return meta.per_layer("attention.head_count", n_layers)


def head_size(meta: Metadata, which: str, *, sliding: bool = False) -> int:
    """Numbers in one head's "key" or "value" vector."""
    default = meta.number("embedding_length") // max(meta.number("attention.head_count"), 1)
    full = meta.number(f"attention.{which}_length", default)
    return meta.number(f"attention.{which}_length_swa", full) if sliding else full


def windows(meta: Metadata, n_layers: int) -> tuple[int, ...]:
    """Sliding window of each layer in tokens; 0 looks at the whole context. Where it is not known which layers slide,
    none does: the estimate is then too high, never too low."""
    size = meta.number("attention.sliding_window", _DEFAULT_WINDOW.get(meta.arch, 0))
    slides = meta.flags("attention.sliding_window_pattern", n_layers)
    if slides is None and meta.arch in _WINDOW_PERIOD:
        period, dense_first = _WINDOW_PERIOD[meta.arch]
        period = meta.number("attention.sliding_window_pattern", period)
        dense = 0 if dense_first else period - 1
        slides = tuple(period == 0 or layer % period != dense for layer in range(n_layers))
    return tuple(size if slide else 0 for slide in slides or (False,) * n_layers)


def caches(meta: Metadata, tensor_names: Sequence[frozenset[str]]) -> tuple[LayerCache, ...]:
    """What each layer keeps. `tensor_names` has, for each layer, the names of its tensors without "blk.N."."""
    n_layers = len(tensor_names)
    heads, slides = kv_heads(meta, n_layers), windows(meta, n_layers)
    n_own = n_layers - meta.number("attention.shared_kv_layers")
    if meta.arch == "gemma3n":
        n_own = min(n_layers, 20)
    # Layers for predicting further tokens are loaded but keep nothing in the main context.
    n_own = min(n_own, n_layers - meta.number("nextn_predict_layers"))
    is_mla = meta.number("attention.key_length_mla") > 0
    # Looked up once: each may be an array with a number for each layer.
    k_size, v_size = ([head_size(meta, which, sliding=sliding) for sliding in (False, True)] for which in _VECTORS)
    state_bytes = _state_bytes(meta)
    is_recurrent = {names: any(name.startswith(_RECURRENT) for name in names) for names in set(tensor_names)}
    found: list[LayerCache] = []
    for i, names in enumerate(tensor_names):
        recurrent = is_recurrent[names]
        attends = not recurrent or "attn_k.weight" in names or "attn_kv_a_mqa.weight" in names
        n_head = heads[i] if attends and i < n_own else 0
        sliding = slides[i] > 0
        found.append(
            LayerCache(
                k_width=n_head * k_size[sliding],
                v_width=0 if is_mla else n_head * v_size[sliding],
                window=slides[i],
                state_bytes=state_bytes if recurrent else 0,
            )
        )
    return tuple(found)


def _state_bytes(meta: Metadata) -> int:
    """Convolution and recurrent state of one layer, kept as 32-bit floats (`n_embd_r`, `n_embd_s`)."""
    n_embd = meta.number("embedding_length")
    if head := meta.number("wkv.head_size"):
        return 4 * n_embd * (meta.number("token_shift_count", 2) + head)
    if taps := meta.number("shortconv.l_cache"):
        return 4 * n_embd * (taps - 1)
    inner, state = meta.number("ssm.inner_size"), meta.number("ssm.state_size")
    convolved = inner + 2 * meta.number("ssm.group_count") * state
    n = max(meta.number("ssm.conv_kernel") - 1, 0) * convolved + inner * state
    return min(4 * n, _MAX_STATE_BYTES)
