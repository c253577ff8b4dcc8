"""How fast a model will be on this machine before it is loaded, and how sure that is: from its header and from what was
measured here before. Nothing is measured and nothing is read here.

A token takes the time in which each place reads its part of the weights and of the context, and something for each
layer; places work one after the other, so that their times add up. How long these take is learned (`learning.py`) from
earlier runs (`reached.py`): those of this model, then those of models of its kind, then all on the same device, else
from the bandwidth of its memory and what this machine reaches of it."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from tui.measure.asked import Asked
from tui.measure.known_speeds import KnownSpeeds
from tui.measure.learning import Estimate, combined, learned, of_the_same
from tui.measure.reached import Reached, shortest
from tui.models.info import ModelInfo
from tui.planning.formula import MemoryPlan

Basis = Literal["own", "like", "others", "roofline"]
"""Runs of this model loaded in this way; of models of its kind (the same device, quantization of as many bits, mixture
of experts or not); of other models on the same device; or the bandwidth of memory alone."""
FROM_THE_SUREST: tuple[Basis, ...] = ("own", "like", "others", "roofline")

_Z90 = 1.645
"""Standard deviations on each side of 90% of a normal distribution."""
_BEYOND_ROOFLINE = 1.1
"""Of what memory allows: no more is expected where only its bandwidth is known."""
_OF_CONTEXT = 0.3
"""How uncertain a speed is by a run that read more or less of a context, as a part of the difference."""
_OTHER_MIXTURE = 0.5
"""Of a mixture of experts a whole batch reads most of the experts: how it reads prompts says little of other models."""
_OF_SEVERAL = 0.3
"""How uncertain it is how several places share the reading of a prompt, as llama.cpp may copy weights for it."""


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


def forecast(
    info: ModelInfo, plan: MemoryPlan, known: KnownSpeeds, *, n_threads: int = 0, n_past: int = 0
) -> Forecast | None:
    """Of a model that is loaded as planned, with `n_threads` as in the load settings, when it writes with `n_past`
    tokens in the context. None where nothing is known. Quick: for each row of a table.

    speeds = await asyncio.to_thread(known_speeds, History(paths.bench_file()))
    found = forecast(model.info, permission.outcome.plan, speeds)
    """
    asked = Asked(info, plan, n_threads or known.n_threads, n_past)
    if not known or not asked.parts:
        return None
    reached = Reached(known, asked)
    decode, prompt = _decode(asked, known, reached), _prompt(asked, known, reached)
    return Forecast(decode_tps=decode, prompt_tps=prompt) if decode or prompt else None


def _decode(asked: Asked, known: KnownSpeeds, reached: Reached) -> Range | None:
    times, spreads = [], []
    for run in known.runs:
        if asked.is_same(run) and (decode := asked.nearest(run)) is not None:
            read_before = sum(decode.read_bytes.values()) or asked.read_bytes
            factor = asked.read_bytes / read_before
            times.append(factor / decode.tps)
            spreads.append(math.hypot(decode.spread, _OF_CONTEXT * (1 - min(factor, 1 / factor))))
    if times:
        return _range(of_the_same(times, spreads), "own")
    found = []
    for part in asked.parts:
        samples = reached.decoding(part)
        estimate = learned(samples, asked.kind, part.read_bytes, part.n_layers) or reached.by_bandwidth(part)
        if estimate is None:
            return None
        found.append(estimate)
    total = combined(found)
    if total.n:
        return _range(total, "like" if total.is_like else "others")
    allowed_s = sum(part.read_bytes / known.bandwidth.get(part.device, math.inf) for part in asked.parts)
    return _range(total, "roofline", most=_BEYOND_ROOFLINE / allowed_s if allowed_s else math.inf)


def _prompt(asked: Asked, known: KnownSpeeds, reached: Reached) -> Range | None:
    own = [prefill for run in known.runs if asked.is_same(run) and (prefill := shortest(run)) is not None]
    if own:
        return _range(of_the_same([1 / one.tps for one in own], [one.spread for one in own]), "own")
    found = []
    for part in asked.parts:
        samples = reached.reading_prompts(part)
        estimate = learned(samples, asked.kind, part.layer_params, part.n_layers, of_moe=_OTHER_MIXTURE)
        if estimate is None or not part.layer_params:
            return None
        found.append(estimate)
    total = combined(found)
    if len(found) > 1:
        spread = math.hypot(total.spread, _OF_SEVERAL)
        total = msgspec.structs.replace(total, spread=spread, is_like=False)
    return _range(total, "like" if total.is_like else "others")


def _range(found: Estimate, basis: Basis, *, most: float = math.inf) -> Range:
    """As a speed. Times are spread evenly around their logarithm: half as fast is as far as twice as fast."""
    tps, factor = 1 / found.seconds, math.exp(_Z90 * found.spread)
    low = tps / factor
    high = max(tps, min(tps * factor, most))
    return Range(tps=tps, low=low, high=high, basis=basis, n_runs=found.n)
