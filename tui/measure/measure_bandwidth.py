"""Measures how fast the memories of this machine are, for forecasts, and keeps it: a second for each, in an engine that
is there for nothing else, so that a driver that cannot stand it takes nothing else along."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from tui.engines.interface import Engine, EngineError
from tui.engines.local import WORKER
from tui.machine.other_engine import computing
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.planning.placement import HOST
from tui.protocol.bench_messages import MeasureBandwidth
from tui.protocol.death import EngineDied
from tui.protocol.messages import Hello


async def is_disturbed(*own: int | None) -> bool:
    """Whether an engine of llmtui computes now, other than those with these process ids: it would be measured with, and
    be slower for it."""
    return await asyncio.to_thread(computing, WORKER, frozenset(pid for pid in own if pid))


async def measure(engine: Engine, hello: Hello, names: Sequence[str], kept: KeptBandwidth) -> None:
    """Measure these devices one after the other, and keep each as it comes, also that one could not be measured. Never
    raises but `CancelledError`, which stops it at once and leaves that device out."""
    for name in sorted(names, key=lambda name: name != HOST):
        measured: dict[str, float] = {}
        with contextlib.suppress(EngineError, EngineDied):
            await engine.start()  # the device before may have taken it along
            measured = (await engine.ask(MeasureBandwidth(devices=(name,)))).bytes_per_s
        await asyncio.to_thread(kept.add, hello, (name,), measured)
