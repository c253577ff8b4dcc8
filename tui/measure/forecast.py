"""How fast a model will be on this machine before it is loaded, and how sure that is: from its header and from what was
measured here before. Nothing is measured and nothing is read here.

A token takes the time in which each place reads its part of the weights and of the context, and something for each
layer; places work one after the other, so that their times add up. How long these take is learned from earlier runs:
those of this model, then those of models of its kind, then all on the same device (`learning.py`), else from the
bandwidth of its memory and what this machine reaches of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from tui.measure.known_speeds import KnownRun, KnownSpeeds
from tui.measure.learning import Estimate, Kind, Sample, combined, learned, nearest
from tui.models.info import ModelInfo
from tui.planning.formula import MemoryPlan
from tui.planning.placement import HOST

Basis = Literal["own", "like", "others", "roofline"]
"""Runs of this model loaded in this way; of models of its kind (the same device, quantization of as many bits, mixture
of experts or not); of other models on the same device; or the bandwidth of memory alone."""
_FROM_THE_SUREST: tuple[Basis, ...] = ("own", "like", "others", "roofline")

_Z90 = 1.645
"""Standard deviations on each side of 90% of a normal distribution."""


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A speed in tokens per second, which is between the bounds 9 times of 10."""

    tps: float
    low: float
    high: float
    basis: Basis
    n_runs: int = 0
    """How many runs it was learned from; 0 where only bandwidth is known."""

    @property
    def width(self) -> float:
        """From bound to bound, as a part of the speed."""
        return (self.high - self.low) / self.tps

    def holds(self, tps: float) -> bool:
        """Whether a speed is between the bounds."""
        return self.low <= tps <= self.high

    def error(self, tps: float) -> float:
        """By which part of what was measured the forecast was too high; negative where it was too low."""
        return self.tps / tps - 1


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model, loaded in one way. What there is no telling is None."""

    decode_tps: Range | None = None
    """Tokens per second that are written."""
    prompt_tps: Range | None = None
    """Tokens per second that are read of a prompt of some hundreds of tokens."""

    @property
    def basis(self) -> Basis:
        """The less sure of the two."""
        return max((one.basis for one in (self.decode_tps, self.prompt_tps) if one), key=_FROM_THE_SUREST.index)


def forecast(
    info: ModelInfo, plan: MemoryPlan, known: KnownSpeeds, *, n_threads: int = 0, n_past: int = 0
) -> Forecast | None:
    """Of a model that is loaded as planned, with `n_threads` as in the load settings, when it writes with `n_past`
    tokens in the context. None where nothing is known. Quick: for each row of a table.

    speeds = await asyncio.to_thread(known_speeds, History(paths.bench_file()))
    found = forecast(model.info, permission.outcome.plan, speeds)
    """
    raise NotImplementedError
