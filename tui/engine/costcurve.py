"""What it costs to decode several tokens at once, in steps of one: as it was measured for a model on its devices, and
kept true by what answers take. A draft is worth its while by this alone. Knows no llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tui.engine.promptlookup import MOST_DRAFT

_FEWEST_STEPS = 4
_FEWEST_PLAIN_STEPS = 8
"""Steps of an answer that say something of the cost."""
_WEIGHT = 0.5
"""Of an answer against what was known before."""


def filled(known: Mapping[int, float]) -> tuple[float, ...]:
    """The cost of each number of tokens from 1 to the greatest that is known, on straight lines between these; never
    less than one step. `known[1]` must be there."""
    sizes = sorted(known)
    costs = [1.0]
    for before, after in pairwise(sizes):
        slope = (known[after] - known[before]) / (after - before)
        costs += [known[before] + slope * n for n in range(1, after - before + 1)]
    return tuple(max(1.0, cost) for cost in costs)


def stepped(known: Mapping[int, float]) -> tuple[float, ...]:
    """As `filled`, each number that is not known costing as much as the next that is: drafts are then as long as these
    say."""
    sizes = sorted(known)
    return tuple(max(1.0, known[next(at for at in sizes if at >= n)]) for n in range(1, sizes[-1] + 1))


class CostCurve:
    """The costs that the next answer goes by."""

    def __init__(self, measured: Sequence[float]) -> None:
        """Begins with what was measured; see `measure`."""
        self.measured = tuple(measured)
        self.now = tuple(measured)
        """Of 1, 2, 3 … tokens at once."""

    def learn(self, steps: Mapping[int, tuple[int, float]]) -> None:
        """Take in what an answer took; see `TokenLoop.step_costs`. The context grows, and other programs come and
        go."""
        n_plain, plain_s = steps.get(1, (0, 0.0))
        if n_plain < _FEWEST_PLAIN_STEPS or plain_s <= 0:
            return
        changed = {
            n: seconds / count * n_plain / plain_s / self.now[n - 1]
            for n, (count, seconds) in steps.items()
            if 1 < n <= min(len(self.now), MOST_DRAFT + 1) and count >= _FEWEST_STEPS
        }
        if not changed:
            return
        costs = [1.0]
        for n, cost in enumerate(self.now[1:], 2):
            nearest = min(changed, key=lambda known, n=n: abs(known - n))  # type: ignore[misc]
            costs.append(max(1.0, cost * (1 - _WEIGHT + _WEIGHT * changed[nearest])))
        self.now = tuple(costs)
