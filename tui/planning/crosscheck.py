"""Holds a dry run against the formula: two ways to the same figures, one through llama.cpp's books, one through the
file's header. Compute buffers are left out, of which the formula is an estimate."""

from __future__ import annotations

from tui.planning.formula import MemoryPlan

SHARE = 0.03
LEAST_BYTES = 64 << 20
"""Plans that are nearer than this, or than `SHARE`, agree."""
_REPACKED_MORE = 1 / 8
"""Of its size a repacked tensor may take more: Intel's AMX keeps a sum of four bytes with each block of q8_0's 34."""


def apart(formula: MemoryPlan, found: MemoryPlan, tied_bytes: int) -> int:
    """By how many bytes of weights and KV cache the two plans of one load disagree, beyond what repacking explains; 0
    where they agree. `tied_bytes` is the embedding table that is the output layer too, which may be kept twice.

    Several devices count as one: how layers are split over them depends on what is free at that moment. Fewer weights
    on the devices are no dispute: what one cannot take in one piece, as llvmpipe an output layer of more than 128 MiB,
    llama.cpp leaves on the host, where a tied one is no second copy.
    """
    repacked = found.host.repacked_bytes
    twice = min(repacked, tied_bytes) + int(repacked * _REPACKED_MORE)
    on_devices = formula.weights_bytes - formula.host.weights_bytes, found.weights_bytes - found.host.weights_bytes
    stayed = max(0, on_devices[0] - on_devices[1])
    return (
        _apart(formula.weights_bytes, found.weights_bytes, more=twice, less=min(stayed, tied_bytes))
        + _apart(*on_devices, less=stayed)
        + _apart(formula.host.kv_bytes, found.host.kv_bytes)
        + _apart(formula.kv_bytes - formula.host.kv_bytes, found.kv_bytes - found.host.kv_bytes)
    )


def _apart(planned: int, found: int, *, more: int = 0, less: int = 0) -> int:
    """So much `more` or `less` than was planned is explained."""
    n_bytes = max(found - planned - more, planned - found - less, 0)
    return n_bytes if n_bytes > max(SHARE * max(planned, found), LEAST_BYTES) else 0
