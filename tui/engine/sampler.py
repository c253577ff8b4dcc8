"""Choosing the next token: llama.cpp's own sampler chain, and how many candidates it must see.

`llama_sampler_sample` hands a chain the whole vocabulary, 152 thousand candidates of 12 bytes with Qwen's, at each
token, while the compute threads wait. With top-k, or without randomness, only the likeliest few matter, and to find
those is quicker (`tokenloop.c`). Runs in the engine process only.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from llama_cpp import llama_cpp as lib

from tui.engine.records import Sampling

_MAX_NEEDED = 4096
"""With more candidates than this there is nothing to gain."""

# The Python package does not declare it.
_clone = ctypes.CFUNCTYPE(lib.llama_sampler_p_ctypes, lib.llama_sampler_p_ctypes)(("llama_sampler_clone", lib._lib))


def needed_candidates(sampling: Sampling) -> int:
    """How many of the likeliest tokens the chain must see to choose as if it saw all; 0 when it must see all.

    Penalties only ever lower the logits of at most `penalty_last_n` tokens, so that the best k after them are among the
    best k + `penalty_last_n` before. Values that raise logits, and penalties over the whole context, need all.
    """
    best = 1 if sampling.temperature <= 0 else sampling.top_k
    if best <= 0:
        return 0
    if _penalizes(sampling):
        lowers = sampling.repeat_penalty >= 1 and sampling.frequency_penalty >= 0 and sampling.presence_penalty >= 0
        if not lowers or sampling.penalty_last_n < 0:
            return 0
        best += sampling.penalty_last_n
    return best if best <= _MAX_NEEDED else 0


def _penalizes(sampling: Sampling) -> bool:
    return sampling.repeat_penalty != 1.0 or bool(sampling.frequency_penalty or sampling.presence_penalty)


class Sampler:
    """A sampler chain for one answer, its parts in the order that llama.cpp uses by default. `seed` as llama.cpp takes
    it, of which 32 bits count. It outlives the context, but for `sample`."""

    def __init__(self, context: int | None, n_vocab: int, sampling: Sampling, seed: int) -> None:
        self._set_up(context, sampling, lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params()))
        self._fill_chain(n_vocab, sampling, seed)

    def _set_up(self, context: int | None, sampling: Sampling, chain: Any) -> None:
        self.sampling, self._context = sampling, context
        self.n_needed = needed_candidates(sampling)
        """How many of the likeliest candidates the chain must see; 0: all."""
        self.takes_best = sampling.temperature <= 0 and not _penalizes(sampling)
        """The likeliest candidate is the one that the chain would choose."""
        self.chain = chain
        self._free = weakref.finalize(self, lib.llama_sampler_free, chain)

    def copy(self, context: int | None) -> Sampler:
        """One that goes on from here in another context: what was chosen counts for its penalties, and its draws are
        those that would have come next."""
        other = Sampler.__new__(Sampler)
        other._set_up(context, self.sampling, _clone(self.chain))
        return other

    def _fill_chain(self, n_vocab: int, s: Sampling, seed: int) -> None:
        def add(part: object) -> None:
            lib.llama_sampler_chain_add(self.chain, part)

        if _penalizes(s):
            add(
                lib.llama_sampler_init_penalties(
                    n_vocab, s.penalty_last_n, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
                )
            )
        if s.temperature <= 0:
            add(lib.llama_sampler_init_greedy())
            return
        if s.top_k > 0:
            add(lib.llama_sampler_init_top_k(s.top_k))
        if s.top_p < 1.0:
            add(lib.llama_sampler_init_top_p(s.top_p, 1))
        if s.min_p > 0:
            add(lib.llama_sampler_init_min_p(s.min_p, 1))
        add(lib.llama_sampler_init_temp(s.temperature))
        add(lib.llama_sampler_init_dist(seed & 0xFFFFFFFF))

    def sample(self) -> int:
        """Choose the next token from the logits of the last decoded one, the chain seeing the whole vocabulary, and
        remember it for the penalties."""
        return int(lib.llama_sampler_sample(self.chain, self._context, -1))

    def accept(self, token: int) -> None:
        """Remember a token that was chosen before, for the penalties."""
        lib.llama_sampler_accept(self.chain, token)

    def close(self) -> None:
        """Free the chain; it is freed too when nobody holds this any more."""
        self._free()
