"""How fast an answer came, over its time."""

from __future__ import annotations

from tui.session.pace import MOST, Pace


class Clock:
    """Says what a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_there_is_one_speed_for_each_second() -> None:
    clock = Clock()
    pace = Pace(clock)
    for n_tokens in range(0, 60, 3):  # 12 tokens a second, told four times
        pace.note(n_tokens)
        clock.now += 0.25
    assert pace.speeds == [12.0] * 4 and pace.step_s == 1.0


def test_a_long_answer_has_fewer_and_a_pause_is_no_speed() -> None:
    clock = Clock()
    pace = Pace(clock)
    for second in range(1000):
        pace.note(second * 10)
        clock.now += 1.0
    assert MOST / 2 - 1 <= len(pace.speeds) <= MOST and pace.step_s > 4
    assert all(abs(speed - 10) < 1e-6 for speed in pace.speeds)
    n = len(pace.speeds)
    clock.now += 60
    pace.note(1)  # it went on after a load: tokens are counted anew
    assert len(pace.speeds) == n
