"""The last minutes of readings: what is kept, what is forgotten, and what graphs are made of it."""

from __future__ import annotations

import pytest

from tui.machine.readings import GpuSample, HostSample
from tui.protocol.messages import Prefill
from tui.session.events import MachineRead, SpeedReset
from tui.session.machine_history import HOLDS_S, KEPT_S, MachineHistory, Reading, by_time, joules_per_token, largest
from tui.session.speed import SpeedNow


def at(second: float, *, busy: float | None = None, tps: float = 0.0, watts: float | None = None) -> Reading:
    host = HostSample(time=second, cpu_percent=busy, cpu_power_w=watts)
    return Reading(host=host, decode_tps=tps)


def told(second: int, speed: SpeedNow) -> MachineRead:
    return MachineRead(host=HostSample(time=second), gpus=(), npus=(), speed=speed)


def test_it_keeps_ten_minutes_and_the_speeds_of_those_seconds_in_which_something_was_computed() -> None:
    history = MachineHistory()
    for second in range(KEPT_S + 5):
        history.hear(told(second, SpeedNow(decode_tps=31.0)))  # of the last answer
    history.hear(told(700, SpeedNow(decode_tps=31.0, is_decoding=True)))
    history.hear(told(701, SpeedNow(prefill=Prefill(done=1, total=9, tps=400.0, eta_s=1.0))))
    speeds = [(reading.decode_tps, reading.prefill_tps) for reading in history.readings]
    assert len(speeds) == KEPT_S
    assert speeds[-3:] == [(0, 0), (31.0, 0), (0, 400.0)]


def test_speeds_of_another_model_or_conversation_are_forgotten_and_the_machine_is_not() -> None:
    history = MachineHistory()
    history.hear(told(1, SpeedNow(decode_tps=31.0, is_decoding=True)))
    history.hear(SpeedReset(speed=SpeedNow()))
    (reading,) = history.readings
    assert (reading.decode_tps, reading.host.time) == (0.0, 1)


def test_a_point_is_the_largest_of_its_seconds_and_steps_begin_at_whole_multiples() -> None:
    readings = [at(second, busy=second) for second in range(7)]

    def busiest(readings: list[Reading], n_points: int, step_s: int) -> list[float]:
        return largest(by_time(readings, n_points, step_s), lambda reading: reading.host.cpu_percent)

    assert busiest(readings, 3, 2) == [3, 5, 6]
    assert busiest([*readings, at(7, busy=1)], 3, 2) == [3, 5, 6]
    assert busiest([*readings, at(9, busy=9)], 6, 2) == [0, 1, 3, 5, 6, 9]
    assert busiest([], 2, 1) == [0, 0]
    assert busiest([at(9, busy=1), at(2, busy=5)], 2, 1) == [0, 5]  # a clock that was set back


def test_a_reading_stands_for_the_seconds_after_it_that_have_none_but_not_for_a_long_sleep() -> None:
    def busiest(readings: list[Reading], n_points: int, step_s: int = 1) -> list[float]:
        return largest(by_time(readings, n_points, step_s), lambda reading: reading.host.cpu_percent)

    seldom = [at(0, busy=7), at(5, busy=3), at(6, busy=4)]
    assert busiest(seldom, 8) == [0, 7, 7, 7, 7, 7, 3, 4]
    assert busiest(seldom, 4) == [7, 7, 3, 4]  # the one before the graph begins
    assert busiest([at(0.9, busy=7), at(2.1, busy=3)], 3) == [7, 7, 3]
    assert busiest([at(0, busy=7), at(HOLDS_S + 3, busy=3)], HOLDS_S + 4) == [7] * (HOLDS_S + 1) + [0, 0, 3]
    assert busiest([at(9), at(12, busy=5)], 4) == [0, 0, 0, 5]


def test_energy_of_a_token_is_over_the_seconds_in_which_tokens_were_generated() -> None:
    readings = [at(1, watts=90.0), at(2, watts=20.0, tps=10.0), at(3, watts=40.0, tps=30.0), at(4, tps=50.0)]
    assert joules_per_token(readings) == pytest.approx(60 / 40)
    assert joules_per_token([at(1, tps=10.0)]) is None
    assert joules_per_token([at(1, watts=10.0)]) is None


def test_power_of_an_integrated_gpu_is_that_of_its_whole_chip() -> None:
    host = HostSample(time=0, cpu_power_w=15.0)
    igpu = GpuSample(name="A", kind="igpu", source="amdgpu", power_w=24.0)
    card = GpuSample(name="B", kind="gpu", source="nvml", power_w=100.0)
    silent = GpuSample(name="C", kind="igpu", source="i915")
    assert Reading(host=host, gpus=(igpu,)).power_w == 24.0
    assert Reading(host=host, gpus=(igpu, card)).power_w == 124.0
    assert Reading(host=host, gpus=(silent, card)).power_w == 115.0
    assert Reading(host=HostSample(time=0), gpus=(silent,)).power_w is None
