"""Learns from samples how long work takes: each did so much work (bytes read, operations computed) in so many layers,
which cost something each, and was of a kind. Knows nothing of models, and never asks where a sample comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

_SPREAD = 0.06
"""Standard deviation, as a part of the time, that samples of one kind are taken to have before there are any."""
_AS_MANY = 2.0
"""As many samples as that assumption counts."""
_RIDGE = 0.05
"""Holds the part of the time that is for layers near none until samples of several sizes tell."""
PER_FOLD = 0.04
"""How well work and time scale is learned only from samples of several sizes."""
Z90 = 1.645
"""Standard deviations on each side of 90% of a normal distribution."""
_LEAST_OF_WORK = 0.25
"""Part of the time of a sample that is its work's, whatever layers are said to cost."""
_SIZES = 1.3
"""Samples whose work differs by this factor have two sizes."""
_BITS, _MOST_BITS = 0.05, 0.2
"""For each bit by which the weights are quantized differently, and at most."""
_COSTLY = 0.25
"""Where the weights of only one of the two take much computing to unpack."""
OTHER_MIXTURE = 0.4
"""Where only one of the two is a mixture of experts."""
_OTHER_KIND = 0.05
"""From this distance on a sample is of another kind."""
_OLDER = 0.7
"""Each run of the very same thing counts so much of the one after it."""
_OWN_SPREAD = 0.035
"""As `_SPREAD`, of runs of the very same thing."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What of a model says which others it is like."""

    bits: int
    """Of most of its weights."""
    is_costly: bool = False
    """They take more computing to unpack than their bytes take to read."""
    is_moe: bool = False

    def distance(self, other: Kind, *, of_moe: float) -> float:
        """How uncertain, as a part of it, a time of this kind is by one of the other; `of_moe` where only one of them
        is a mixture of experts."""
        return math.hypot(
            min(_MOST_BITS, _BITS * abs(self.bits - other.bits)),
            _COSTLY * (self.is_costly != other.is_costly),
            of_moe * (self.is_moe != other.is_moe),
        )


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What took how long."""

    kind: Kind
    work: float
    """In any unit, the same for all that are compared."""
    n_layers: float
    seconds: float
    spread: float = 0.0
    """Standard deviation of its own repetitions, as a part of the time."""
    apart: float = 0.0
    """How uncertain, as a part of it, what is asked for is by this one for other reasons than its kind."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A time and how uncertain it is."""

    seconds: float
    spread: float
    """Standard deviation, as a part of the time."""
    n: int
    """Samples of the nearest kind that there is."""
    is_like: bool = True
    """They are of the kind that was asked for."""


def learned(
    samples: Sequence[Sample],
    kind: Kind,
    work: float,
    n_layers: float,
    *,
    of_moe: float = OTHER_MIXTURE,
    layer_s: float = 0.0,
    per_fold: float = PER_FOLD,
) -> Estimate | None:
    """How long so much work in so many layers takes; None without samples. The time is fitted as a cost of the work and
    one of each layer, which no sample can pull below none, so that the errors are least as parts of the times.

    `layer_s` is what a layer costs for all that is known without samples; `per_fold` is how uncertain a time is, as a
    part of it, for each e-fold between the work of a sample and what is asked for.
    """
    if not samples:
        return None
    if layer_s:
        # Of no sample more than a part of its time.
        most = min(sample.seconds / max(1.0, sample.n_layers) for sample in samples)
        layer_s = min(layer_s, (1 - _LEAST_OF_WORK) * most)
        samples = [
            msgspec.structs.replace(sample, seconds=sample.seconds - layer_s * sample.n_layers) for sample in samples
        ]
    distances = [math.hypot(kind.distance(sample.kind, of_moe=of_moe), sample.apart) for sample in samples]
    nearest = min(distances)
    # What is farther than the nearest kind has a say in how work and layers share the time, and little in the sum.
    weights = [
        _SPREAD**2 / (_SPREAD**2 + (distance - nearest) ** 2 + sample.spread**2)
        for distance, sample in zip(distances, samples, strict=True)
    ]
    like = [sample for sample, distance in zip(samples, distances, strict=True) if distance - nearest < _OTHER_KIND]
    works = [sample.work for sample in like]
    is_of_sizes = max(works) > _SIZES * min(works)
    per_work, per_layer, leverage = _fit(samples, weights, work, n_layers, with_layers=is_of_sizes)
    seconds = per_work * work + per_layer * n_layers
    errors = [
        weight * (((per_work * sample.work + per_layer * sample.n_layers) / sample.seconds - 1) ** 2 + sample.spread**2)
        for weight, sample in zip(weights, samples, strict=True)
    ]
    n_free = max(0.0, sum(weights) - (2 if is_of_sizes else 1))
    variance = (_AS_MANY * _SPREAD**2 + sum(errors)) / (_AS_MANY + n_free)
    folds = min(abs(math.log(work / one)) for one in works) if work > 0 else 0.0
    apart = math.hypot(nearest, per_fold * folds * (1 if is_of_sizes else 2))
    return Estimate(
        seconds=seconds + layer_s * n_layers,
        spread=math.hypot(math.sqrt(variance * (1 + leverage)) * _of_few(_AS_MANY + n_free), apart),
        n=len(like),
        is_like=nearest < _OTHER_KIND,
    )


def _of_few(n: float) -> float:
    """How much wider 90% of Student's t with `n` degrees of freedom are than 90% of a normal distribution: for a spread
    that is itself known from few samples only (Abramowitz and Stegun, 26.7.5)."""
    z = Z90
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return 1 + sum(term / n ** (power + 1) for power, term in enumerate(terms)) / z


def _fit(
    samples: Sequence[Sample], weights: Sequence[float], work: float, n_layers: float, *, with_layers: bool
) -> tuple[float, float, float]:
    """Costs of the work and of a layer by weighted least squares, and how much of the variance of one sample the time
    that is asked for gets from them."""
    rows = [(sample.work / sample.seconds, sample.n_layers / sample.seconds) for sample in samples]
    aa = sum(w * a * a for w, (a, _) in zip(weights, rows, strict=True))
    per_work = sum(w * a for w, (a, _) in zip(weights, rows, strict=True)) / aa
    of_work = (work * per_work) ** 2
    if with_layers:
        bb = sum(w * b * b for w, (_, b) in zip(weights, rows, strict=True)) * (1 + _RIDGE)
        ab = sum(w * a * b for w, (a, b) in zip(weights, rows, strict=True))
        sums = [sum(w * row[i] for w, row in zip(weights, rows, strict=True)) for i in (0, 1)]
        det = aa * bb - ab * ab
        a, b = ((bb * sums[0] - ab * sums[1]) / det, (aa * sums[1] - ab * sums[0]) / det) if det > 0 else (0.0, 0.0)
        if a > 0 and b > 0:
            seconds = a * work + b * n_layers
            quadratic = (bb * work * work - 2 * ab * work * n_layers + aa * n_layers * n_layers) / det
            return a, b, quadratic / seconds**2
    return per_work, 0.0, 1 / (aa * per_work**2) if of_work else 0.0


def of_the_same(times: Sequence[float], spreads: Sequence[float]) -> Estimate:
    """By runs of the very same thing, the newest first, of which there is at least one."""
    weights = [_OLDER**age for age in range(len(times))]
    total = sum(weights)
    seconds = sum(weight * time for weight, time in zip(weights, times, strict=True)) / total
    errors = [
        weight * ((time / seconds - 1) ** 2 + spread**2)
        for weight, time, spread in zip(weights, times, spreads, strict=True)
    ]
    n = total**2 / sum(weight**2 for weight in weights)
    variance = (_AS_MANY * _OWN_SPREAD**2 + sum(errors)) / (_AS_MANY + max(0.0, total - 1))
    return Estimate(seconds=seconds, spread=math.sqrt(variance * (1 + 1 / n)), n=len(times))


def combined(parts: Sequence[Estimate]) -> Estimate:
    """Of things that are done one after the other."""
    seconds = sum(part.seconds for part in parts)
    # Errors of several parts do not even out: the same machine made them.
    spread = sum(part.seconds * part.spread for part in parts) / seconds
    return Estimate(
        seconds=seconds, spread=spread, n=min(part.n for part in parts), is_like=all(part.is_like for part in parts)
    )
