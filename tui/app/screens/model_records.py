"""What earlier runs tell of models, for the picker: how fast they are here, and when they were last used."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import msgspec

from tui.chat.last_used import by_model
from tui.chat.store import Store, StoreError
from tui.config import paths
from tui.measure.history import History
from tui.measure.known_speeds import KnownSpeeds, readable_speeds


class ModelRecords(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of models from earlier runs."""

    speeds: KnownSpeeds = KnownSpeeds()
    used: Mapping[str, float] = {}
    """By path, when a conversation was last held with it, in seconds since 1970."""


async def speeds_here() -> KnownSpeeds:
    """What the kept benchmarks tell, as far as they can be read."""
    return await asyncio.to_thread(readable_speeds, History(paths.bench_file()))


async def no_records() -> ModelRecords:
    """Of models that were never used."""
    return ModelRecords()


async def model_records(store: Store) -> ModelRecords:
    """From the kept benchmarks and the conversations, as far as these can be read: both tell of their troubles where
    they matter."""
    speeds, used = await speeds_here(), dict[str, float]()
    with contextlib.suppress(StoreError):
        used = by_model(await store.list())
    return ModelRecords(speeds=speeds, used=used)
