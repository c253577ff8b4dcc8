"""The last minutes of what was read of the machine, and how fast the engine was meanwhile. Kept by the session, so that
graphs have a past when they are opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from tui.machine.readings import GpuSample, HostSample
from tui.session import events

KEPT_S = 600
"""Readings come once a second, at most."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One second."""

    host: HostSample
    gpus: tuple[GpuSample, ...] = ()
    decode_tps: float = 0.0
    """0 while nothing was generated, and for a second in which another model or conversation was open."""
    prefill_tps: float = 0.0
    """The same while a prompt was read."""

    @property
    def power_w(self) -> float | None:
        """What CPU and GPUs take together, as far as they tell. An integrated GPU tells what its whole chip takes."""
        chip = next((gpu.power_w for gpu in self.gpus if gpu.kind == "igpu" and gpu.power_w is not None), None)
        cards = [gpu.power_w for gpu in self.gpus if gpu.kind == "gpu" and gpu.power_w is not None]
        known = [watts for watts in (self.host.cpu_power_w if chip is None else chip, *cards) if watts is not None]
        return sum(known) if known else None


class MachineHistory:
    """Follows the session's events."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=KEPT_S)

    @property
    def readings(self) -> Sequence[Reading]:
        """Oldest first."""
        return self._readings

    def hear(self, event: events.AnySessionEvent) -> None:
        """Keep a reading. What was measured of another model or conversation is forgotten; the machine is the same."""
        match event:
            case events.MachineRead(host=host, gpus=gpus, speed=speed):
                self._readings.append(
                    Reading(
                        host=host,
                        gpus=gpus,
                        decode_tps=speed.decode_tps if speed.is_decoding else 0.0,
                        prefill_tps=speed.prefill.tps if speed.prefill is not None else 0.0,
                    )
                )
            case events.SpeedReset():
                silent = [msgspec.structs.replace(one, decode_tps=0.0, prefill_tps=0.0) for one in self._readings]
                self._readings = deque(silent, maxlen=KEPT_S)


def by_time(
    readings: Sequence[Reading], value: Callable[[Reading], float | None], n_points: int, step_s: int
) -> list[float]:
    """The largest value of each `step_s` seconds, the newest last; 0 where nothing is known. Steps begin at whole
    multiples of `step_s`, so that a graph moves on by whole points and no point changes once its step is over."""
    points = [0.0] * n_points
    if not readings or not n_points:
        return points
    newest = int(readings[-1].host.time // step_s)
    for reading in reversed(readings):
        index = n_points - 1 - (newest - int(reading.host.time // step_s))
        if index < 0:
            break
        found = value(reading)
        if found is not None and index < n_points and found > points[index]:
            points[index] = found
    return points


def joules_per_token(readings: Sequence[Reading]) -> float | None:
    """Energy of CPU and GPUs for each token generated, over the seconds in which tokens were; None where power is not
    known, or nothing was generated."""
    watts = tokens = 0.0
    for reading in readings:
        power = reading.power_w if reading.decode_tps else None
        if power is not None:
            watts, tokens = watts + power, tokens + reading.decode_tps
    return watts / tokens if tokens else None
