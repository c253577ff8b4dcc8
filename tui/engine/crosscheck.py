"""Holds a dry run against the formula: two ways to the same figures, one through llama.cpp's books, one through the
file's header. Compute buffers are left out, of which the formula is an estimate."""

from __future__ import annotations

from tui.engine.planner import Plan

SHARE = 0.03
LEAST_BYTES = 64 << 20
"""Plans that are nearer than this, or than `SHARE`, agree."""
_REPACKED_MORE = 1 / 8
"""Of its size a repacked tensor may take more: Intel's AMX keeps a sum of four bytes with each block of q8_0's 34."""


def apart(formula: Plan, found: Plan, tied_bytes: int) -> int:
    """By how many bytes of weights and KV cache the two plans of one load disagree, beyond what repacking explains; 0
    where they agree. `tied_bytes` is the embedding table that is the output layer too, which may be kept twice.

    Several devices count as one: how layers are split over them depends on what is free at that moment.
    """
    repacked = found.host.repacked_bytes
    explained = min(repacked, tied_bytes) + int(repacked * _REPACKED_MORE)
    return (
        _apart(formula.host.weights_bytes, found.host.weights_bytes, explained)
        + _apart(formula.host.kv_bytes, found.host.kv_bytes)
        + _apart(formula.weights_bytes - formula.host.weights_bytes, found.weights_bytes - found.host.weights_bytes)
        + _apart(formula.kv_bytes - formula.host.kv_bytes, found.kv_bytes - found.host.kv_bytes)
    )


def _apart(planned: int, found: int, explained: int = 0) -> int:
    """`explained`: so much may be found beyond what was planned."""
    n_bytes = planned - found if planned > found else max(0, found - planned - explained)
    return n_bytes if n_bytes > max(SHARE * max(planned, found), LEAST_BYTES) else 0
