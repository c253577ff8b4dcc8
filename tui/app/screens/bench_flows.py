"""What leads to the bench screen and back: the model that is loaded gives way while something is measured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tui.app import phrases
from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.config import paths
from tui.config.settings import ChosenLoad, Settings
from tui.session.interface import Session
from tui.session.loads import LoadRequest
from tui.words import tr

if TYPE_CHECKING:
    from tui.models.library import LibraryModel
    from tui.planning.guardrail import LoadPermission


class BenchFlows:
    """Beside `models`, which knows what may be loaded."""

    def __init__(self, controller: Session, settings: Settings, flows: Flows, models: ModelFlows) -> None:
        self.flows = flows
        self._controller, self._settings, self._models = controller, settings, models

    @flow("dialog")
    async def action_bench(self) -> None:
        """Measure models. The one that is loaded stays until something is measured, and is loaded again at the end."""
        from tui.app.screens.bench import BenchScreen, MayMeasure
        from tui.machine.vulkan import engine_environment
        from tui.measure.answers import for_answers
        from tui.measure.history import History
        from tui.planning.exact import Confirmed
        from tui.planning.guardrail import may_load

        controller = self._controller
        if controller.is_writing:
            self.flows.tell(phrases.still_answering(self.flows.keymap), bad=True)
            return
        # It would load in the middle.
        if controller.phase in ("starting", "loading") or self.flows.is_at("begin", "load"):
            self.flows.tell(tr(phrases.STILL_LOADING), bad=True)
            return
        path, choice, name = controller.model.path, controller.model.choice, controller.model.name
        current = await self._models.inspect(path) if path is not None else None
        before = controller.engine.loaded
        unloading: list[asyncio.Task[None]] = []

        async def make_room() -> MayMeasure:
            unloading.append(asyncio.create_task(controller.unload()))
            await asyncio.shield(unloading[-1])
            memory, devices = await self._models.memory_for_next()

            async def may_measure(model: LibraryModel, wanted: ChosenLoad) -> LoadPermission:
                return await may_load(Confirmed(controller.planner, model.path, model.info, devices, memory), wanted)

            return may_measure

        with controller.memory_speed.held():
            await self.flows.ask(
                BenchScreen(
                    lambda: sorted(self._models.scan_library().models, key=lambda model: model.info.size_bytes),
                    current,
                    controller.model.devices,
                    self._settings.load,
                    make_room,
                    engine_environment(software=self._settings.engine.software_vulkan),
                    History(paths.bench_file()),
                    self.flows.keymap,
                    # What is wrong in the user's sections is told when a model is loaded to chat with.
                    lambda job: for_answers(job, self._settings, controller.load_order.chat_format)[0],
                )
            )
        await asyncio.gather(*unloading)  # it may have been left in the middle of that
        if before is not None and path is not None and controller.engine.loaded is None:
            controller.load(LoadRequest.again(path, choice, name, before))
