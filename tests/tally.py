"""What a campaign counts, and what it found to be wrong."""

from __future__ import annotations

import time
from collections import Counter


class Tally:
    """Counts by kind and manner, such as the moment of a kill and the signal; complaints; and the longest times."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.slowest: dict[str, float] = {}
        self.wrong: list[str] = []

    @property
    def n(self) -> int:
        """All that was counted."""
        return self.counts.total()

    def count(self, kind: str, manner: str) -> None:
        """One more of this kind."""
        self.counts[kind, manner] += 1
        if self.n % 25 == 0:
            print(f"{self.n} in {time.monotonic() - self._started:.0f} s, {len(self.wrong)} wrong", flush=True)

    def took(self, what: str, seconds: float, at_most: float, where: str) -> None:
        """So long it took; longer than `at_most` is wrong."""
        self.slowest[what] = max(seconds, self.slowest.get(what, 0.0))
        if seconds > at_most:
            self.complain(where, f"{what} took {seconds:.1f} s")

    def complain(self, where: str, what: str) -> None:
        """This is wrong; told at once."""
        self.wrong.append(f"{where}: {what}")
        print(f"WRONG {self.wrong[-1]}", flush=True)

    def report(self) -> int:
        """Print a row for each kind, the longest times and the number of complaints; the exit code."""
        for kind in dict.fromkeys(kind for kind, _ in sorted(self.counts)):
            manners = {manner: n for (one, manner), n in sorted(self.counts.items()) if one == kind}
            told = ", ".join(f"{n} {manner}" for manner, n in manners.items())
            print(f"  {sum(manners.values()):>5} {kind:<14} {told}")
        for what, seconds in self.slowest.items():
            print(f"  {seconds:>5.2f} s at most: {what}")
        print(f"{self.n} in {time.monotonic() - self._started:.0f} s, {len(self.wrong)} wrong")
        return int(bool(self.wrong))
