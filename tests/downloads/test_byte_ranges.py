"""Ranges of bytes, beside a set of all their numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.downloads.ranges import Ranges

_PAIRS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)))


@given(_PAIRS, st.integers(0, 45))
def test_ranges_hold_what_was_put_in_and_tell_what_is_missing(pairs: list[tuple[int, int]], size: int) -> None:
    ranges = Ranges(pairs)
    held = {byte for start, end in pairs for byte in range(start, end)}
    assert {byte for start, end in ranges for byte in range(start, end)} == held
    assert ranges.total == len(held)
    assert all(before[1] < after[0] for before, after in zip(list(ranges), list(ranges)[1:], strict=False))
    assert ranges.front == next(byte for byte in range(50) if byte not in held)
    gaps = ranges.gaps(size)
    assert {byte for start, end in gaps for byte in range(start, end)} == set(range(size)) - held
    assert all(start < end for start, end in gaps)
