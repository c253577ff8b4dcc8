"""Choosing the next token: llama.cpp's own sampler chain, on the few candidates that can be chosen at all.

`llama_sampler_sample` hands a chain the whole vocabulary, 152 thousand candidates of 12 bytes with Qwen's, at each
token, while the compute threads wait. With top-k, or without randomness, only the likeliest few matter; the chain then
gives the very token that it would have given (see `needed_candidates`), but for ties. `tokenloop.c` finds them in
0.02 ms.

`sample` is for those who have no compiled loop: numpy finds the few (`candidates.py`), 0.24 ms instead of 0.36 between
two tokens of Qwen3-0.6B. With a small vocabulary it is the other way round, 0.18 and 0.12 ms with the 49 thousand of
SmolLM2: the model drives everything out of the CPU's caches, so that each step in Python is a slow one. Runs in the
engine process only.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from tui.engine.bindings import lib
from tui.protocol.records import Sampling
from tui.words.later import later

if TYPE_CHECKING:
    from tui.engine.biases import Bias
    from tui.engine.candidates import Candidates
    from tui.engine.odds import OddsWatcher
    from tui.engine.vocabulary import Vocabulary

_MAX_NEEDED = 4096
"""With more candidates than this there is nothing to gain."""
_LARGE_VOCABULARY = 80_000
"""From so many tokens on it is quicker to look for the few than to hand over all; with penalties, which look up each
candidate, it always is."""
_BREAKERS = (b"\n", b":", b'"', b"*")
"""Sequences do not reach over these, for DRY: llama.cpp's own."""
LAST_SEED = lib.LLAMA_DEFAULT_SEED - 1
# The Python package does not declare it.
_clone = ctypes.CFUNCTYPE(lib.llama_sampler_p_ctypes, lib.llama_sampler_p_ctypes)(("llama_sampler_clone", lib._lib))


def needed_candidates(sampling: Sampling) -> int:
    """How many of the likeliest tokens the chain must see to choose as if it saw all; 0 when it must see all.

    Penalties only ever lower the logits of at most `penalty_last_n` tokens, so that the best k after them are among the
    best k + `penalty_last_n` before; so does DRY within its own window, and a bias below 0 for its token. Values that
    raise logits, and windows over the whole context, need all.
    """
    best = 1 if sampling.temperature <= 0 else sampling.top_k
    if best <= 0:
        return 0
    if _penalizes(sampling):
        lowers = sampling.repeat_penalty >= 1 and sampling.frequency_penalty >= 0 and sampling.presence_penalty >= 0
        if not lowers or sampling.penalty_last_n < 0:
            return 0
        best += sampling.penalty_last_n
    if sampling.dry_multiplier > 0:
        if sampling.dry_last_n < 0:
            return 0
        best += sampling.dry_last_n
    if any(bias > 0 for bias in sampling.logit_bias.values()):
        return 0
    best += len(sampling.logit_bias)
    return best if best <= _MAX_NEEDED else 0


def _penalizes(sampling: Sampling) -> bool:
    return sampling.repeat_penalty != 1.0 or bool(sampling.frequency_penalty or sampling.presence_penalty)


def _changes_logits(sampling: Sampling) -> bool:
    """Whether the likeliest token may be another one once the chain has seen it."""
    return _penalizes(sampling) or sampling.dry_multiplier > 0 or bool(sampling.logit_bias)


NO_NUMBERS: Final = later(
    "the model computes invalid numbers (NaN): its file is damaged, or this device computes it wrong. "
    "Download the file again, or load it on another device."
)


NOT_SURE: Final = -2
"""In place of a token: which one is the likeliest could be a matter of rounding."""


class NoNumbers(Exception):
    """The logits are no numbers, or none of them is finite: nothing can be chosen. `NO_NUMBERS` says it to people."""


class Sampler:
    """A sampler chain for one answer, its parts in the order that llama.cpp uses by default. `seed` as llama.cpp takes
    it, of which 32 bits count. It outlives the context, but for `sample`."""

    def __init__(
        self, context: int | None, vocabulary: Vocabulary, sampling: Sampling, seed: int, biases: Sequence[Bias] = ()
    ) -> None:
        """`biases` are the tokens that the texts of `sampling.logit_bias` stand for."""
        self.sampling = sampling
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._set_up(context, vocabulary.n_tokens, chain)
        for part in _parts(sampling, seed, context, vocabulary, biases):
            lib.llama_sampler_chain_add(chain, part)

    def _set_up(self, context: int | None, n_vocab: int, chain: Any) -> None:
        sampling = self.sampling
        self._context, self._n_vocab = context, n_vocab
        self.n_needed = min(needed_candidates(sampling), n_vocab)
        """How many of the likeliest candidates the chain must see; 0: all."""
        changes = _changes_logits(sampling)
        self.takes_best = sampling.temperature <= 0 and not changes
        """The likeliest candidate is the one that the chain would choose."""
        is_quick_with_all = n_vocab < _LARGE_VOCABULARY and sampling.temperature > 0 and not changes
        self._sees_few = bool(self.n_needed) and not is_quick_with_all
        self.chain = chain
        self._free = weakref.finalize(self, lib.llama_sampler_free, chain)

    is_compiled = True
    """The compiled loop can work with it."""
    watcher: OddsWatcher | None = None
    """Hears of each token that is chosen."""
    grammar = ""
    """What the answer keeps to, in GBNF."""
    is_free = True
    """What is written now keeps to no grammar."""

    def copy(self, context: int | None, vocabulary: Vocabulary) -> Sampler:
        """One that goes on from here in another context: what was chosen counts for its penalties, and its draws are
        those that would have come next."""
        other = Sampler.__new__(Sampler)
        other.sampling = self.sampling
        other._set_up(context, vocabulary.n_tokens, self._clone())
        return other

    def _clone(self) -> Any:
        return _clone(self.chain)

    @property
    def is_incomplete(self) -> bool:
        """The text would have to go on for the grammar that it keeps to."""
        return False

    def sample(self, row: int = -1, margin: float = 0.0) -> int:
        """Choose the next token from a row of the newest logits, -1 being those of the last decoded one, and remember
        it for the penalties. `NOT_SURE`, and nothing is remembered, where another token comes within `margin` of the
        likeliest; only for a chain that needs few candidates and leaves nothing to chance. Raises `NoNumbers`."""
        token = self.sample_from_few(row, margin) if self._sees_few else self.sample_from_all(row)
        if self.watcher is not None and token != NOT_SURE:
            self.watcher.note(token, self.logits(row))
        return token

    def watch(self, watcher: OddsWatcher) -> None:
        """Have it told of each token that is chosen."""
        self.watcher, self.is_compiled = watcher, False

    def sample_from_few(self, row: int = -1, margin: float = 0.0) -> int:
        """As `sample`, the chain seeing no more candidates than it needs, if that can be told."""
        token = self._candidates.choose_from_few(self.chain, row, margin) if self.n_needed else None
        if token is None:
            return NOT_SURE if margin > 0 else self.sample_from_all(row)
        return token

    def sample_from_all(self, row: int = -1) -> int:
        """As `sample`, the chain seeing the whole vocabulary, which must be numbers: it is sorted."""
        if not self._candidates.are_numbers(row):
            raise NoNumbers
        return int(lib.llama_sampler_sample(self.chain, self._context, row))

    def logits(self, row: int) -> Any:
        """A row of the newest logits, in llama.cpp's own buffer: a numpy array of n_vocab floats."""
        return self._candidates.newest_logits(row)

    @functools.cached_property
    def _candidates(self) -> Candidates:
        # Where the loop is compiled nobody asks for it, and importing numpy takes as long as the rest of the engine.
        from tui.engine.candidates import Candidates

        return Candidates(self._context, self._n_vocab, self.n_needed, takes_best=self.takes_best)

    def take_up(self, before: Sampler, tokens: Sequence[int]) -> None:
        """Go on behind `tokens`, which `before` chose with other values."""
        for token in tokens:
            self.accept(token)

    def accept(self, token: int) -> None:
        """Remember a token that was chosen before, for the penalties."""
        lib.llama_sampler_accept(self.chain, token)

    def close(self) -> None:
        """Free the chain; it is freed too when nobody holds this any more."""
        self._free()


def _parts(
    s: Sampling, seed: int, context: int | None, vocabulary: Vocabulary, biases: Sequence[Bias]
) -> Iterator[object]:
    """llama.cpp's samplers, in the order that it uses by default; none that would do nothing."""
    # The greatest number means "draw one" to llama.cpp: here it is a seed as any other.
    seed = min(seed & 0xFFFFFFFF, LAST_SEED)

    def window(last_n: int) -> int:
        return last_n if last_n >= 0 else int(lib.llama_n_ctx(context))

    if biases:
        array = (lib.llama_logit_bias * len(biases))(*biases)
        yield lib.llama_sampler_init_logit_bias(vocabulary.n_tokens, len(biases), array)
    if _penalizes(s):
        yield lib.llama_sampler_init_penalties(
            vocabulary.n_tokens, window(s.penalty_last_n), s.repeat_penalty, s.frequency_penalty, s.presence_penalty
        )
    if s.dry_multiplier > 0:
        breakers = (ctypes.c_char_p * len(_BREAKERS))(*_BREAKERS)
        yield lib.llama_sampler_init_dry(
            vocabulary.pointer,
            *(s.dry_multiplier, s.dry_base, s.dry_allowed_length, window(s.dry_last_n)),
            *(breakers, len(breakers)),
        )
    if s.temperature <= 0:
        yield lib.llama_sampler_init_greedy()
        return
    if s.top_k > 0:
        yield lib.llama_sampler_init_top_k(s.top_k)
    if s.typical_p < 1.0:
        yield lib.llama_sampler_init_typical(s.typical_p, 1)
    if s.top_p < 1.0:
        yield lib.llama_sampler_init_top_p(s.top_p, 1)
    if s.min_p > 0:
        yield lib.llama_sampler_init_min_p(s.min_p, 1)
    if s.xtc_probability > 0:
        yield lib.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, 1, seed)
    yield lib.llama_sampler_init_temp(s.temperature)
    yield lib.llama_sampler_init_dist(seed)
