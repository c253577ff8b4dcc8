"""How fast the places of this machine worked in earlier runs, as samples to learn from: what was read of memory, what
was computed of prompts; and what is to be expected of a place by its bandwidth alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui.measure.asked import Asked, Part, kind_of
from tui.measure.known_speeds import KnownPrefill, KnownRun, KnownSpeeds
from tui.measure.learning import Estimate, Sample
from tui.measure.stats import mean
from tui.planning.placement import HOST

_SHARE, _SHARE_SPREAD = 0.65, 0.4
"""Of its bandwidth what decoding reaches where nothing was ever run, and how uncertain that is."""
_LAYER_S = 60e-6
"""Of a device: some ten steps of a few microseconds. It is most of a token on a fast one and little on a slow one."""
_OTHER_PLACE = 0.25
"""How uncertain is what another place of the machine reaches."""
_OF_DIVIDED = 0.04
"""As a part of it, how uncertain a time is that several places took together and that was divided between them."""
_OF_THREADS = 0.25
"""How uncertain a time is that was taken with another number of threads."""
_DEEPER, _OF_DEPTH = 1024, 0.15
"""Tokens in the context from which on another depth is another thing, and how uncertain what it says is then."""
_SHORT, _OF_SHORT = 128, 0.2
"""Tokens of a prompt below which it is read at another speed."""


class Reached:
    """By the runs that are known, for what is asked."""

    def __init__(self, known: KnownSpeeds, asked: Asked) -> None:
        self._known, self._asked = known, asked
        self._alone: dict[str, list[float]] = {}
        """Bytes per second of tests that read from one place only."""
        for run in known.runs:
            for decode in run.decodes:
                if len(decode.read_bytes) == 1:
                    ((device, n_bytes),) = decode.read_bytes.items()
                    self._alone.setdefault(device, []).append(n_bytes * decode.tps)

    def decoding(self, part: Part) -> list[Sample]:
        """How long reading there took, one sample of each run. The time of a run that read from several places is
        divided as each of them reads alone."""
        found = []
        for run in self._runs(part.device):
            decode = self._asked.nearest(run)
            if decode is None or not decode.read_bytes.get(part.device):
                continue
            times = {name: self._time_alone(name, n_bytes) for name, n_bytes in decode.read_bytes.items()}
            is_divided = len(times) > 1
            if is_divided and not all(times.values()):
                continue
            share = times[part.device] / sum(times.values()) if is_divided else 1.0
            deeper = abs(decode.n_past - self._asked.n_past) > _DEEPER
            sample = Sample(
                kind=kind_of(run.quant, is_moe=run.is_moe),
                work=decode.read_bytes[part.device],
                n_layers=_n_layers(run, part.device),
                seconds=share / decode.tps,
                spread=decode.spread,
                apart=math.hypot(_OF_DIVIDED * is_divided, self._of_threads(run, part.device), _OF_DEPTH * deeper),
            )
            found.append(sample)
        return found

    def reading_prompts(self, part: Part) -> list[Sample]:
        """How long computing a token of a prompt took there, one sample of each run that was there alone."""
        found = []
        for run in self._runs(part.device):
            prefill = shortest(run)
            is_there = run.devices == (part.device,) and run.n_gpu_layers == run.n_layers and not run.n_cpu_moe
            if prefill is None or not run.n_layer_params or not (is_there or (part.device == HOST and not run.devices)):
                continue
            is_odd = prefill.n_prompt < _SHORT or prefill.n_depth > _DEEPER
            sample = Sample(
                kind=kind_of(run.quant, is_moe=run.is_moe),
                work=run.n_layer_params,
                n_layers=run.n_layers,
                seconds=1 / prefill.tps,
                spread=prefill.spread,
                apart=math.hypot(_OF_SHORT * is_odd, self._of_threads(run, part.device)),
            )
            found.append(sample)
        return found

    def by_bandwidth(self, part: Part) -> Estimate | None:
        """How long reading there takes, by how fast its memory can be read and which part of that this machine reaches
        elsewhere; None where it was not measured."""
        bandwidth = self._known.bandwidth.get(part.device)
        if not bandwidth:
            return None
        shares = [
            mean(reached) / self._known.bandwidth[device]
            for device, reached in self._alone.items()
            if self._known.bandwidth.get(device)
        ]
        share, spread = (mean(shares), _OTHER_PLACE) if shares else (_SHARE, _SHARE_SPREAD)
        seconds = part.read_bytes / (share * bandwidth) + layer_s(part.device) * part.n_layers
        return Estimate(seconds=seconds, spread=spread, n=0, is_like=False)

    def _runs(self, device: str) -> Sequence[KnownRun]:
        """With as many threads as are asked for, where that matters and there are any."""
        with_threads = [run for run in self._known.runs if device != HOST or self._asked.has_threads(run)]
        return with_threads or self._known.runs

    def _of_threads(self, run: KnownRun, device: str) -> float:
        return _OF_THREADS if device == HOST and not self._asked.has_threads(run) else 0.0

    def _time_alone(self, device: str, n_bytes: float) -> float:
        """What reading so much there takes, about; 0 where that is not known."""
        reached = self._alone.get(device)
        speed = mean(reached) if reached else _SHARE * self._known.bandwidth.get(device, 0.0)
        return n_bytes / speed if speed else 0.0


def layer_s(device: str) -> float:
    """Seconds that a layer of a token costs there beside the reading, as far as that is known of all machines: a device
    is given its work in steps that follow one another, and waits between them."""
    return 0.0 if device == HOST else _LAYER_S


def shortest(run: KnownRun) -> KnownPrefill | None:
    """The test of a run that read a prompt into the emptiest context."""
    return min(run.prefills, key=lambda prefill: prefill.n_depth, default=None)


def _n_layers(run: KnownRun, device: str) -> float:
    n_on_host = run.n_layers - run.n_gpu_layers
    return n_on_host if device == HOST else run.n_gpu_layers / max(1, len(run.devices))
