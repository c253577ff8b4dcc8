"""What leads to the search for the fastest load settings of a model, and loads it with them afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from tui.app import phrases
from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.config.settings import ChosenLoad
from tui.protocol.messages import Loaded
from tui.session.interface import Session
from tui.session.loads import LoadRequest
from tui.session.tuning import TuneSearch
from tui.words import tr

if TYPE_CHECKING:
    from tui.measure.tune import TuneOutcome
    from tui.models.library import LibraryModel


class TuneFlows:
    """Beside `models`, whose load settings lead here too."""

    def __init__(self, controller: Session, seconds: float, flows: Flows, models: ModelFlows) -> None:
        self.flows = flows
        self._controller, self._seconds, self._models = controller, seconds, models

    @flow("dialog")
    async def action_tune(self) -> None:
        """Look for the fastest settings of the model that is loaded, or was last."""
        path = self._controller.model.path
        if path is None:
            self.flows.tell(tr(phrases.NO_MODEL))
        elif model := await self._models.inspect(path):
            await self._tune(model, self._controller.model.choice)

    @flow("dialog")
    async def tune(self, model: LibraryModel, choice: ChosenLoad) -> None:
        """The same of a model that would be loaded with `choice`."""
        await self._tune(model, choice)

    async def _tune(self, model: LibraryModel, choice: ChosenLoad) -> None:
        from tui.app.screens.tune import TuneScreen

        controller = self._controller
        if controller.is_writing:
            self.flows.tell(phrases.still_answering(self.flows.keymap), bad=True)
            return
        if controller.phase in ("starting", "loading") or self.flows.is_at("begin"):
            self.flows.tell(tr(phrases.STILL_LOADING), bad=True)
            return
        was = controller.model.path, controller.model.choice, controller.model.name
        before = controller.engine.loaded
        start = controller.tuning.start_of(model, choice)
        unloading: list[asyncio.Task[None]] = []

        async def prepare() -> TuneSearch:
            unloading.append(asyncio.create_task(controller.unload()))
            await asyncio.shield(unloading[-1])
            memory, devices = await self._models.memory_for_next()
            return controller.tuning.search(model, start, devices, memory)

        async def keep(found: TuneOutcome) -> None:
            await controller.tuning.keep(model, start, found)

        name = f"{model.info.name} {model.info.quant}"
        with controller.memory_speed.held():
            found = await self.flows.ask(TuneScreen(name, self._seconds, prepare, keep, self.flows.keymap))
        await asyncio.gather(*unloading)  # it may have been left in the middle of that
        if controller.engine.loaded is None:
            if found is not None:
                self._load(model.path, found.best if found.is_better else choice, "", before)
            elif before is not None and was[0] is not None:
                self._load(was[0], was[1], was[2], before)

    def _load(self, path: Path, choice: ChosenLoad, name: str, before: Loaded | None) -> None:
        """Load the model; what "auto" came to `before`, when it was loaded, it comes to again."""
        same = before if before is not None and before.path == str(path) else None
        self._controller.load(LoadRequest.again(path, choice, name, same))
