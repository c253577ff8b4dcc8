"""What it costs to decode several tokens at once, in steps of one: measured once for a model on its devices, and kept
true by what answers take. A draft is worth its while by this alone. Runs in the engine process only."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tui.engine.abort import Aborted
from tui.engine.llama import Session
from tui.engine.promptlookup import MOST_DRAFT

SIZES = (1, 2, 4, 8, 3, 16, 6, 12, 5, 7)
"""Tokens at once, in the order in which they are tried: some are cheaper than those before, as kernels compute several
rows together."""
ROUNDS = 3
BUDGET_S = 1.5
"""After the first round. That one is not counted: GPUs compile their programs for each size when it comes first."""
PATIENCE_S = 5.0
"""For the first round."""
_FEWEST_STEPS = 4
_FEWEST_PLAIN_STEPS = 8
"""Steps of an answer that say something of the cost."""
_WEIGHT = 0.5
"""Of an answer against what was known before."""


def measure(session: Session, budget_s: float = BUDGET_S) -> tuple[float, ...]:
    """The cost of 1, 2, 3 … tokens at once, as far as there was time and room; empty where drafts cannot be made. What
    is in the KV cache stays as it is. Raises `Aborted`."""
    n_past = session.memory.n_past
    sizes = [n for n in SIZES if n <= min(session.n_outputs, session.n_ctx - n_past)]
    if session.n_outputs < 2 or session.memory.is_recurrent or len(sizes) < 2:
        return ()
    token = max(session.vocabulary.bos, session.vocabulary.eos, 0)
    best: dict[int, float] = {}
    started = time.perf_counter()
    for n in sizes:
        if time.perf_counter() - started > PATIENCE_S:
            sizes = sizes[: sizes.index(n)]
            break
        _step(session, n_past, [token] * n)
    started = time.perf_counter()
    for n in sizes * ROUNDS:
        if len(best) > 1 and time.perf_counter() - started > budget_s:
            break
        took = _step(session, n_past, [token] * n)
        best[n] = min(best.get(n, took), took)
    return filled({n: took / best[1] for n, took in best.items()}) if len(best) > 1 else ()


def _step(session: Session, n_past: int, tokens: Sequence[int]) -> float:
    if session.abort.is_set:
        raise Aborted
    started = time.perf_counter()
    try:
        session.decode(tokens, wants_all=len(tokens) > 1)
        session.synchronize()
    finally:
        session.memory.take_back(n_past)
    return time.perf_counter() - started


def filled(known: Mapping[int, float]) -> tuple[float, ...]:
    """The cost of each number of tokens from 1 to the greatest that is known, on straight lines between these; never
    less than one step. `known[1]` must be there."""
    sizes = sorted(known)
    costs = [1.0]
    for before, after in pairwise(sizes):
        slope = (known[after] - known[before]) / (after - before)
        costs += [known[before] + slope * n for n in range(1, after - before + 1)]
    return tuple(max(1.0, cost) for cost in costs)


class StepCosts:
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
