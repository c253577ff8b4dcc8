"""The speed of answers, and its history."""

from __future__ import annotations

from tui.session.speed import SpeedHistory, after_silence


def test_a_speed_falls_while_nothing_comes_and_a_slow_one_stays_as_it_is() -> None:
    assert after_silence(30.0, 0.2) == after_silence(30.0, 1.0) == 30.0
    assert after_silence(30.0, 6.0) == 0.5
    assert after_silence(0.4, 2.5) == after_silence(0.4, 5.0) == 0.4


def test_a_ring_keeps_the_newest_samples() -> None:
    history = SpeedHistory(capacity=3)
    assert not history.values

    for speed in (9.0, 1.0, 3.0, 2.0):
        history.add(speed)

    assert list(history.values) == [1.0, 3.0, 2.0]
    history.clear()
    assert not history.values
