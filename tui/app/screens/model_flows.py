"""What leads through dialogs about models: choosing one, its load settings, the other backend, a larger context. Each
flow asks, then tells the controller."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.app import phrases
from tui.app.copier import Copier
from tui.app.screens.background import freed_in_background
from tui.app.screens.cards import Cards
from tui.app.screens.coming import Coming
from tui.app.screens.flows import Flows, flow
from tui.config import paths
from tui.config.load import CPU, auto_devices, backend_name, engine_settings
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import with_favourite
from tui.protocol.death import EngineDied
from tui.protocol.messages import ListDevices, Loaded
from tui.protocol.records import Device
from tui.session.interface import Session
from tui.words import tr

if TYPE_CHECKING:
    from tui.app.screens.details import DetailsScreen
    from tui.models.detail_words import DetailRow
    from tui.models.folders import Folder
    from tui.models.library import Library, LibraryModel
    from tui.planning.exact import Confirmed
    from tui.planning.now import MemoryNow
    from tui.planning.verdict import Verdict


class ModelFlows:
    """Dialogs are imported when they are first opened: the first paint does not wait for them.

    A dialog that is asked for takes the place of one that is about to open, a load that of one that is being prepared.
    """

    def __init__(self, controller: Session, settings: Settings, flows: Flows, cards: Cards, copier: Copier) -> None:
        self.flows = flows
        self._controller, self._settings, self._cards, self._copier = controller, settings, cards, copier
        self.find: Callable[[], object] | None = None
        """Searches the hubs; whoever does so sets it."""
        self.tune: Callable[[LibraryModel, ChosenLoad], object] | None = None
        """Looks for the fastest settings; whoever does so sets it."""
        self.library: Library | None = None
        """What the last scan found, shown at once when the picker opens again; None before the first."""
        self._found: list[LibraryModel] = []
        """By the scan that runs, so far."""

    def scan_library(self) -> Library:
        """Look through all model folders; blocking, for a thread."""
        from tui.models.library import scan

        found: list[LibraryModel] = []
        self._found = found
        self.library = scan(self._searched, paths.library_cache_file(), found.append)
        return self.library

    def found_so_far(self) -> Library:
        """The models that a scan has found by now, in that order, for whoever does not want to wait for its end."""
        from tui.models.library import Library

        return Library(models=tuple(self._found))

    @property
    def folders(self) -> list[Path]:
        """The folders that are searched, but the caches of other programs."""
        return [folder.path for folder in self._searched if folder.source == "folder"]

    @property
    def _searched(self) -> tuple[Folder, ...]:
        from tui.models.folders import configured_folders

        return configured_folders(self._settings.models, self._controller.state.state.folders)

    async def memory_for_next(self, *, beside: bool = False) -> tuple[MemoryNow, tuple[Device, ...]]:
        """What a model may take now, in place of the loaded one or `beside` it, and llama.cpp's devices."""
        from tui.planning.now import memory_now

        engine, devices = self._controller.engine, self._controller.model.devices
        if engine.alive:
            with contextlib.suppress(EngineDied):  # the card tells; what was known before serves
                devices = (await engine.ask(ListDevices())).devices
        host, gpus = await self._controller.monitoring.newest()
        return memory_now(host, devices, self._settings.memory, None if beside else engine.loaded, gpus), devices

    @flow("dialog")
    async def action_pick_model(self) -> None:
        """Choose a model in the picker and load it."""
        await self._pick()

    @flow("dialog")
    async def action_delete_model(self) -> None:
        """Choose a model in the picker and delete it."""
        await self._pick(deletes=True)

    async def _pick(self, *, deletes: bool = False) -> None:
        from tui.app.screens.model_records import model_records
        from tui.app.screens.picker import PickerScreen
        from tui.app.screens.picker_table import Sort

        controller = self._controller
        memory, devices = await self.memory_for_next()
        picked = await self.flows.ask(
            PickerScreen(
                self.scan_library,
                memory,
                self.flows.keymap,
                devices=devices,
                load_for=controller.load_for,
                current=controller.model.path,
                folders=self.folders,
                library=self.library,
                so_far=self.found_so_far,
                records=lambda: model_records(controller.store),
                measured=controller.memory_speed.measured,
                details_of=lambda model, here: self._details_of(model.path, here),
                favourites=controller.state.state.favourites,
                find=self.find,
                keep_favourite=lambda path, is_one: controller.change_remembered(
                    lambda state: {"favourites": with_favourite(state.favourites, path, is_one=is_one)}
                ),
                sort=Sort.read(controller.state.state.sort),
                keep_sort=lambda sort: controller.remember(sort=sort.written),
                deletes=deletes,
            )
        )
        if picked is not None and picked.settings_first:
            await self._load_as_asked(picked.model)
        elif picked is not None:
            self._load_chosen(self._as_remembered(picked.model))

    def _details_of(self, path: Path, here: Sequence[DetailRow] = ()) -> DetailsScreen:
        """A screen with all that is known of a model, of which `here` is what it will do on this machine."""
        from tui.app.screens.details import DetailsScreen

        loaded = self._controller.engine.loaded if self._controller.model.path == path else None
        return DetailsScreen(path, self.flows.keymap, here=here, loaded=loaded, copy=self._copier.copy)

    @flow("dialog")
    async def action_model_details(self) -> None:
        """Show all that is known of the model that is loaded."""
        if (path := self._controller.model.path) is None:
            self.flows.tell(tr(phrases.NO_MODEL))
        else:
            await self.flows.ask(self._details_of(path))

    @flow("load")
    async def open_model(self, path: Path, *, fit: bool = False, force: bool = False) -> None:
        """Load the model at `path` after a look at its header: with `fit` as is fastest of all that fits, with `force`
        whatever it leaves."""
        if model := await self.inspect(path):
            await self._load(self._as_remembered(model), fit=fit, force=force)

    @flow("load")
    async def _load_chosen(self, plan: Coming) -> None:
        await self._load(plan)

    @flow("dialog")
    async def action_load_settings(self) -> None:
        """The load settings of the present model; load it again with what was chosen."""
        path = self._controller.model.path
        if path is None:
            self.action_pick_model()
        elif model := await self.inspect(path):
            await self._load_as_asked(model)

    def action_card_load_settings(self) -> None:
        """Choose other load settings after a load that failed."""
        self.action_load_settings()

    def action_card_other_model(self) -> None:
        """Choose another model after a load that failed."""
        self.action_pick_model()

    async def _load_as_asked(self, model: LibraryModel) -> None:
        """Load with the settings that the user chooses now."""
        memory, devices = await self.memory_for_next()
        if plan := await self._ask_settings(self._as_remembered(model), devices, memory):
            self._load_chosen(plan)

    def _as_remembered(self, model: LibraryModel) -> Coming:
        choice = self._controller.load_for(model.path, model.info)
        return Coming(model=model, choice=choice, given=self._controller.given_for(model.path))

    async def inspect(self, path: Path) -> LibraryModel | None:
        """The model at `path`; None, and said so, where it cannot be read."""
        from tui.models.library import inspect
        from tui.models.modelfile import ModelFileError

        try:
            return await asyncio.to_thread(lambda: inspect(path.absolute()))
        except ModelFileError as error:
            make = partial(phrases.no_model_file, error, self.flows.keymap)
            if self._controller.phase == "dead":  # the card that is there has the keys which are needed
                card = make()
                self.flows.tell(f"{card.title}\n{card.body}", bad=True)
            else:
                self._cards.show(make, lambda: self.open_model(path))
            return None

    async def _load(self, plan: Coming, *, fit: bool = False, force: bool = False, then_answer: bool = False) -> bool:
        """Load as planned, or with what has become of the plan when it is settled; False when it is not to be. Only
        inside a worker of the group "load"."""
        memory, devices = await self.memory_for_next()
        if fit:
            plan = await self._fit(plan, devices, memory)
        if (settled := plan if force else await self._settle(plan, devices, memory)) is None:
            return False
        await self._start_load(settled, devices, memory, then_answer=then_answer)
        return True

    async def _start_load(
        self, plan: Coming, devices: tuple[Device, ...], memory: MemoryNow, *, then_answer: bool
    ) -> None:
        from tui.planning.draftload import OFF
        from tui.planning.drafts import auto_draft, may_have_draft

        info = plan.model.info
        beside = await self._beside_the_present(plan)
        verdict = beside or await self._confirmed(plan, devices, memory).judge(plan.choice)
        model_draft = OFF
        if may_have_draft(plan.choice, info):
            memory, devices = await self.memory_for_next(beside=beside is not None)
            confirmed = self._confirmed(plan, devices, memory)
            model_draft = await auto_draft(confirmed, plan.model, plan.choice, self.known_models)
        move = plan.request(verdict, load_first=beside is not None, model_draft=model_draft)
        self._controller.load(move, info.name, info, then_answer=then_answer)

    async def _beside_the_present(self, plan: Coming) -> Verdict | None:
        """Where there is room for both, the present model can stay until the new one is there, so that a failure leaves
        it in place."""
        if self._controller.engine.loaded is None:
            return None
        memory, devices = await self.memory_for_next(beside=True)
        verdict = await self._confirmed(plan, devices, memory).judge(plan.choice)
        return verdict if verdict.fit == "fits" else None

    async def _ask_settings(self, plan: Coming, devices: tuple[Device, ...], memory: MemoryNow) -> Coming | None:
        from tui.app.screens.load_settings import LoadScreen
        from tui.app.screens.model_records import more_speeds, speeds_here
        from tui.app.tune_phrases import tuned_line
        from tui.planning.drafts import drafts_for

        path, speeds = plan.model.path, await speeds_here()
        chosen = await self.flows.ask(
            LoadScreen(
                plan.model.info,
                plan.choice,
                devices,
                memory,
                self.flows.keymap,
                defaults=self._settings.load,
                path=path,
                planner=self._controller.planner,
                speeds=speeds,
                more_speeds=partial(more_speeds, self._controller.memory_speed.measured),
                tuned=tuned_line(self._controller.load_order.tuned_for(path, plan.model.info), path),
                tune=partial(self.tune, plan.model) if self.tune is not None else None,
                drafts=partial(drafts_for, plan.model, self.known_models),
            )
        )
        return None if chosen is None else plan.with_choice(chosen)

    async def _fit(self, plan: Coming, devices: tuple[Device, ...], memory: MemoryNow) -> Coming:
        """The fastest load that fits, and a word where that takes a smaller context; `plan` when none does."""
        from tui.planning import verdict_words

        if (found := await self._confirmed(plan, devices, memory).auto_fit(plan.choice)) is None:
            return plan
        if found.is_cut:
            asked = plan.choice.n_ctx or plan.model.info.n_ctx_train
            self.flows.tell(verdict_words.context_cut(asked, found.choice.n_ctx), bad=True)
        return msgspec.structs.replace(plan, choice=found.choice)

    async def _settle(self, plan: Coming | None, devices: tuple[Device, ...], memory: MemoryNow) -> Coming | None:
        """The guardrail: what fits and leaves the reserve goes on. Else what nobody chose is cut to what fits, and said
        so; what somebody chose is asked about. None when it is not to be loaded."""
        from tui.app.screens import load_guard
        from tui.planning import verdict_words
        from tui.planning.guardrail import may_load

        while plan is not None:
            confirmed = self._confirmed(plan, devices, memory)
            permission = await may_load(confirmed, plan.choice, chosen=plan.given, others=self.known_models)
            if permission.is_given:
                return plan
            if await freed_in_background(self.flows):
                memory, devices = await self.memory_for_next()
                continue
            if permission.instead is not None:
                self.flows.tell(verdict_words.loaded_instead(permission.instead))
                return msgspec.structs.replace(plan, choice=permission.instead.choice)
            question = load_guard.guard_screen(plan.model.info.name, permission, self.flows.keymap)
            match await self.flows.ask(question):
                case None:
                    return None
                case load_guard.ANYWAY:
                    return plan
                case load_guard.SETTINGS:
                    plan = await self._ask_settings(plan, devices, memory)
                case change:
                    remedy = next(remedy for remedy in permission.remedies if remedy.change == change)
                    return plan.with_choice(remedy.choice, remedy.model)
        return None

    async def known_models(self) -> tuple[LibraryModel, ...]:
        """Those of the library, which is looked through if that was not done yet."""
        library = self.library if self.library is not None else await asyncio.to_thread(self.scan_library)
        return tuple(library.models)

    def _confirmed(self, plan: Coming, devices: tuple[Device, ...], memory: MemoryNow) -> Confirmed:
        """Judges `plan`; what the context takes in RAM that goes along to a load of the same file is not free then."""
        from tui.planning.exact import Confirmed
        from tui.planning.taken import context_bytes

        controller, loaded = self._controller, self._controller.engine.loaded
        if loaded is not None and loaded.path == str(plan.model.path):
            left = memory.host_free_bytes - context_bytes(loaded, controller.context.n_used)
            memory = msgspec.structs.replace(memory, host_free_bytes=left)
        return Confirmed(controller.planner, plan.model.path, plan.model.info, devices, memory)

    async def load_again(self, choice: ChosenLoad, *, then_answer: bool = False) -> bool:
        """Load the present model with other settings that the user asked for, unless too little memory would be left
        and the user decides against it: False. Only inside a worker of the group "load"."""
        path = self._controller.model.path
        if path is None or not (model := await self.inspect(path)):
            return False
        plan = Coming(model=model, choice=self._controller.model.choice).with_choice(choice)
        return await self._load(plan, then_answer=then_answer)

    def _present(self) -> Loaded | None:
        """The model that is loaded, for doing something with it; None, and said so, while there is none to rely on."""
        if self._controller.phase in ("starting", "loading"):
            self.flows.tell(tr(phrases.STILL_LOADING))
            return None
        if self._controller.engine.loaded is None:
            self.flows.tell(tr(phrases.NO_MODEL))
        return self._controller.engine.loaded

    @property
    def _gpu(self) -> list[str]:
        devices = self._controller.model.devices
        # A software device is what somebody wants who asked for it and has no other.
        return [*auto_devices(devices)] or [device.name for device in devices if device.kind == "software"][:1]

    @property
    def can_switch(self) -> bool:
        """There is a model, and another backend for it."""
        return self._controller.engine.loaded is not None and bool(self._gpu)

    def action_switch_backend(self) -> None:
        """The same model on the other backend: the CPU, or the GPU that "auto" would take."""
        controller, gpu = self._controller, self._gpu
        loaded = self._present()
        if loaded is None:
            return
        if not gpu:
            self.flows.tell(tr("llama.cpp sees no GPU here; `llmtui --devices` says more."), bad=True)
        else:
            backend = CPU if loaded.llama.devices else backend_name(gpu)
            choice = msgspec.structs.replace(controller.model.choice, backend=backend)
            if backend != CPU and choice.n_gpu_layers == 0:  # as Fit leaves it where the GPU is of no use
                choice = msgspec.structs.replace(choice, n_gpu_layers=-1)
            self._load_again(choice)

    @flow("load")
    async def _load_again(self, choice: ChosenLoad) -> None:
        await self.load_again(choice)

    @flow("dialog")
    async def action_memory_report(self) -> None:
        """What the loaded model was planned to take, and what it takes."""
        from tui.app.memory_report import memory_lines
        from tui.app.screens.log_view import LogScreen
        from tui.planning.taken import as_loaded

        controller, loaded = self._controller, self._present()
        if loaded is not None and (model := await self.inspect(Path(loaded.path))):
            memory, devices = await self.memory_for_next()
            settings = as_loaded(engine_settings(controller.model.choice, devices)[0], loaded)
            plan = await controller.planner.plan(model.path, model.info, settings, memory.device_free)
            lines = memory_lines(model.info.name, plan, loaded, self.flows.columns - 6)
            await self.flows.ask(
                LogScreen(lines, self.flows.keymap, title=tr("Memory"), from_start=True, copy=self._copier.copy)
            )

    def action_reload_engine(self) -> None:
        """A new engine process with the same model."""
        self._controller.restart()

    def action_unload_model(self) -> None:
        """Free the memory that the model takes."""
        if self._controller.engine.loaded is None and self._controller.phase != "loading":
            self.flows.tell(tr(phrases.NO_MODEL))
        else:
            self.flows.start("unload", self._controller.unload)

    def action_raise_context(self) -> None:
        """Load the model again with twice the context, the trained size at most."""
        controller, loaded = self._controller, self._present()
        if loaded is None:
            return
        if loaded.n_ctx >= loaded.n_ctx_train:
            most = f"{loaded.n_ctx:,}"
            self.flows.tell(tr("The context already has the size that the model was trained with ({n}).", n=most))
        else:
            n_ctx = min(2 * loaded.n_ctx, loaded.n_ctx_train)
            self._load_again(msgspec.structs.replace(controller.model.choice, n_ctx=n_ctx))
