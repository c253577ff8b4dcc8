"""The statistics against SciPy's, over random samples and those that tell nothing."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tui.measure.stats import deviation, mean, relative_difference, t_quantile, two_sided_p, welch

speeds = st.floats(min_value=0.01, max_value=1e5)
samples = st.lists(speeds, min_size=2, max_size=12)


def theirs() -> Any:
    """SciPy's, imported only here: that takes a second, which each process that runs any test would wait for."""
    import scipy.stats

    return scipy.stats


def spread(values: Sequence[float]) -> float:
    return deviation(values) / mean(values)


@pytest.mark.filterwarnings("ignore:Precision loss")  # SciPy's, about one side without much spread
@given(samples, samples)
def test_welchs_test_is_scipys(before: list[float], after: list[float]) -> None:
    assume(max(spread(before), spread(after)) > 1e-6)
    ours = welch(before, after)
    expected = theirs().ttest_ind(after, before, equal_var=False)
    assert ours is not None
    assert ours.t == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert ours.df == pytest.approx(expected.df, rel=1e-6)
    assert ours.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)


@given(st.floats(min_value=-1e8, max_value=1e8), st.floats(min_value=1, max_value=1e5))
def test_the_p_of_students_t_is_scipys(t: float, df: float) -> None:
    assert two_sided_p(t, df) == pytest.approx(2 * theirs().t.sf(abs(t), df), rel=1e-7, abs=1e-300)


@given(st.floats(min_value=0.51, max_value=1 - 1e-9), st.floats(min_value=1, max_value=1e5))
def test_the_quantile_of_students_t_is_scipys(probability: float, df: float) -> None:
    assert t_quantile(probability, df) == pytest.approx(theirs().t.ppf(probability, df), rel=1e-6)


@given(samples, samples)
def test_the_bounds_leave_zero_out_just_when_the_difference_is_significant(
    before: list[float], after: list[float]
) -> None:
    test, bounds = welch(before, after), relative_difference(before, after)
    assume(test is not None and bounds is not None and abs(test.p - 0.05) > 1e-6)
    assert test is not None and bounds is not None
    assert bounds.low <= bounds.percent <= bounds.high or math.isclose(bounds.low, bounds.high, abs_tol=1e-6)
    assert (bounds.low > 0 or bounds.high < 0) == (test.p < 0.05)


def test_the_bounds_hold_the_true_difference_as_often_as_they_promise() -> None:
    rng = theirs().norm
    before = rng.rvs(100, 5, size=(2000, 5), random_state=1).tolist()
    after = rng.rvs(110, 8, size=(2000, 5), random_state=2).tolist()
    bounds = [relative_difference(one, other) for one, other in zip(before, after, strict=True)]
    held = [bound is not None and bound.low <= 10 <= bound.high for bound in bounds]
    assert 0.94 < mean(held) < 0.97


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [1.0, 2.0]),
        ([5.0], [1.0, 2.0]),
        ([1.0, 2.0, 3.0], [2.0]),
        ([3.0, 3.0, 3.0], [3.0, 3.0]),
        ([3.0, 3.0], [4.0, 4.0]),
        ([0.1] * 3, [0.1] * 7),
    ],
)
def test_where_samples_tell_nothing_there_is_no_p(before: list[float], after: list[float]) -> None:
    assert welch(before, after) is None and relative_difference(before, after) is None


def test_one_side_without_spread_is_no_hindrance() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, about the constant side
        expected = theirs().ttest_ind([4.0, 4.0, 4.0], [1.0, 2.0, 2.5], equal_var=False)
    ours = welch([1.0, 2.0, 2.5], [4.0, 4.0, 4.0])
    assert ours is not None and ours.df == pytest.approx(2) and ours.p == pytest.approx(expected.pvalue)


def test_a_first_mean_that_may_be_zero_has_no_relative_difference() -> None:
    assert welch([0.01, 100.0], [50.0, 51.0]) is not None
    assert relative_difference([0.01, 100.0], [50.0, 51.0]) is None
