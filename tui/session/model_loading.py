"""Which model is loaded, or was last, with which settings; and loading one, with all that may come in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tui.base import format
from tui.config.modelrules import ChatOverrides
from tui.config.settings import ChosenLoad
from tui.engines.interface import Engine, EngineError
from tui.models.info import ModelInfo
from tui.protocol.death import EngineDied
from tui.protocol.messages import Loaded, Unload
from tui.protocol.records import Device, LoadSettings
from tui.session.context_keeper import ContextKeeper
from tui.session.context_meter import ContextMeter
from tui.session.engine_phase import EnginePhase
from tui.session.events import (
    AnySessionEvent,
    DraftModelLeftOut,
    EngineLost,
    LoadAdvanced,
    LoadFailed,
    ModelLoaded,
    ModelReloaded,
)
from tui.session.load_order import LoadOrder
from tui.session.loads import InUse, LastLoaded, LoadRequest, Reload
from tui.session.speed import PrefillSpeeds
from tui.session.state_writer import StateWriter


class ModelLoading:
    """The model of one engine. Whoever calls sees to it that only one of the coroutines runs at a time."""

    def __init__(
        self,
        engine: Engine,
        phase: EnginePhase,
        load_order: LoadOrder,
        first_choice: ChosenLoad,
        contexts: ContextKeeper,
        meter: ContextMeter,
        prefill_speeds: PrefillSpeeds,
        remembered: StateWriter,
        *,
        is_paused: Callable[[], bool],
        open_id: Callable[[], str],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`is_paused` says whether an answer waits for the load, `open_id` which conversation is open."""
        self._engine, self._phase, self._load_order = engine, phase, load_order
        self._contexts, self._meter, self._prefill_speeds, self._remembered = (
            contexts,
            meter,
            prefill_speeds,
            remembered,
        )
        self._is_paused, self._open_id, self._tell = is_paused, open_id, tell
        self.devices: tuple[Device, ...] = ()
        """What the engine can compute on."""
        self.path: Path | None = None
        self.name = ""
        """How the model is called on the screen and in saved answers."""
        self.chat_format: ChatOverrides | None = None
        """As the `LoadRequest` of what is loaded had it."""
        self.is_fitted = False
        """The same of `LoadRequest.is_fitted`."""
        self.choice, self._default_draft = first_choice, first_choice.model_draft
        """What the loaded model was asked to be loaded with, or the next one will be."""
        self.fatal_choice: ChosenLoad | None = None
        """What the engine was loaded with, or was being loaded with, when it died; None once something is loaded."""
        self.headers: dict[str, ModelInfo] = {}
        """What the files tell of the models that were to be loaded, by path."""
        self.failed: LoadRequest | None = None
        """The load that failed last; None once something is loaded."""
        self.waits_when_cancelled = True
        """A load that is cancelled ends when the engine has come to rest; not so when something else is to be done at
        once."""
        self._last: LastLoaded | None = None
        """What was loaded last; it may be gone."""
        self._own: tuple[LoadRequest, int] | None = None
        """What this session itself had loaded last, and how large its context was."""

    @property
    def info(self) -> ModelInfo | None:
        """What the file of the loaded model tells; None while none is loaded."""
        loaded = self._engine.loaded
        return self.headers.get(loaded.path) if loaded else None

    async def start(self) -> None:
        """Start the engine; nothing is loaded yet."""
        hello = await self._engine.start()
        self.devices = hello.devices
        if self._phase.now == "starting":  # a model that was chosen meanwhile may be loading already
            self._phase.set("no_model")

    async def load(self, request: LoadRequest) -> None:
        """Load, and tell the outcome. Path, settings and name are those of what is loaded then; after a death those of
        what was loaded before, if it was the same model: the new settings may be what it died of."""
        asked_before = self.choice, self.name
        self._own = None
        self.path, self.choice, self.name = request.path, request.choice, request.name
        if not self._engine.alive or self._engine.hello is None:
            self._phase.set("starting")
            await self.start()
        self._phase.set("loading")
        settings = self._load_order.for_engine(
            request.path, request.name, request.choice, self.devices, request.chat_format
        )
        if settings.swa_full == "auto":
            settings = msgspec.structs.replace(settings, swa_full=request.swa_full)
        without_draft: LoadSettings | None = None
        if settings.model_draft == "auto":
            without_draft = msgspec.structs.replace(settings, model_draft="off")
            settings = msgspec.structs.replace(settings, model_draft=request.model_draft)
        try:
            settings = await self._without_wrong_draft(request, settings)
            before = await self._engine.settled()
            if before is not None and (self._last is None or before is not self._last.loaded):
                self._note(before, *asked_before)  # complete before its cancel came, and nobody waited for it
            # The same file, on another device or with another context: what was read of the conversation goes along.
            same = before is not None and before.path == str(request.path)
            try:
                loaded = await self._engine.load(
                    request.path, settings, self._advanced, keep_context=same, load_first=request.load_first
                )
            except EngineError as error:
                # A draft model that nobody asked for keeps no other from being loaded.
                if without_draft is None or settings == without_draft or error.info.kind == "cancelled":
                    raise
                loaded = await self._engine.load(
                    request.path, without_draft, self._advanced, keep_context=same, load_first=request.load_first
                )
        except EngineError as error:
            self._agree()
            if error.info.kind != "cancelled":
                self.failed = request
                self._tell(LoadFailed(path=request.path, info=error.info))
            return
        except asyncio.CancelledError:
            try:
                if self.waits_when_cancelled:
                    await self._engine.settled()
            finally:
                self._agree()
            raise
        if not same:
            # Until the conversation is counted in the tokens of this model.
            self._meter.forget()
        self.chat_format, self.is_fitted = request.chat_format, request.is_fitted
        again = LoadRequest.again(request.path, request.choice, request.name, loaded)
        again = msgspec.structs.replace(again, chat_format=request.chat_format, is_fitted=request.is_fitted)
        self._own = again, loaded.n_ctx
        self._is_loaded(loaded)
        if not self._is_paused():
            if before is not None and same:
                reload = Reload.of(
                    request, format.backend(before.llama.devices), loaded, self._prefill_speeds.of(loaded)
                )
                self._tell(ModelReloaded(reload=reload))
            self._contexts.opened(self._open_id())
            await self._meter.measure()
        if request.remember:
            await self._remembered.remember_load(request.path, request.choice)
        else:
            self._remembered.update(last_model=str(request.path))

    async def _without_wrong_draft(self, request: LoadRequest, settings: LoadSettings) -> LoadSettings:
        """The user's file names one draft model for all models: where it does not go with this one, it is left out, and
        that is said. One that was chosen for this model is refused by the engine."""
        from tui.planning.draftload import OFF, draft_path, why_no_draft

        draft = draft_path(settings)
        if draft is None or request.remember or request.choice.model_draft != self._default_draft:
            return settings
        if (why := await asyncio.to_thread(why_no_draft, request.path, draft)) is None:
            return settings
        self._tell(DraftModelLeftOut(why=str(why)))
        return msgspec.structs.replace(settings, model_draft=OFF)

    async def restart(self, changes: dict[str, Any]) -> None:
        """A new engine with the same model. `changes` are made to the load settings, after a death to those that it
        died with."""
        self._phase.set("starting")
        before = self._engine.loaded
        await self._contexts.flush()
        await self._engine.restart()
        await self.start()
        if self.path is not None:
            base = self.fatal_choice if changes and self.fatal_choice else self.choice
            choice = msgspec.structs.replace(base, **changes)
            await self.load(LoadRequest.again(self.path, choice, self.name, before, remember=bool(changes)))

    async def unload(self) -> None:
        """Free the model that is loaded."""
        self._own = None
        await self._engine.ask(Unload())
        if self._phase.now == "ready":
            self._phase.set("no_model")

    def died(self, died: EngineDied) -> None:
        """The engine is gone."""
        if self._phase.now == "dead":
            return
        self.fatal_choice, self._own = self.choice, None
        if self._phase.now == "loading" and self._last is not None and self._last.path == self.path:
            self._go_back(self._last)
        self._contexts.lost()
        self._phase.set("dead")
        self._tell(EngineLost(death=died.death))

    # Beside other sessions of the same engine -------------------------------------------------------------------------

    @property
    def displaced(self) -> LoadRequest | None:
        """What this session had loaded, where another has put something else in its place: to be loaded again before
        this one asks anything."""
        if self._own is None:
            return None
        (own, n_ctx), loaded = self._own, self._engine.loaded
        if loaded is not None and loaded.path == str(own.path) and loaded.n_ctx >= n_ctx:
            return None
        return msgspec.structs.replace(own, asked_at=time.perf_counter())

    @property
    def in_use(self) -> InUse:
        """What the others are to know, once a load is over."""
        is_there = self._last is not None and self._engine.loaded is self._last.loaded
        return InUse(
            devices=self.devices,
            last=self._last if is_there else None,
            chat_format=self.chat_format,
            info=self.info,
            is_fitted=self.is_fitted,
        )

    def loads_elsewhere(self) -> None:
        """Another session has begun to load."""
        if self._phase.now in ("ready", "no_model", "dead"):
            self._phase.set("loading")

    def adopt(self, now: InUse) -> None:
        """Another session has loaded this, or nothing is loaded any more."""
        self.devices = now.devices
        loaded = self._engine.loaded
        if now.last is not None and loaded is now.last.loaded:
            last, self.chat_format, self.is_fitted = now.last, now.chat_format, now.is_fitted
            self.path, self.choice, self.name = last.path, last.choice, last.name
            if now.info is not None:
                self.headers[loaded.path] = now.info
            self._note(loaded, last.choice, last.name)
            self._tell(ModelLoaded(loaded=loaded))
        self._phase.set_idle()

    def _advanced(self, fraction: float) -> None:
        self._tell(LoadAdvanced(fraction=fraction))

    def _agree(self) -> None:
        """After a load that was not complete: path, settings and name are those of what is loaded."""
        now = self._engine.loaded
        if self._last is not None and now is self._last.loaded:
            self._go_back(self._last)
        elif now is not None:  # it was complete when the cancel came
            self._is_loaded(now)
        self._phase.set_idle()

    def _go_back(self, last: LastLoaded) -> None:
        self.path, self.choice, self.name = last.path, last.choice, last.name

    def _is_loaded(self, loaded: Loaded) -> None:
        self.fatal_choice = self.failed = None
        self._note(loaded, self.choice, self.name)
        self._phase.set_idle()
        self._tell(ModelLoaded(loaded=loaded))

    def _note(self, loaded: Loaded, choice: ChosenLoad, name: str) -> None:
        self._last = LastLoaded(loaded=loaded, path=Path(loaded.path), choice=choice, name=name)
        self._contexts.loaded(loaded)
