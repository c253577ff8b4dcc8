"""Moments for what is done now and then: the same for all of a process, so that one that sleeps is woken seldom, and
does all that is due while it is awake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


def until_beat(every_s: float) -> float:
    """Seconds to the next whole multiple of `every_s` by the event loop's clock."""
    left = every_s - asyncio.get_running_loop().time() % every_s
    # A timer may be early by less than the clock can tell.
    return left if left > every_s / 100 else left + every_s


async def beats(every_s: float, seen: asyncio.Event | None = None) -> AsyncIterator[None]:
    """Each of these moments, but for those that pass while somebody is still busy with an earlier one. Of what is
    `seen` by somebody only now and then: while that is not set nothing wakes, but for one more time."""
    while True:
        await asyncio.sleep(until_beat(every_s))
        yield
        if seen is not None:
            await seen.wait()
