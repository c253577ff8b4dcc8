"""Drafts: what the model may be about to write, because the conversation holds the same words already. The same as
`promptlookup.h`, operation for operation, for those who have no compiled loop. Knows tokens and nothing else."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

SHORTEST = 3
"""Tokens in a row that must be the same as before for a place of the text to be looked at."""
LONGEST = 32
"""Tokens in a row beyond which a longer match says no more."""
MOST_PLACES = 8
"""Places that are looked at, the latest first."""
MOST_DRAFT = 15
"""Tokens of a draft."""
MOST_MISSES = 3
"""Differences in a row over which a place is followed, as where a name was replaced."""
MEMORY = 0.96
"""What one more observation leaves of those before it."""
LEAST_GAIN = 1.05
"""A draft must promise this much more than decoding alone."""
LEAST_MORE = 0.02
"""What several tokens at once cost more than one, at least: no less can be told from noise."""
LENGTHS = (0, 1, 2, 3, 4, 5, 7, 11, 15, 19, 23, 31)
"""The longest match of each row of what is known of guesses but the last."""
EXPECTED = (0.5, 0.6, 0.7, 0.4, 0.55, 0.65, 0.75, 0.85, 0.9, 0.92, 0.94, 0.95, 0.97)
"""How often a guess is right, by length of the match, as long as nothing better is known."""
WEIGHT = 3.0
"""So many guesses these count for."""


def hash_size(room: int) -> int:
    """How many hashes to tell apart for so many tokens: a power of two."""
    return 1 << max(10, min(20, room.bit_length()))


class PromptLookup:
    """What is known of one conversation."""

    def __init__(self, room: int, costs: Sequence[float]) -> None:
        """For `room` tokens. `costs` are those of decoding 1, 2, 3 … tokens at once, in steps of one."""
        self._room, self._costs = room, list(costs)
        self._text: list[int] = []
        self._before: list[int] = [-1] * SHORTEST
        self._heads: dict[tuple[int, ...], int] = {}
        self._source, self._length, self._n_misses = -1, 0, 0
        self._hits = [rate * WEIGHT for rate in EXPECTED]
        self._trials = [WEIGHT] * len(EXPECTED)

    def read(self, tokens: Iterable[int]) -> None:
        """More of the conversation, that the model did not choose."""
        for token in tokens:
            self.add(token, is_guess=False)

    def add(self, token: int, *, is_guess: bool = True) -> None:
        """One more token; `is_guess`: it was chosen by the model, so that it tells how good a guess is."""
        text = self._text
        if len(text) >= self._room:
            self._source = -1
            return
        if self._source >= 0:
            self._follow(token, is_guess=is_guess)
        text.append(token)
        if len(text) < SHORTEST:
            return
        three = tuple(text[-SHORTEST:])
        self._look_up(three)
        self._before.append(self._heads.get(three, -1))
        self._heads[three] = len(text)

    def _follow(self, token: int, *, is_guess: bool) -> None:
        is_hit = self._text[self._source] == token
        if is_guess:
            row = _row(self._length)
            self._hits[row] = self._hits[row] * MEMORY + (1.0 if is_hit else 0.0)
            self._trials[row] = self._trials[row] * MEMORY + 1.0
        self._source += 1
        self._length = self._length + 1 if is_hit else 0
        if self._length >= SHORTEST:
            self._n_misses = 0
        elif not is_hit:
            self._n_misses += 1
            if self._n_misses >= MOST_MISSES:
                self._source = -1

    def _look_up(self, three: tuple[int, ...]) -> None:
        """Go to the place with the longest match, where that is longer than the one that is followed."""
        text = self._text
        length, place = (self._length if self._source >= 0 else 0), self._heads.get(three, -1)
        for _ in range(MOST_PLACES):
            if place < 0 or length >= LONGEST:
                return
            same = 0
            while same < min(LONGEST, place) and text[place - 1 - same] == text[-1 - same]:
                same += 1
            if same >= SHORTEST and same > length:
                self._source, self._length, self._n_misses = place, same, 0
                length = same
            place = self._before[place]

    @property
    def text(self) -> Sequence[int]:
        """The conversation's tokens; the last one is not decoded yet."""
        return self._text

    @property
    def costs(self) -> Sequence[float]:
        """Of 1, 2, 3 … tokens at once, as far as they are known by now."""
        return self._costs

    def length(self, most: int) -> int:
        """How long a draft, of at most `most` tokens, is worth most for what it costs; 0: none is worth it."""
        return self.best(most)[0]

    def best(self, most: int) -> tuple[int, float]:
        """As `length`, and how many times as fast as one by one it promises to be."""
        best, length = LEAST_GAIN, 0
        if self._source < 0:
            return length, best
        chance = expected = 1.0
        for n in range(1, min(most, len(self._costs) - 1, MOST_DRAFT) + 1):
            row = _row(self._length + n - 1)
            chance *= self._hits[row] / self._trials[row]
            expected += chance
            if expected / self._costs[n] > best:
                best, length = expected / self._costs[n], n
        return length, best

    def learn_cost(self, n_at_once: int, cost: float, weight: float) -> None:
        """A step of so many tokens cost this. Of the others it says something too: attention to a long context costs
        each token of a draft as much as the first."""
        factor = (cost - 1.0) / max(self._costs[n_at_once - 1] - 1.0, LEAST_MORE)
        factor = min(max(factor, 0.5), 2.0)
        for at in range(1, len(self._costs)):
            more = max(self._costs[at] - 1.0, LEAST_MORE)
            part = weight if at + 1 == n_at_once else weight / 2
            self._costs[at] = 1.0 + more * (1.0 + part * (factor - 1.0))

    def draft(self, length: int) -> list[int]:
        """The draft; behind the end of the text it goes on with itself."""
        found = self._text[self._source : self._source + length]
        while len(found) < length:
            found.append(found[self._source + len(found) - len(self._text)])
        return found


def _row(length: int) -> int:
    return bisect_left(LENGTHS, length)
