"""What leads through dialogs about models: choosing one, its load settings, the other backend, a larger context. Each
flow asks, then tells the controller."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
from textual import work

from tui.app import phrases
from tui.app.fit import MemoryNow, judge, largest_fit, memory_now
from tui.app.monitoring import Monitoring
from tui.app.screens.base import ChatScreen
from tui.config import paths
from tui.config.load import CPU, auto_devices, backend_name
from tui.engine.death import EngineDied
from tui.engine.messages import Device
from tui.models.folders import configured_folders
from tui.models.library import Library, LibraryModel, inspect, scan
from tui.models.modelfile import ModelFileError


class ModelFlows(ChatScreen):
    """Dialogs are imported when they are first opened: the first paint does not wait for them."""

    monitoring: Monitoring
    library: Library | None = None
    """What the last scan found, shown at once when the picker opens again."""

    def scan_library(self) -> Library:
        """Look through all model folders; blocking, for a thread."""
        self.library = scan(configured_folders(self.settings.models), paths.library_cache_file())
        return self.library

    async def _memory_now(self) -> tuple[MemoryNow, tuple[Device, ...]]:
        """What a model may take now, and llama.cpp's devices with their memory."""
        engine, devices = self.controller.engine, self.controller.devices
        if engine.alive:
            with contextlib.suppress(EngineDied):  # the card tells; what was known before serves
                devices = await engine.devices()
        host, gpus = await self.monitoring.look()
        return memory_now(host, devices, self.settings.memory, engine.loaded, gpus), devices

    @work(exclusive=True, group="dialog")
    async def pick_model(self) -> None:
        """Choose a model in the picker and load it."""
        from tui.app.screens.picker import PickerScreen

        memory, devices = await self._memory_now()
        folders = configured_folders(self.settings.models)
        picked = await self.ask(
            PickerScreen(
                self.scan_library,
                memory,
                self.keymap,
                devices=devices,
                choice_for=self.controller.choice_for,
                current=self.controller.model_path,
                folders=[folder.path for folder in folders if folder.source == "folder"],
                library=self.library,
            )
        )
        if picked is not None:
            await self._load(picked.model, ask_settings=picked.settings_first)

    @work(exclusive=True, group="dialog")
    async def open_model(self, path: Path) -> None:
        """Load the model at `path` after a look at its header."""
        if model := await self._inspect(path):
            await self._load(model, ask_settings=False)

    @work(exclusive=True, group="dialog")
    async def change_load_settings(self) -> None:
        """The load settings of the present model; load it again with what was chosen."""
        path = self.controller.model_path
        if path is None:
            self.pick_model()
        elif model := await self._inspect(path):
            await self._load(model, ask_settings=True)

    async def _inspect(self, path: Path) -> LibraryModel | None:
        try:
            return await asyncio.to_thread(lambda: inspect(path.absolute()))
        except ModelFileError as error:
            self.show_card(phrases.no_model_file(error))
            return None

    async def _load(self, model: LibraryModel, *, ask_settings: bool) -> None:
        """Load with the remembered settings, or those that the user chooses. Settings that would not fit are cut to
        those that do, and said so; what cannot fit at all is left to the user."""
        choice = self.controller.choice_for(model.path, model.info.n_ctx_train)
        memory, devices = await self._memory_now()
        if not ask_settings and judge(model.info, choice, devices, memory).fit == "no":
            fitting = await asyncio.to_thread(largest_fit, model.info, choice, devices, memory)
            ask_settings = judge(model.info, fitting, devices, memory).fit == "no"
            choice = fitting
            if ask_settings:
                self.tell(f"{model.info.name} does not fit into memory. Change what it is loaded with.", bad=True)
            else:
                self.tell(phrases.cut_to_fit(choice))
        if ask_settings:
            from tui.app.screens.load_settings import LoadScreen

            defaults = self.settings.load
            chosen = await self.ask(LoadScreen(model.info, choice, devices, memory, self.keymap, defaults=defaults))
            if chosen is None:
                return
            choice = chosen
        self.model_coming = model.info
        self.controller.load(model.path, choice, model.info.name, chosen=ask_settings)

    def switch_backend(self) -> None:
        """The same model on the other backend: the CPU, or the GPU that "auto" would take."""
        controller = self.controller
        gpu = auto_devices(controller.devices)
        if controller.engine.loaded is None or controller.model_path is None:
            self.tell("No model is loaded.")
        elif not gpu:
            self.tell("llama.cpp sees no GPU here; `llmtui --devices` says more.", bad=True)
        else:
            backend = CPU if controller.engine.loaded.devices else backend_name(gpu)
            choice = msgspec.structs.replace(controller.choice, backend=backend)
            controller.load(controller.model_path, choice, controller.model_name)

    def raise_context(self) -> None:
        """Load the model again with twice the context, the trained size at most."""
        controller, loaded = self.controller, self.controller.engine.loaded
        if loaded is None or controller.model_path is None:
            self.tell("No model is loaded.")
        elif loaded.n_ctx >= loaded.n_ctx_train:
            self.tell(f"The context has the size that the model was trained with already ({loaded.n_ctx:,}).")
        else:
            n_ctx = min(2 * loaded.n_ctx, loaded.n_ctx_train)
            choice = msgspec.structs.replace(controller.choice, n_ctx=n_ctx)
            controller.load(controller.model_path, choice, controller.model_name)
