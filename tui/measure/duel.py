"""Whether candidates are surely faster than what there is. All are measured in turns, back and forth, so that what
drifts meanwhile cancels; the bounds hold for all candidates and all looks at the figures together. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from tui.measure.stats import RelativeDifference, paired_difference

T = TypeVar("T")
LOOKS = (4, 6, 8)
"""After so many rounds the figures are looked at; after the last it is over."""
RISK = 0.05
"""How probable it may be, at most, that something is called faster and is not."""


class Duel(Generic[T]):
    """Rounds of `start` against `rivals`, the most promising first. When the time is up between two looks, `winner` may
    be asked for once more."""

    def __init__(self, start: T, rivals: Sequence[T]) -> None:
        self._start = start
        self._rivals = list(rivals)
        # Each look at each rival has its part of the risk (Bonferroni).
        self._confidence = 1 - RISK / max(1, len(rivals) * (len(LOOKS) + 1))
        self._speeds: dict[T, list[float]] = {choice: [] for choice in (start, *rivals)}
        self._n_rounds = 0

    @property
    def turns(self) -> tuple[T, ...]:
        """Who is measured in the next round, in this order: each round goes the other way. Nobody when it is over."""
        if self._is_over:
            return ()
        order = (self._start, *self._rivals)
        return order if self._n_rounds % 2 == 0 else order[::-1]

    def add(self, speeds: Mapping[T, float]) -> None:
        """What a whole round has measured: a speed above 0 for each of `turns`."""
        for choice in (self._start, *self._rivals):
            self._speeds[choice].append(speeds[choice])
        self._n_rounds += 1
        if self._n_rounds == LOOKS[0] and self.winner is None:
            self._rivals = self.ranked[:1]  # time for the better one

    def difference(self, rival: T) -> RelativeDifference | None:
        """How much faster it is than the start, between bounds that nobody has to be lucky for; None before the second
        round."""
        own = self._speeds[rival]
        return paired_difference(self._speeds[self._start][: len(own)], own, self._confidence)

    @property
    def winner(self) -> T | None:
        """The fastest of those that are surely faster than the start."""
        for rival in self.ranked:
            found = self.difference(rival)
            if found is not None and found.low > 0:
                return rival
        return None

    @property
    def ranked(self) -> list[T]:
        """Those that are still measured, the fastest by the rounds so far first."""
        differences = {rival: self.difference(rival) for rival in self._rivals}
        return sorted(self._rivals, key=lambda rival: -found.percent if (found := differences[rival]) else 0.0)

    @property
    def _is_over(self) -> bool:
        if not self._rivals or self._n_rounds >= LOOKS[-1]:
            return True
        if self._n_rounds not in LOOKS:
            return False
        best = self.difference(self.ranked[0])
        return self.winner is not None or best is None or best.percent <= 0
