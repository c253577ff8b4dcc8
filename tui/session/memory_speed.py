"""Has this machine's memory measured when somebody wants to know how fast models will be: beside whatever is on the
screen, in a process of its own, and never while something is loaded, answered or measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tui.engines.interface import Engine
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.measure.measure_bandwidth import is_disturbed, measure
from tui.protocol.messages import Hello
from tui.session.engine_seen import EngineSeen
from tui.session.events import AnySessionEvent, Phase, PhaseChanged

_IDLE: tuple[Phase, ...] = ("no_model", "ready")
_LOOK_AGAIN_S = 2.0
"""While another llmtui computes."""


class MemorySpeed:
    """Follows the phases of the session's `engine`. `make_engine` gives another, which is not started; what it finds
    goes to `kept`."""

    def __init__(
        self, engine: EngineSeen, make_engine: Callable[[], Engine], phase: Callable[[], Phase], kept: KeptBandwidth
    ):
        self._engine, self._make_engine, self._phase, self._kept = engine, make_engine, phase, kept
        self._changed = asyncio.Event()
        self._task: asyncio.Task[bool] | None = None
        self._n_holding = 0
        self._is_closed = False

    def hear(self, event: AnySessionEvent) -> None:
        """Follow what the engine is at."""
        if isinstance(event, PhaseChanged):
            self._changed.set()

    async def measured(self) -> bool:
        """Measure what would tell more of this machine than is known, once for all who ask meanwhile; whether something
        was measured. May take long: it waits until nothing is computed. It goes on when whoever asked waits no more."""
        if self._is_closed:
            return False
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._measured())
        await asyncio.wait([self._task])
        return not self._task.cancelled() and self._task.result()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is measured meanwhile, for a benchmark may be."""
        self._n_holding += 1
        self._changed.set()
        try:
            yield
        finally:
            self._n_holding -= 1
            self._changed.set()

    async def close(self) -> None:
        """Stop, and wait until the process is gone."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def _is_idle(self) -> bool:
        return not self._n_holding and self._phase() in _IDLE

    async def _measured(self) -> bool:
        has_measured = False
        while True:
            while not self._is_idle:
                self._changed.clear()
                await self._changed.wait()
            hello = self._engine.hello
            if hello is None or not (names := await asyncio.to_thread(self._kept.unsure, hello)):
                return has_measured
            if await is_disturbed():
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            has_measured = await self._while_idle(hello, names)
            if has_measured:
                return True

    async def _while_idle(self, hello: Hello, names: Sequence[str]) -> bool:
        """Whether it came to its end before something else began to compute."""
        measuring = asyncio.create_task(self._measure(hello, names))
        try:
            while self._is_idle and not measuring.done():
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait([measuring, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
            if measuring.done():
                measuring.result()
            return measuring.done()
        finally:
            measuring.cancel()
            await asyncio.wait([measuring])

    async def _measure(self, hello: Hello, names: Sequence[str]) -> None:
        engine = self._make_engine()
        try:
            await measure(engine, hello, names, self._kept)
        finally:
            await engine.close()
