"""A speed that is expected, with its bounds and what it is known from: the records of a forecast."""

from __future__ import annotations

from typing import Literal

import msgspec

Basis = Literal["own", "like", "others", "roofline"]
"""Runs of this model loaded in this way; of models of its kind (the same device, quantization of as many bits, mixture
of experts or not); of other models on the same device; or the bandwidth of memory alone."""
FROM_THE_SUREST: tuple[Basis, ...] = ("own", "like", "others", "roofline")


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
        return max((one.basis for one in (self.decode_tps, self.prompt_tps) if one), key=FROM_THE_SUREST.index)
