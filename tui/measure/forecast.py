"""How fast a model will be on this machine before it is loaded, and how sure that is: from its header and from what was
measured here before. Nothing is measured and nothing is read here.

A token takes the time in which each place reads its part of the weights and of the context, and something for each
layer; places work one after the other, so that their times add up. How long these take is learned (`learning.py`) from
earlier runs (`reached.py`): those of this model, then those of models of its kind, then all on the same device, else
from the bandwidth of its memory and what this machine reaches of it."""

from __future__ import annotations

import math

import msgspec

from tui.measure.asked import Asked
from tui.measure.expectation import Basis, Forecast, Range
from tui.measure.known_speeds import KnownSpeeds
from tui.measure.learning import PER_FOLD, Z90, Estimate, combined, learned, of_the_same
from tui.measure.reached import Reached, layer_s, shortest
from tui.models.info import ModelInfo
from tui.planning.formula import MemoryPlan
from tui.planning.placement import HOST

__all__ = ["Basis", "Forecast", "Range", "forecast"]

_BEYOND_ROOFLINE = 1.1
"""Of what memory allows: no more is expected where only its bandwidth is known."""
_OF_CONTEXT = 0.3
"""How uncertain a speed is by a run that read more or less of a context, as a part of the difference."""
_OTHER_MIXTURE = 0.5
"""Of a mixture of experts a whole batch reads most of the experts: how it reads prompts says little of other models."""
_PER_FOLD_ON_DEVICES = 0.12
"""A device reads prompts at another part of what it can compute for each size of a model."""
_OF_SEVERAL = 0.3
"""How uncertain it is how several places share the reading of a prompt, as llama.cpp may copy weights for it."""


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
        known_s = layer_s(part.device)
        learned_of = learned(samples, asked.kind, part.read_bytes, part.n_layers, layer_s=known_s)
        estimate = learned_of or reached.by_bandwidth(part)
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
        per_fold = PER_FOLD if part.device == HOST else _PER_FOLD_ON_DEVICES
        estimate = learned(
            samples, asked.kind, part.layer_params, part.n_layers, of_moe=_OTHER_MIXTURE, per_fold=per_fold
        )
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
    tps, factor = 1 / found.seconds, math.exp(Z90 * found.spread)
    low = tps / factor
    high = max(tps, min(tps * factor, most))
    return Range(tps=tps, low=low, high=high, basis=basis, n_runs=found.n)
