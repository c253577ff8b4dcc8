"""How fast an answer came, over its time: one speed for about each second, fewer for long ones."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S = 1.0
"""Between two speeds, until there are too many."""
MOST = 120
"""Speeds that are kept of one answer."""


class Pace:
    """Of one answer. `note` is called with each piece of text, and costs next to nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at, self._n = 0.0, 0
        """When the last speed was taken, and how many tokens there were then; before the first piece 0."""
        self.step_s = FIRST_S
        """Seconds between two speeds."""
        self.speeds: list[float] = []
        """Tokens per second, the oldest first."""

    def note(self, n_tokens: int) -> None:
        """So many tokens have come, counted from the beginning or the last pause."""
        now = self._clock()
        if not self._at or n_tokens < self._n:
            self._at, self._n = now, n_tokens
            return
        passed = now - self._at
        if passed < self.step_s:
            return
        self.speeds.append((n_tokens - self._n) / passed)
        self._at, self._n = now, n_tokens
        if len(self.speeds) > MOST:
            pairs = zip(self.speeds[::2], self.speeds[1::2], strict=False)
            self.speeds = [(first + second) / 2 for first, second in pairs]
            self.step_s *= 2
