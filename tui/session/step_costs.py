"""What the engine does after a load while nobody wants it: a GPU is warmed up for the first prompt, and what several
tokens at once cost is measured where that is not known; on a GPU again when the context has become far longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tui.engines.interface import Engine, EngineError
from tui.measure.kept_steps import KeptSteps, load_key
from tui.protocol.bench_messages import MeasureSteps
from tui.protocol.death import EngineDied
from tui.protocol.messages import Loaded, WarmUp
from tui.session.events import AnySessionEvent, PhaseChanged

_SHALLOW = 1024
"""Tokens."""
_log = logging.getLogger("llmtui")


class StepMeasuring:
    """Follows the phases of the session's `engine`; what it finds goes to `kept`."""

    def __init__(self, engine: Engine, kept: KeptSteps, n_used: Callable[[], int]) -> None:
        """`n_used` says how many tokens are in the context."""
        self._engine, self._kept, self._n_used = engine, kept, n_used
        self._measured_at = 0
        """Tokens that were in the context when it was measured last."""
        self._known: tuple[Loaded | None, tuple[float, ...] | None] = None, None
        """Of which load the costs are known, and these; None until they are."""
        self._warm: Loaded | None = None
        """The load whose device was warmed up."""
        self._task: asyncio.Task[None] | None = None

    @property
    def costs(self) -> tuple[float, ...]:
        """Of what is loaded; empty as long as they are not known."""
        loaded, costs = self._known
        return costs or () if loaded is self._engine.loaded else ()

    def hear(self, event: AnySessionEvent) -> None:
        """Follow what the engine is at."""
        if not isinstance(event, PhaseChanged):
            return
        self._stop()
        loaded = self._engine.loaded
        if event.phase == "ready" and loaded is not None and self._engine.capabilities.speculates:
            if self._known[0] is not loaded:
                self._known, self._measured_at = (loaded, None), 0
            if self._known[1] is None or self._is_far_deeper(loaded):
                self._task = asyncio.create_task(self._learn(loaded))

    def _is_far_deeper(self, loaded: Loaded) -> bool:
        """Whether the context has grown so much since that a GPU needs other programs for several tokens at once: each
        would take up to a second in the middle of an answer."""
        return bool(loaded.llama.devices) and self._n_used() >= 2 * max(self._measured_at, _SHALLOW)

    def close(self) -> None:
        """Stop."""
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _learn(self, loaded: Loaded) -> None:
        hello = self._engine.hello
        if hello is None:
            return
        compiles = {device.name for device in hello.devices if device.kind in ("gpu", "igpu")}
        if compiles & set(loaded.llama.devices) and self._warm is not loaded:
            try:
                await self._engine.ask(WarmUp())
            except (EngineError, EngineDied) as error:
                _log.info("The device was not warmed up: %s", error)
                return
            self._warm = loaded
        if not loaded.llama.n_drafts:
            return
        key = load_key(hello, loaded)
        # A GPU has to be made ready for several tokens at once in each process anew, which measuring does; what a draft
        # model costs stays in the engine.
        costs = None if loaded.llama.devices or loaded.llama.draft else await asyncio.to_thread(self._kept.known, key)
        if costs is None:
            n_used = self._n_used()
            try:
                costs = (await self._engine.ask(MeasureSteps())).costs
            except (EngineError, EngineDied) as error:
                _log.info("What several tokens at once cost was not measured: %s", error)
                return
            if not loaded.llama.devices:
                await asyncio.to_thread(self._kept.add, key, costs)
            self._measured_at = n_used
        self._known = loaded, costs
