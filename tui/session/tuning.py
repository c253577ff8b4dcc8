"""Searches for the fastest load settings of a model when somebody wants that, in a process of its own, keeps what was
found, and offers it once for each model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tui.config.settings import ChosenLoad, TuneSettings
from tui.config.state import StateStore
from tui.engines.interface import Engine
from tui.engines.plans import DryRunPlanner
from tui.models.info import ModelInfo
from tui.protocol.records import Device
from tui.session.engine_seen import EngineSeen
from tui.session.events import AnswerEnded, AnySessionEvent, TuningOffered
from tui.session.load_order import LoadOrder
from tui.session.state_writer import StateWriter

if TYPE_CHECKING:
    from tui.measure.tune import TuneOutcome, TuneProgress, Tuner
    from tui.models.library import LibraryModel
    from tui.planning.exact import Confirmed
    from tui.planning.now import MemoryNow

LEAST_BYTES = 256 * 2**20
"""Smaller models are fast enough to be left alone."""
LEAST_TOKENS = 64
"""Somebody who got a shorter answer has not waited for it."""
MOST_OFFERED = 200
"""Models of which is remembered that it was offered."""


class KnownModel(Protocol):
    """What is known of the model that is loaded."""

    @property
    def name(self) -> str: ...
    @property
    def info(self) -> ModelInfo | None: ...


class Tuning:
    """Of the session with this `engine`, whose `model` is asked for. `make_engine` gives another one, which is not
    started."""

    def __init__(
        self,
        engine: EngineSeen,
        make_engine: Callable[[], Engine],
        planner: DryRunPlanner,
        model: Callable[[], KnownModel],
        load_order: LoadOrder,
        state: StateStore,
        remembered: StateWriter,
        settings: TuneSettings,
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        self._engine, self._make_engine, self._planner, self._model = engine, make_engine, planner, model
        self._load_order, self._state, self._remembered = load_order, state, remembered
        self._settings, self._tell = settings, tell

    # The search -------------------------------------------------------------------------------------------------------

    def start_of(self, model: LibraryModel, choice: ChosenLoad) -> ChosenLoad:
        """Where a search begins for somebody who would load the model with `choice`."""
        return self._load_order.before_tuning(model.path, model.info, choice)

    def search(
        self, model: LibraryModel, start: ChosenLoad, devices: tuple[Device, ...], memory: MemoryNow
    ) -> TuneSearch:
        """One that has not begun. The memory must be free that the engine's present model takes."""
        from tui.planning.exact import Confirmed

        confirmed = Confirmed(self._planner, model.path, model.info, devices, memory)
        return TuneSearch(self._make_engine, model, start, devices, confirmed, self._settings)

    async def keep(self, model: LibraryModel, start: ChosenLoad, found: TuneOutcome) -> None:
        """Remember what a search has found that was to begin with `start`, if that is anything, and with it what of
        `start` was chosen just now."""
        from tui.measure.tune_search import to_keep

        if (tuned := to_keep(found, model.info, since=start)) is None:
            return
        if start != self.start_of(model, self._load_order.load_for(model.path, model.info)):
            await self._remembered.remember_load(model.path, start)
        await self._remembered.remember_tuned(model.path, tuned)

    # The offer --------------------------------------------------------------------------------------------------------

    def hear(self, event: AnySessionEvent) -> None:
        """After the first longer answer of a model that nothing was tuned for: say that it can be, once."""
        if not (self._settings.offer and isinstance(event, AnswerEnded)):
            return
        loaded, info, timings = self._engine.loaded, self._model().info, event.turn.timings
        if loaded is None or info is None or loaded.size_bytes < LEAST_BYTES:
            return
        if timings is None or timings.n_decode < LEAST_TOKENS or event.turn.stop == "cancelled":
            return
        path = loaded.path
        if path not in self._state.state.offered and self._load_order.tuned_for(Path(path), info) is None:
            self._remembered.change(lambda state: {"offered": (*state.offered, path)[-MOST_OFFERED:]})
            self._tell(TuningOffered(name=self._model().name, seconds=self._settings.seconds))


class TuneSearch:
    """One search. `stop` ends it at any time."""

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        model: LibraryModel,
        start: ChosenLoad,
        devices: tuple[Device, ...],
        confirmed: Confirmed,
        settings: TuneSettings,
    ) -> None:
        self._make_engine, self._model, self._start = make_engine, model, start
        self._devices, self._confirmed, self._settings = devices, confirmed, settings
        self._tuner: Tuner | None = None
        self._searching: asyncio.Task[None] | None = None

    async def run(self, on_progress: Callable[[TuneProgress], None]) -> TuneOutcome | None:
        """What was found, also when it was stopped; None when that was before anything was tried. Raises `EngineError`
        and `EngineDied` where not even the settings can be loaded that it begins with. Cancelling this stops it."""
        self._searching = searching = asyncio.create_task(self._search(on_progress))
        try:
            await asyncio.wait([searching])
        finally:
            searching.cancel()
            await asyncio.wait([searching])
        if not searching.cancelled():
            searching.result()
        return self._tuner.result if self._tuner is not None else None

    def stop(self) -> None:
        """End it now; `run` gives what was found."""
        if self._searching is not None:
            self._searching.cancel()

    async def _search(self, on_progress: Callable[[TuneProgress], None]) -> None:
        from tui.measure.tune_search import tuner_for

        engine = self._make_engine()
        try:
            await engine.start()
            self._tuner = await tuner_for(
                engine,
                self._model,
                self._start,
                self._devices,
                self._confirmed,
                self._settings,
                on_progress=on_progress,
            )
            await self._tuner.run()
        finally:
            await engine.close()
