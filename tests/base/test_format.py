"""Figures as people read them."""

from __future__ import annotations

from tui.base.format import full_speed, speed


def test_a_speed_takes_five_cells_at_most_and_none_is_a_dash() -> None:
    told = [speed(tps) for tps in (0, 4.1, 9.994, 31.42, 999.94, 1204.4, 9_999, 12_345, 150_000, 2.5e6)]
    assert told == ["–", "4.10", "9.99", "31.4", "999.9", "1,204", "9,999", "12.3k", "150k", "2.5M"]
    assert all(len(text) <= 5 for text in told)


def test_a_speed_in_a_table_is_never_shortened_and_has_the_digits_of_its_table() -> None:
    told = [
        full_speed(4.1, 1),
        full_speed(4.1),
        full_speed(12_345),
        full_speed(2.5e8),
        full_speed(0, 1),
    ]
    assert told == ["4.1", "4.10", "12,345", "2.50e+08", "0.0"]
