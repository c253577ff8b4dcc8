"""What a file's header and the load settings tell before anything is loaded: whether llama.cpp can load the one with
the other at all. Knows llama.cpp's rules and not llama.cpp itself: the front ends use it too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tui.base import format
from tui.models.info import ModelInfo
from tui.models.modelfile import ModelFileError, read_model
from tui.models.purpose import why_not
from tui.models.quants import BY_NAME
from tui.protocol.records import CacheType, ErrorKind, LoadSettings
from tui.words import tr
from tui.words.later import Later, later

MOST_SEQUENCES = 256
"""llama.cpp's `LLAMA_MAX_SEQ`."""
UNQUANTIZED: tuple[CacheType, ...] = ("f32", "f16", "bf16")
_NO_FLASH_ATTENTION = ("grok",)
"""Architectures for which llama.cpp switches flash attention off."""


_MOST_TAIL = 1 << 30
"""Bytes of a file, beyond as many as its weights have, that are no weights: its header, and what nobody reads."""


class LoadRefused(Exception):
    """A load that cannot work. `detail` is a sentence with the next step."""

    def __init__(self, kind: ErrorKind, detail: Later) -> None:
        super().__init__(detail)
        self.kind: ErrorKind = kind
        self.detail = detail


class CacheProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A type of the KV cache that does not go with the model or the other settings."""

    field: Literal["type_k", "type_v"]
    short: str
    """A few words beside the field."""
    reason: Later
    """A sentence of its own, with what to change."""


def obstacle(info: ModelInfo, settings: LoadSettings) -> str:
    """Why a model cannot be loaded with these settings, however much memory there is, and what to change; "" when
    nothing stands in the way. The rules are those of llama.cpp's `llama_init_from_model` and `llama_context`."""
    return str(_obstacle(info, settings) or "")


def _obstacle(info: ModelInfo, settings: LoadSettings) -> Later | None:
    problem = cache_problem(info, settings)
    return problem.reason if problem else _without_size(info, settings)


def cache_problem(info: ModelInfo, settings: LoadSettings) -> CacheProblem | None:
    """As `obstacle`, as far as the types of the KV cache are concerned."""
    return _mixed_types(info, settings) or _needs_flash_attention(info, settings) or _unfit_blocks(info, settings)


def check(parts: Sequence[Path], settings: LoadSettings) -> None:
    """Raises `LoadRefused` when the file is no chat model, or not whole, or cannot be loaded with these settings. What
    the system does not let us read is left to whoever loads it."""
    try:
        info = read_model(parts)
    except ModelFileError as error:
        if kind := _kind(error):
            raise LoadRefused(kind, error.why) from error
    else:
        refuse(info, settings)
        _without_a_tail(info)


def _without_a_tail(info: ModelInfo) -> None:
    """Raises `LoadRefused` where the files are far longer than their tensors: llama.cpp maps all of a file and reads
    what it maps, be it a hole of a terabyte."""
    tail_bytes = info.size_bytes - info.weights_bytes
    if tail_bytes > info.weights_bytes + _MOST_TAIL:
        size = format.size(tail_bytes)
        reason = later("Damaged: there are {size} more behind its weights. Download it again.", size=size)
        raise LoadRefused("model_unreadable", reason)


def refuse(info: ModelInfo, settings: LoadSettings) -> None:
    """Raises `LoadRefused` when this is no chat model, or cannot be loaded with these settings."""
    if why := why_not(info.kind, info.arch):
        raise LoadRefused("model_unsupported" if info.kind == "unknown" else "model_refused", why)
    if reason := _obstacle(info, settings):
        raise LoadRefused("bad_settings", reason)


def _kind(error: ModelFileError) -> ErrorKind | None:
    if error.kind in ("permission", "unreadable", "directory", "not_found"):
        return None
    if error.kind == "unsupported" or error.purpose == "unknown":
        return "model_unsupported"
    return "model_unreadable" if error.kind == "broken" else "model_refused"


def _mixed_types(info: ModelInfo, settings: LoadSettings) -> CacheProblem | None:
    if settings.type_k == settings.type_v or not (info.is_mla or info.arch == "deepseek4"):
        return None
    return CacheProblem(
        field="type_v",
        short=tr("This model needs the same type for K and V."),
        reason=later(
            "This model keeps K and V together (MLA), so a K cache in {type_k} and a V cache in {type_v} do not go "
            "with it: give both the same type.",
            type_k=settings.type_k,
            type_v=settings.type_v,
        ),
    )


def _needs_flash_attention(info: ModelInfo, settings: LoadSettings) -> CacheProblem | None:
    if settings.type_v in UNQUANTIZED:
        return None
    if info.arch in _NO_FLASH_ATTENTION:
        return CacheProblem(
            field="type_v",
            short=tr("This model allows no quantized V cache."),
            reason=later(
                "A V cache in {type_v} needs flash attention, which this model does not allow: use f16.",
                type_v=settings.type_v,
            ),
        )
    if settings.flash_attn == "off":
        return CacheProblem(
            field="type_v",
            short=tr("A quantized V cache needs flash attention."),
            reason=later(
                "A V cache in {type_v} needs flash attention: switch that on, or use f16.", type_v=settings.type_v
            ),
        )
    return None


def _unfit_blocks(info: ModelInfo, settings: LoadSettings) -> CacheProblem | None:
    """Quantized numbers come in blocks, none of which may belong to two heads. Without flash attention llama.cpp does
    not check it for K, and answers make no sense."""
    for cache, cache_type, heads in (
        ("K", settings.type_k, (info.n_embd_head_k, info.n_embd_head_k_swa)),
        ("V", settings.type_v, (info.n_embd_head_v, info.n_embd_head_v_swa)),
    ):
        block = BY_NAME[cache_type.upper()].block_size
        if unfit := [head for head in heads if head % block]:
            return CacheProblem(
                field="type_k" if cache == "K" else "type_v",
                short=tr("Not with head size {head_size}: use f16.", head_size=unfit[0]),
                reason=later(
                    "A {cache} cache in {cache_type} comes in blocks of {block} numbers, which do not go with this "
                    "model's head size of {head_size}: use f16.",
                    cache=cache,
                    cache_type=cache_type,
                    block=str(block),
                    head_size=str(unfit[0]),
                ),
            )
    return None


def _without_size(info: ModelInfo, settings: LoadSettings) -> Later | None:
    if not settings.n_ctx and not info.n_ctx_train:
        return later("The file does not say which context it was trained with: give a context size.")
    if settings.n_parallel > MOST_SEQUENCES:
        return later(
            "llama.cpp can keep {most} sequences apart, not {n_parallel}: use fewer.",
            most=str(MOST_SEQUENCES),
            n_parallel=str(settings.n_parallel),
        )
    return None
