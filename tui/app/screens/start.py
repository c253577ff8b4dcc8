"""What the main screen does by itself after its first paint: it opens the store, starts the engine, and loads what the
command line or the last run asks for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from tui.app import host_phrases
from tui.app.screens.conversation_flows import ConversationFlows
from tui.app.screens.flows import Flows
from tui.app.screens.model_flows import ModelFlows
from tui.app.screens.preset_flows import PresetFlows
from tui.app.screens.saved_list import SavedList
from tui.app.screens.sending import Sending
from tui.app.screens.welcome import Welcome
from tui.chat.conversation import encodable
from tui.chat.store import StoreError
from tui.config.options import AppOptions
from tui.config.settings import ModelSettings, expand
from tui.protocol.records import PartialSampling
from tui.session.interface import Session
from tui.words import tr


class Start:
    """One start. A model that the user chooses meanwhile goes before what would be loaded."""

    def __init__(
        self,
        controller: Session,
        options: AppOptions,
        settings: ModelSettings,
        flows: Flows,
        models: ModelFlows,
        conversations: ConversationFlows,
        presets: PresetFlows,
        sending: Sending,
        saved: SavedList,
        welcome: Welcome,
    ) -> None:
        self._controller, self._options, self._settings, self._flows = controller, options, settings, flows
        self._models, self._conversations, self._presets, self._sending = models, conversations, presets, sending
        self._saved, self._welcome = saved, welcome

    async def run(self) -> None:
        """All of it, as a worker of the group "begin"."""
        controller, options = self._controller, self._options
        connecting = asyncio.create_task(controller.connect())
        await self._open_store()
        self._saved.begin()
        await self._sending.bring_draft()
        self._sending.mention(options.files)
        goes_on = await connecting
        if goes_on and controller.is_writing and (options.model or options.import_file):
            self._flows.tell(tr(host_phrases.STILL_WRITING))
        else:
            await self._open_conversation(goes_on)
            await self._presets.begin()
            self._configure()
        await controller.start()
        if goes_on and controller.phase != "no_model" and (controller.is_busy or options.model is None):
            return
        model = await self._first_model()
        if (controller.model.path is not None and not goes_on) or self._flows.is_at("load"):
            return  # chosen by the user while the engine started
        if model is not None:
            self._models.open_model(model, fit=options.fit, force=options.force)
        elif controller.phase == "no_model" and not self._flows.is_at("dialog"):
            library = self._models.library
            if library is None or library.models:
                self._welcome.show()
                self._models.action_pick_model()
            else:  # there is nothing to pick: the start page says what to do
                self._flows.start("suggest", self._welcome.suggest)

    async def _open_conversation(self, goes_on: bool) -> None:
        """The one that the command line wants; what is open already stays where it wants none."""
        last = self._controller.state.state.conversation
        if self._options.import_file is not None:
            await self._conversations.exchanging.import_file(self._options.import_file)
        elif self._options.continue_last and last and not (goes_on and self._controller.conversation.turns):
            await self._conversations.open_conversation(last, keeps_prompts=True)

    def _configure(self) -> None:
        """What the command line wants of the conversation that was opened."""
        controller, options = self._controller, self._options
        if options.system_prompt is not None:
            controller.configure(system_prompt=encodable(options.system_prompt))
        if options.temperature is not None:
            own = controller.conversation.sampling or PartialSampling()
            controller.configure(sampling=msgspec.structs.replace(own, temperature=options.temperature))

    async def _open_store(self) -> None:
        tell = self._flows.tell
        try:
            opened = await self._controller.store.start()
        except StoreError as error:
            tell(str(error), bad=True)
        else:
            if opened.set_aside is not None:
                text = tr("The saved conversations are damaged and were set aside as {file}.", file=opened.set_aside)
                tell(text, bad=True)

    async def _first_model(self) -> Path | None:
        """The command line's model, else the settings', else the last one if it is still there, else the only one."""
        if self._options.model is not None:
            return self._options.model
        if self._settings.default:
            return expand(self._settings.default)
        return await asyncio.to_thread(self._known_model, self._controller.state.state.last_model)

    def _known_model(self, last: str) -> Path | None:
        """Blocking, for a thread."""
        try:
            is_there = bool(last) and Path(last).is_file()
        except OSError:  # as in a folder that is closed by now: the attempt to load it says why
            is_there = True
        if is_there:
            return Path(last)
        models = self._models.scan_library().models
        return models[0].path if len(models) == 1 else None
