"""The bars of the load settings: what is used, what is planned, where the limit lies, at any width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.app.markdown.text import width_of
from tui.app.widgets.memory_bars import legend_row, pool_row
from tui.planning.placement import HOST
from tui.planning.verdict import Pool

GIB = 1 << 30


def pool(total: float, used: float, planned: float, limit: float) -> Pool:
    return Pool(
        place=HOST,
        kind="ram",
        total_bytes=int(total * GIB),
        used_bytes=int(used * GIB),
        planned_bytes=int(planned * GIB),
        limit_bytes=int(limit * GIB),
    )


def text(of: Pool, width: int = 52) -> str:
    return "".join(piece for piece, _ in pool_row(of, width))


def styles(of: Pool) -> set[str]:
    return {style for _, style in pool_row(of, 52)} - {"", "muted", "faint"}


def test_used_planned_and_free_follow_each_other_and_the_limit_is_marked() -> None:
    assert text(pool(20, 5, 10, 19)) == "RAM" + " " * 15 + "━━━━━■■■■■■■■■■────│" + "   15.0 / 20.0"


@pytest.mark.parametrize(("planned", "style"), [(10, "good"), (14.5, "tight"), (16, "full")])
def test_colour_says_whether_it_fits(planned: float, style: str) -> None:
    assert styles(pool(20, 5, planned, 19)) == {style}


def test_what_is_planned_is_seen_however_little_and_however_full_it_is() -> None:
    assert "■" in text(pool(20, 20, 0.01, 19))
    assert "■" in text(pool(64, 1, 0.01, 60))


def test_nothing_planned_takes_no_cell() -> None:
    assert "■" not in text(pool(20, 5, 0, 19))


@pytest.mark.parametrize("width", [8, 20, 52, 120])
def test_the_legend_says_what_each_sign_means_as_far_as_there_is_room(width: int) -> None:
    legend = "".join(piece for piece, _ in legend_row("fits", width))
    assert width_of(legend.rstrip()) <= width
    assert "━ used" in legend and ("│ reserve" in legend) == (width >= 52)


@given(
    total=st.integers(0, 64),
    used=st.integers(0, 64),
    planned=st.integers(0, 200),
    limit=st.integers(-8, 64),
    width=st.integers(24, 120),
)
def test_a_row_is_never_wider_than_its_place(total: int, used: int, planned: int, limit: int, width: int) -> None:
    row = text(pool(total, min(used, total), planned, limit), width)
    assert width_of(row) == width or not total
