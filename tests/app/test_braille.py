"""Graphs of braille characters."""

from __future__ import annotations

from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from tui.app.widgets.braille import braille_graph


def test_one_character_shows_two_samples_of_four_levels() -> None:
    assert braille_graph([1, 2, 3, 4], 2, 1, 4) == ["⣠⣾"]


def test_the_newest_sample_is_at_the_right_edge_and_the_left_stays_blank() -> None:
    assert braille_graph([4], 3, 1, 4) == ["⠀⠀⢸"]


def test_samples_that_do_not_fit_are_left_out_at_the_left() -> None:
    assert braille_graph([4, 4, 4, 0, 4], 1, 1, 4) == ["⢸"]


def test_high_graphs_fill_from_the_bottom_row() -> None:
    assert braille_graph([8, 5, 4, 1], 2, 2, 8) == ["⣇⠀", "⣿⣇"]


def test_without_a_maximum_the_highest_value_drawn_has_full_height() -> None:
    assert braille_graph([100, 10, 20], 1, 1) == ["⣼"]


def test_small_values_show_one_dot_and_impossible_ones_none() -> None:
    assert braille_graph([0.001, 100], 1, 2, 100) == ["⢸", "⣸"]
    assert braille_graph([nan, -1, inf, 0], 2, 1, 100) == ["⠀⠀"]
    assert braille_graph([500, 100], 1, 1, 100) == ["⣿"]


def test_a_graph_of_nothing_is_blank() -> None:
    assert braille_graph([], 2, 2) == ["⠀⠀", "⠀⠀"]
    assert braille_graph([1, 2], 0, 2) == ["", ""]
    assert braille_graph([1, 2], 3, 0) == []


@given(
    st.lists(st.floats(), max_size=60),
    st.integers(0, 20),
    st.integers(0, 5),
    st.none() | st.floats(0, 1e6),
)
def test_every_graph_has_its_size_and_is_made_of_braille(
    values: list[float], width: int, height: int, maximum: float | None
) -> None:
    rows = braille_graph(values, width, height, maximum)

    assert [len(row) for row in rows] == [width] * height
    assert all(0x2800 <= ord(char) <= 0x28FF for row in rows for char in row)
