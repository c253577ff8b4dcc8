"""Candidates against what there is, with a simulated engine that is noisy and grows slower."""

from __future__ import annotations

import random

import pytest

from tui.measure.duel import LOOKS, RISK, Duel
from tui.measure.stats import paired_difference

START = 0


class Engine:
    """Speeds by number, with noise of so many percent, rare hiccups, and a loss with each measurement."""

    def __init__(self, seed: int, gains: dict[int, float], noise: float, loss: float) -> None:
        self._random, self._gains, self._noise, self._loss = random.Random(seed), gains, noise, loss
        self._n = 0

    def speed(self, choice: int) -> float:
        self._n += 1
        hiccup = 0.5 if self._random.random() < 0.03 else 1.0
        noise = self._random.gauss(0, self._noise)
        return 100 * (1 + self._gains.get(choice, 0)) * (1 + noise) * hiccup * (1 - self._loss) ** self._n


def search(engine: Engine, n_candidates: int = 12) -> tuple[Duel[int], int | None]:
    """As the tuner does it: each candidate once, then the two fastest in turns with the start."""
    screened = sorted(range(1, n_candidates + 1), key=lambda choice: -engine.speed(choice))
    duel = Duel(START, screened[:2])
    while turns := duel.turns:
        duel.add({choice: engine.speed(choice) for choice in turns})
    return duel, duel.winner


@pytest.mark.parametrize(("noise", "loss"), [(0.01, 0.0), (0.05, 0.0), (0.03, 0.004)])
def test_of_many_candidates_that_gain_nothing_hardly_ever_one_is_called_faster(noise: float, loss: float) -> None:
    n = 600
    wrong = sum(search(Engine(seed, {}, noise, loss))[1] is not None for seed in range(n))
    assert wrong <= 1.5 * RISK * n  # three deviations of the binomial distribution above it


@pytest.mark.parametrize("loss", [0.0, 0.004])
def test_a_gain_is_found_with_bounds_that_hold_it(loss: float) -> None:
    n, found, held = 200, 0, 0
    for seed in range(n):
        duel, winner = search(Engine(seed, {7: 0.25}, 0.02, loss))
        found += winner == 7
        if winner is not None and (gain := duel.difference(winner)):
            held += gain.low <= 25 <= gain.high
    assert found >= 0.6 * n  # a hiccup in the rounds can hide it, and may
    assert held >= (1 - RISK) * found


def test_rounds_go_back_and_forth_and_end_when_it_is_sure() -> None:
    duel = Duel("start", ["fast", "slow"])
    rounds = []
    while turns := duel.turns:
        rounds.append(turns)
        n = len(rounds)
        duel.add({"start": 100.0 + n, "fast": 120.0 + 1.1 * n, "slow": 90.0 + n})
    assert rounds[:2] == [("start", "fast", "slow"), ("slow", "fast", "start")]
    assert len(rounds) == LOOKS[0] and duel.winner == "fast"


def test_nothing_faster_ends_it_early_and_the_slower_of_two_drops_out() -> None:
    hopeless = Duel("start", ["slow"])
    while hopeless.turns:
        hopeless.add({"start": 100.0, "slow": 99.0})
    assert hopeless.winner is None
    unsure = Duel("start", ["one", "other"])
    for n in range(LOOKS[0]):
        unsure.add({"start": 100.0, "one": 80.0 + 30 * (n % 2) + 3, "other": 80.0 + 45 * (n % 2)})
    assert unsure.turns == ("start", "other")


def test_steady_drift_is_in_both_of_a_pair() -> None:
    drifting = [100.0 * 0.9**n for n in range(8)]
    before, after = drifting[0::4] + drifting[3::4], drifting[1::4] + drifting[2::4]
    found = paired_difference(before, [1.1 * speed for speed in after])
    assert found is not None and found.percent == pytest.approx(10)
    assert paired_difference([1.0], [2.0]) is None
