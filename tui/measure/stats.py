"""The few statistics that a benchmark needs: means, deviations, and whether two sets of samples differ (Welch's t
test, or pair by pair). Written out here, so that nothing large is imported for them; the tests compare them with
SciPy's."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import msgspec

_TINY = 1e-300
_EPSILON = 1e-15
_STEPS = 10_000
_ROUNDING = 1e-12
"""Samples whose spread is below this part of their mean differ by rounding only."""


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation (n - 1 below the line); 0 of fewer than two."""
    if len(values) < 2:
        return 0.0
    middle = mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))


class Welch(msgspec.Struct, frozen=True, kw_only=True):
    """What Welch's t test finds: the means of two sets of samples whose variances may differ."""

    t: float
    """Positive when the second mean is the larger one."""
    df: float
    """Degrees of freedom, after Welch and Satterthwaite; at least 1, not whole."""
    p: float
    """Two-sided: how probable a difference as large as this one would be if there were none."""


class RelativeDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How much larger the second mean is, in percent of the first, and between which bounds that is, with the
    confidence that was asked for."""

    percent: float
    low: float
    high: float


def welch(before: Sequence[float], after: Sequence[float]) -> Welch | None:
    """Whether the two means differ. None where that cannot be told: fewer than two samples on a side, or no spread on
    either."""
    if min(len(before), len(after)) < 2:
        return None
    difference = mean(after) - mean(before)
    errors = [deviation(values) ** 2 / len(values) for values in (before, after)]
    error = math.sqrt(sum(errors))
    if not error > _ROUNDING * max(abs(mean(before)), abs(mean(after))):
        return None
    # Divided by the sum first: the squares of very small errors would vanish.
    df = 1 / sum(
        (part / sum(errors)) ** 2 / (len(values) - 1) for part, values in zip(errors, (before, after), strict=True)
    )
    t = difference / error
    return Welch(t=t, df=df, p=two_sided_p(t, df))


def relative_difference(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95
) -> RelativeDifference | None:
    """By Fieller's theorem, which knows that the first mean is uncertain too; with the degrees of freedom of `welch`,
    so that the bounds leave 0 out just when its p is below 1 - `confidence`. None where `welch` gives none, and where
    the first mean is not surely different from 0: the bounds would be infinite."""
    test = welch(before, after)
    if test is None:
        return None
    first, second = mean(before), mean(after)
    t = t_quantile((1 + confidence) / 2, test.df)
    first_error, second_error = (
        t * deviation(values) / math.sqrt(len(values)) / abs(first or 1.0) for values in (before, after)
    )
    # In units of the first mean: (ratio - x)^2 = second_error^2 + x^2 first_error^2, solved for x.
    below = 1 - first_error**2
    if first == 0 or below <= 0:
        return None
    ratio = second / first
    root = math.sqrt(max(0.0, ratio**2 * first_error**2 + below * second_error**2))
    low, high = ((ratio - root) / below, (ratio + root) / below)
    return RelativeDifference(percent=100 * (ratio - 1), low=100 * (low - 1), high=100 * (high - 1))


def paired_difference(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95
) -> RelativeDifference | None:
    """By the ratios of the pairs, so that what was the same for both of a pair (a warm machine, another program) is not
    in it: the mean of their logarithms, and Student's t. All values are above 0. None for fewer than two pairs."""
    ratios = [math.log(second / first) for first, second in zip(before, after, strict=True)]
    if len(ratios) < 2:
        return None
    middle = mean(ratios)
    margin = t_quantile((1 + confidence) / 2, len(ratios) - 1) * deviation(ratios) / math.sqrt(len(ratios))
    percent, low, high = (100 * math.expm1(value) for value in (middle, middle - margin, middle + margin))
    return RelativeDifference(percent=percent, low=low, high=high)


def two_sided_p(t: float, df: float) -> float:
    """How probable it is that Student's t with `df` degrees of freedom is at least as far from 0 as `t`."""
    square = t * t
    if math.isinf(square):
        return 0.0
    return _incomplete_beta(df / 2, 0.5, df / (df + square), square / (df + square))


@functools.lru_cache(maxsize=256)
def t_quantile(probability: float, df: float) -> float:
    """The value that Student's t with `df` degrees of freedom stays below with this probability, from 0.5 to below 1;
    found by bisection."""
    tail = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while two_sided_p(high, df) > tail:
        low, high = high, high * 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if two_sided_p(middle, df) > tail else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularized incomplete beta function I_x(a, b); `rest` is 1 - x, given so that nothing is lost by computing
    it. By its continued fraction (DLMF 8.17.22), which converges quickly on one side of the mean; the other side by
    symmetry."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    return math.exp(logarithm) / a / _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) by Lentz's method."""
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(1, _STEPS):
        m = step // 2
        if step % 2:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / (1 + d * lower or _TINY)
        upper = 1 + d / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < _EPSILON:
            break
    return value
