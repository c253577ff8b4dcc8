"""What several tokens at once cost: between what was measured, and by what answers took."""

from __future__ import annotations

import pytest

from tui.engine.costcurve import CostCurve, filled, stepped


def test_between_two_sizes_the_cost_lies_on_a_line() -> None:
    assert filled({1: 1.0, 2: 1.5, 4: 2.5}) == (1.0, 1.5, 2.0, 2.5)


def test_nothing_costs_less_than_one_step() -> None:
    assert filled({1: 1.0, 2: 0.8, 4: 0.9}) == (1.0, 1.0, 1.0, 1.0)


def test_where_programs_are_compiled_for_each_size_others_cost_what_the_next_does() -> None:
    assert stepped({1: 1.0, 2: 1.2, 4: 1.5, 8: 2.0}) == (1.0, 1.2, 1.5, 1.5, 2.0, 2.0, 2.0, 2.0)


def test_what_an_answer_took_counts_half() -> None:
    costs = CostCurve((1.0, 1.2, 1.4))
    costs.learn({1: (20, 2.0), 3: (10, 2.8)})
    assert costs.now == pytest.approx((1.0, 1.8, 2.1))
    assert costs.measured == (1.0, 1.2, 1.4)


@pytest.mark.parametrize(
    "steps", [{}, {1: (5, 1.0), 2: (9, 9.0)}, {1: (50, 5.0), 2: (2, 9.0)}, {1: (50, 5.0), 9: (20, 99.0)}]
)
def test_too_few_steps_and_sizes_that_were_not_measured_change_nothing(steps: dict[int, tuple[int, float]]) -> None:
    costs = CostCurve((1.0, 1.2, 1.4))
    costs.learn(steps)
    assert costs.now == (1.0, 1.2, 1.4)
