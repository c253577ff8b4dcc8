"""The warning before memory runs out: once for each episode; and what counts as swapped while an answer was written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.app.phrases import shortage
from tui.config.keymap import default_keymap
from tui.machine.figures import MEMORY_PRESSURE
from tui.machine.pressure import CALM_READS, MemoryWatch, Shortage, swap_growth
from tui.machine.readings import HostSample

GIB, MIB = 1 << 30, 1 << 20


def reading(available: int | None = 8 * GIB, pressure: float | None = 0.0) -> HostSample:
    figures = {} if pressure is None else {MEMORY_PRESSURE: pressure}
    return HostSample(time=0, ram_total_bytes=16 * GIB, ram_available_bytes=available, figures=figures)


def told(*samples: HostSample) -> list[int]:
    """Which of these readings brought a warning, with a reserve of 1 GiB."""
    watch = MemoryWatch()
    return [number for number, sample in enumerate(samples) if watch.take(sample, GIB) is not None]


def test_programs_that_wait_for_memory_bring_a_warning_with_the_figures() -> None:
    found = MemoryWatch().take(reading(3 * GIB, 12.4), GIB)
    assert found == Shortage(ram_available_bytes=3 * GIB, ram_total_bytes=16 * GIB, pressure_percent=12.4)
    assert shortage(found, default_keymap()).startswith(
        "Memory is running out. Only 3.0 GiB of 16.0 GiB are available. Programs waited for memory 12% of the last "
    )


def test_where_the_system_does_not_tell_who_waits_little_memory_is_enough() -> None:
    assert told(reading(700 * MIB, None), reading(500 * MIB, None)) == [1]
    found = MemoryWatch().take(reading(500 * MIB, None), GIB)
    assert found is not None
    assert shortage(found, default_keymap()).startswith(
        "Memory is running out. Only 500.0 MiB of 16.0 GiB are available. Close"
    )


def test_a_machine_with_memory_left_is_left_alone() -> None:
    assert told(*[reading(600 * MIB, 9.9)] * 100, reading(None, None)) == []


def test_an_episode_is_told_once_however_it_goes_up_and_down() -> None:
    short, between, calm = reading(3 * GIB, 30.0), reading(3 * GIB, 5.0), reading()
    assert told(short, between, short, *[calm] * (CALM_READS - 1), short, between, short) == [0]


def test_after_a_calm_the_next_episode_is_told_again() -> None:
    short, calm = reading(400 * MIB), reading()
    assert told(short, *[calm] * CALM_READS, calm, short) == [0, CALM_READS + 2]


@given(st.lists(st.sampled_from((reading(), reading(600 * MIB, 5.0), reading(100 * MIB, 50.0))), max_size=80))
def test_between_two_warnings_there_was_always_a_calm(samples: list[HostSample]) -> None:
    warnings = told(*samples)
    for one, other in pairwise(warnings):
        run = longest = 0
        for sample in samples[one:other]:
            run = run + 1 if sample == reading() else 0
            longest = max(longest, run)
        assert longest >= CALM_READS


@pytest.mark.parametrize(
    ("before", "after", "growth"),
    [
        (0, 120 * MIB, 120 * MIB),
        (GIB, GIB + MIB - 1, 0),
        (GIB, GIB // 2, 0),
        (None, GIB, 0),
        (GIB, None, 0),
    ],
)
def test_only_growth_of_swap_that_matters_counts(before: int | None, after: int | None, growth: int) -> None:
    assert swap_growth(before, after) == growth
