"""What earlier runs tell of models, for the picker: how fast they are here, and when they were last used."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from tui.chat.last_used import by_model
from tui.chat.store import Store, StoreError
from tui.measure import known_speeds
from tui.measure.known_speeds import KnownSpeeds


class ModelRecords(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of models from earlier runs."""

    speeds: KnownSpeeds = KnownSpeeds()
    used: Mapping[str, float] = {}
    """By path, when a conversation was last held with it, in seconds since 1970."""

    @property
    def lacking(self) -> frozenset[str]:
        """The columns of which nothing is known."""
        known = {"speed": self.speeds, "used": self.used}
        return frozenset(key for key, values in known.items() if not values)


async def speeds_here() -> KnownSpeeds:
    """What is known of this machine, as far as it can be read."""
    return await asyncio.to_thread(known_speeds.speeds_here)


async def more_speeds(measured: Callable[[], Awaitable[bool]]) -> KnownSpeeds | None:
    """What is known of this machine once something more was `measured`; None where nothing was."""
    return await speeds_here() if await measured() else None


async def no_records() -> ModelRecords:
    """Of models that were never used."""
    return ModelRecords()


async def nothing_measured() -> bool:
    """Of a machine that is known, or of which nothing more is to be known."""
    return False


async def model_records(store: Store) -> ModelRecords:
    """From the kept benchmarks and the conversations, as far as these can be read: both tell of their troubles where
    they matter."""
    speeds, used = await speeds_here(), dict[str, float]()
    with contextlib.suppress(StoreError):
        used = by_model(await store.list())
    return ModelRecords(speeds=speeds, used=used)
