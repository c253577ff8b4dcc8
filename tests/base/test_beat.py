"""What is done now and then is done at the same moments."""

from __future__ import annotations

import asyncio

from tests.conftest import until
from tui.base.beat import beats, until_beat


async def test_whoever_asks_is_told_the_same_moment_whenever_they_ask() -> None:
    clock = asyncio.get_running_loop().time
    hour = 3600.0
    moments = []
    for _ in range(3):
        moments.append(clock() + until_beat(hour))
        await asyncio.sleep(0)
    assert {round(moment / hour, 2) for moment in moments} == {round(moments[0] / hour)}
    assert 0 < until_beat(hour) <= 1.01 * hour


async def test_beats_go_on() -> None:
    n_beats = 0
    async for _ in beats(0.001):
        n_beats += 1
        if n_beats == 5:
            break
    assert n_beats == 5


async def test_what_nobody_sees_is_done_once_more_and_then_when_somebody_looks() -> None:
    seen, n_beats = asyncio.Event(), 0

    async def count() -> None:
        nonlocal n_beats
        async for _ in beats(0.001, seen):
            n_beats += 1

    counting = asyncio.create_task(count())
    await until(lambda: n_beats == 1)
    for _ in range(20):
        await asyncio.sleep(until_beat(0.001))
    assert n_beats == 1
    seen.set()
    await until(lambda: n_beats > 3)
    counting.cancel()
