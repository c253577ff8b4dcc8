"""Notices an answer that goes round in circles: the same tokens again and again."""

from __future__ import annotations

LONGEST_PERIOD = 256
"""Tokens of the longest passage whose repetition is noticed."""
LEAST_TOKENS = 160
"""So long must a repetition last: tables and drawings repeat themselves for a while."""
LEAST_TIMES = 4
_LOOK_EVERY = 64


class Repetition:
    """Looks at an answer's tokens now and then. A repetition counts while it lasts: one that the model finds its way
    out of is forgotten."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._until_look = LEAST_TOKENS
        self.is_loop = False

    def add(self, token: int) -> None:
        """The next token of the answer."""
        self._tokens.append(token)
        self._until_look -= 1
        if self._until_look <= 0:
            self._until_look = _LOOK_EVERY
            del self._tokens[: -LONGEST_PERIOD * LEAST_TIMES - _LOOK_EVERY]
            self.check()

    def check(self) -> None:
        """Look now: at the end of an answer it tells whether the model found its way out at last."""
        self.is_loop = period(self._tokens) > 0


def period(tokens: list[int]) -> int:
    """How long the passage is that the end of `tokens` repeats; 0 where it repeats none often enough."""
    n = len(tokens)
    last = tokens[-1] if tokens else -1
    for length in range(1, min(LONGEST_PERIOD, n // LEAST_TIMES) + 1):
        if tokens[-1 - length] != last:
            continue
        needed = max(LEAST_TOKENS, length * LEAST_TIMES)
        if needed <= n and tokens[n - needed + length :] == tokens[n - needed : n - length]:
            return length
    return 0
