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
HOLDS_S = 10
"""A reading stands for the seconds after it that have none, so many at most: they come more seldom while nobody looks,
and late on a busy machine. After that the machine was asleep, or nothing read it."""


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
        chip, cards = self.host.cpu_power_w, None
        for gpu in self.gpus:
            if gpu.power_w is None:
                continue
            if gpu.kind == "igpu":
                chip = gpu.power_w
            else:
                cards = (cards or 0.0) + gpu.power_w
        return chip if cards is None else cards + (chip or 0.0)


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


def by_time(readings: Sequence[Reading], n_points: int, step_s: int) -> list[list[Reading]]:
    """The readings of each `step_s` seconds, the newest last; of a step without any, the one before it, unless that is
    older than `HOLDS_S`. Steps begin at whole multiples of `step_s`, so that a graph moves on by whole points and no
    point changes once its step is over."""
    steps: list[list[Reading]] = [[] for _ in range(n_points)]
    if not readings:
        return steps
    last = n_points - 1 - int(readings[-1].host.time // step_s)
    before: Reading | None = None
    for reading in reversed(readings):
        index = last + int(reading.host.time // step_s)
        if index < 0:
            before = reading
            break
        if index < n_points:
            steps[index].append(reading)
    for index, step in enumerate(steps):
        if step:
            before = step[0]  # its newest
        elif before is not None and (index - last) * step_s - before.host.time <= HOLDS_S:
            step.append(before)
    return steps


def largest(steps: Sequence[Sequence[Reading]], value: Callable[[Reading], float | None]) -> list[float]:
    """Of each step; 0 where nothing is known."""
    return [max([value(reading) or 0.0 for reading in step], default=0.0) for step in steps]


def joules_per_token(readings: Sequence[Reading]) -> float | None:
    """Energy of CPU and GPUs for each token generated, over the seconds in which tokens were; None where power is not
    known, or nothing was generated."""
    watts = tokens = 0.0
    for reading in readings:
        power = reading.power_w if reading.decode_tps else None
        if power is not None:
            watts, tokens = watts + power, tokens + reading.decode_tps
    return watts / tokens if tokens else None
