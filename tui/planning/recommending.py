"""Which variant of a repository is the one for this machine: what would be loaded of each, judged before a byte of its
weights is fetched, and one of them with the reason. How fast each would be is told by whoever knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from tui.hubs.records import Variant
from tui.models.info import ModelInfo
from tui.planning.formula import Fit
from tui.planning.guardrail import LoadPermission
from tui.planning.now import MemoryNow
from tui.planning.remedies import scaled
from tui.planning.suggestions import Suggestion

_ENOUGH_TPS = 12.0
"""Tokens per second with which an answer comes about as fast as it is read."""
_FEW_BITS, _MANY_BITS = 4.2, 6.9
"""A weight: with fewer an answer is noticeably worse, with more it is no better."""
_SMALL_PARAMS = 2_000_000_000
"""Models with fewer parameters lose more by quantization, and cost little: up to 8 bits are worth it."""
_SMALL_BITS = 8.8
_USUAL_BITS = 4.9
"""Of Q4_K_M: what is taken for a model of which only the number of parameters is known."""
_BESIDE_BYTES = 1 << 30
"""KV cache and compute buffers, by estimate."""
_ACTIVE = re.compile(r"[-_]a(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)

_LITTLE_PARAMS = 4_500_000_000
"""Read for a token, where nothing is known of a speed: what most machines do often enough in a second."""

Why = Literal["best", "unmeasured", "fastest", "largest", "tight"]
"""The best quality that fits and is fast enough; the best that fits, where no speed is known; the fastest of good
quality; the largest that fits; the smallest of those that fit tightly."""


class JudgedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant, and what loading it here would mean."""

    variant: Variant
    info: ModelInfo | None = None
    """None while no header of the repository was read."""
    is_exact: bool = False
    """`info` is from its own header; else it is that of another variant, scaled to its size."""
    permission: LoadPermission | None = None
    decode_tps: float | None = None
    """Expected tokens per second; None when there is no telling."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """The variant to take, and why."""

    label: str
    why: Why


def as_variant(info: ModelInfo, variant: Variant) -> ModelInfo:
    """The model of another variant's header as `variant` would be: each tensor scaled to its size."""
    if not info.weights_bytes or not variant.size_bytes:
        return info
    other = scaled(info, variant.size_bytes / info.weights_bytes)
    return msgspec.structs.replace(other, size_bytes=variant.size_bytes, quant=variant.quant or variant.label)


def recommended(found: Sequence[JudgedVariant]) -> Recommendation | None:
    """The one for this machine; None where nothing fits, or nothing is known."""
    fitting = [one for one in found if one.permission is not None and one.permission.fit == "fits"]
    most = [one for one in fitting if _bits(one) <= _most_bits(one)] or fitting
    good = [one for one in most if _bits(one) >= _FEW_BITS]
    if fast := [one for one in good if one.decode_tps is None or one.decode_tps >= _ENOUGH_TPS]:
        best = max(fast, key=lambda one: one.variant.size_bytes)
        return _chosen(best, "unmeasured" if best.decode_tps is None else "best")
    if good:
        return _chosen(max(good, key=lambda one: one.decode_tps or 0.0), "fastest")
    if most:
        return _chosen(max(most, key=lambda one: one.variant.size_bytes), "largest")
    tight = [one for one in found if one.permission is not None and one.permission.fit == "tight"]
    good = [one for one in tight if _bits(one) >= _FEW_BITS] or tight
    return _chosen(min(good, key=lambda one: one.variant.size_bytes), "tight") if good else None


def first_to_read(variants: Sequence[Variant]) -> Variant | None:
    """The variant whose header tells most of all others: one of middle size in as few files as possible."""
    if not variants:
        return None
    usual = [one for one in variants if one.quant.upper().startswith("Q4_K")]
    ordered = sorted(usual or variants, key=lambda one: (len(one.files), one.size_bytes))
    return ordered[len(ordered) // 2] if len(ordered[0].files) == len(ordered[-1].files) else ordered[0]


def would_fit(n_params: int, memory: MemoryNow) -> Fit:
    """Whether a model of so many parameters would fit in about four bits a weight: a guess for a list."""
    needed = int(n_params * _USUAL_BITS / 8) + _BESIDE_BYTES
    host = max(0, memory.host_free_bytes - memory.reserve_bytes)
    own = sum(memory.own_free(device) for device in memory.device_free)
    if needed <= max(host + own, *map(memory.usable, memory.device_free), 0):
        return "fits"
    return "tight" if needed <= memory.host_free_bytes + own else "no"


def active_params(name: str, n_params: int) -> int:
    """Parameters that a token passes, by the name of the model ("30B-A3B"); all where it does not say."""
    found = _ACTIVE.search(name)
    active = int(float(found[1]) * 1e9) if found else n_params
    return min(active, n_params)


def best_suggestion(found: Sequence[Suggestion], decode_tps: Sequence[float | None]) -> Suggestion | None:
    """The largest of them that fits and is fast enough, as far as anything is known of its speed; else the fastest, or
    the smallest. None where nothing fits."""
    fitting = [(one, tps) for one, tps in zip(found, decode_tps, strict=True) if one.permission.fit == "fits"]
    if not fitting:
        return None
    fast = [one for one, tps in fitting if _is_fast(one, tps)]
    if fast:
        return max(fast, key=lambda one: one.info.n_params)
    known = [(tps, one) for one, tps in fitting if tps is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else fitting[0][0]


def _is_fast(one: Suggestion, tps: float | None) -> bool:
    if tps is not None:
        return tps >= _ENOUGH_TPS
    return one.info.n_params_active <= _LITTLE_PARAMS


def _chosen(one: JudgedVariant, why: Why) -> Recommendation:
    return Recommendation(label=one.variant.label, why=why)


def _bits(one: JudgedVariant) -> float:
    """A weight, of the whole file."""
    return 8 * one.variant.size_bytes / max(one.info.n_params, 1) if one.info else 0.0


def _most_bits(one: JudgedVariant) -> float:
    return _SMALL_BITS if one.info and one.info.n_params < _SMALL_PARAMS else _MANY_BITS
