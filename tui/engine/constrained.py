"""A sampler whose answer keeps to a grammar. What is thought before the answer is free. Runs in the engine process
only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tui.engine.bindings import lib
from tui.engine.grammar import Grammar
from tui.engine.llamalog import LlamaError
from tui.engine.sampler import NoNumbers, Sampler
from tui.engine.vocabulary import Vocabulary
from tui.protocol.records import Sampling
from tui.words.later import later

_FIRST = 64
"""Of the likeliest candidates, how many are held against the grammar first."""
_MOST_BLANKS = 2
"""Tokens of blanks that may stand between a thought and its answer."""


class ConstrainedSampler(Sampler):
    """Chooses among the tokens that the grammar allows: those before the thought is over are chosen freely.

    A grammar over a whole vocabulary takes tens of milliseconds, so it sees the likeliest candidates first, and more
    only where too few of them fit. A chain that needs to see all of them chooses once from all, and again from those
    that fit only where its choice does not, which comes to the same.
    """

    is_compiled = False

    def __init__(
        self,
        context: int | None,
        vocabulary: Vocabulary,
        sampling: Sampling,
        seed: int,
        biases: Sequence[tuple[int, float]] = (),
        *,
        grammar: str,
        openings: frozenset[int] = frozenset(),
    ) -> None:
        """`openings` are tokens that begin a thought, where one is wanted: the answer may begin with one. Raises
        `LlamaError`."""
        self._begin(vocabulary, grammar, openings)
        super().__init__(context, vocabulary, sampling, seed, biases)

    def _begin(self, vocabulary: Vocabulary, grammar: str, openings: frozenset[int]) -> None:
        self.grammar, self._openings, self._vocabulary = grammar, openings, vocabulary
        self._grammar = Grammar(vocabulary, grammar)
        self._kept: list[int] = []
        """What was chosen by the grammar."""
        self._n_free = 0
        """Tokens that were chosen freely, and blanks behind a thought."""
        self._n_blanks = 0
        self.is_free = False
        """What is written now is no part of the answer."""

    def copy(self, context: int | None, vocabulary: Vocabulary) -> ConstrainedSampler:
        """As of any sampler; the grammar is read anew, as it belongs to a vocabulary that may be gone."""
        other = ConstrainedSampler.__new__(ConstrainedSampler)
        other.sampling = self.sampling
        other._begin(vocabulary, self.grammar, self._openings)
        other._go_on_as(self)
        other._set_up(context, vocabulary.n_tokens, self._clone())
        return other

    def take_up(self, before: Sampler, tokens: Sequence[int]) -> None:
        """As of any sampler; what kept to the same grammar before is held against it."""
        super().take_up(before, tokens)
        if isinstance(before, ConstrainedSampler) and before.grammar == self.grammar:
            self._go_on_as(before)

    def _go_on_as(self, before: ConstrainedSampler) -> None:
        for token in before._kept:
            self._take(token)
        self._n_free, self._n_blanks, self.is_free = before._n_free, before._n_blanks, before.is_free

    @property
    def is_incomplete(self) -> bool:
        """The text would have to go on for the grammar."""
        return not self._grammar.is_complete

    def sample(self, row: int = -1, margin: float = 0.0) -> int:
        """As `Sampler.sample`, of what the grammar allows; it is always sure. Raises `LlamaError` too."""
        if not self._candidates.are_numbers(row):
            raise NoNumbers
        token = self._choice(row)
        lib.llama_sampler_accept(self.chain, token)
        if self.watcher is not None:
            self.watcher.note(token, self.logits(row))
        return token

    def _choice(self, row: int) -> int:
        if self.is_free or (not self._kept and self._may_be_free):
            token = self._candidates.choose(self.chain, row, self._first_ids(row))
            if self.is_free or self._is_free(token):
                self._n_free += 1
                return token
        if not self.n_needed:
            token = self._candidates.choose(self.chain, row, None)
            if bool(self._grammar.allowed(np.array([token], np.int32))[0]):
                return self._take(token)
        return self._take(self._candidates.choose(self.chain, row, self._fitting(row)))

    @property
    def _may_be_free(self) -> bool:
        """Whether what comes first may be no part of the grammar."""
        return bool(self._openings) if not self._n_free else self._n_blanks < _MOST_BLANKS

    def _is_free(self, token: int) -> bool:
        if not self._n_free:
            return token in self._openings
        self._n_blanks += 1
        piece = self._vocabulary.piece(token)
        return bool(piece) and not piece.strip()

    def _first_ids(self, row: int) -> Any:
        return None if not self.n_needed else self._candidates.likeliest(row, max(self.n_needed, _FIRST))

    def _fitting(self, row: int) -> Any:
        """Ids of the candidates that fit, as many as the chain needs to see, if there are so many."""
        n_wanted, n_vocab = self.n_needed or self._n_vocab, self._n_vocab
        n = min(max(2 * self.n_needed, _FIRST), n_vocab) if self.n_needed else n_vocab
        while True:
            ids = self._candidates.likeliest(row, n)
            fitting = ids[self._grammar.allowed(ids)]
            if len(fitting) >= n_wanted or len(ids) < n or n >= n_vocab:
                break
            n = min(16 * n, n_vocab)
        if not len(fitting):
            raise LlamaError(
                "bad_format", later("the grammar allows no token of this model here, so the answer cannot go on")
            )
        return fitting

    def _take(self, token: int) -> int:
        self._grammar.accept(token)
        self._kept.append(token)
        return token
