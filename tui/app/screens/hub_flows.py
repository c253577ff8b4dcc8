"""What leads through finding, fetching and loading models from the hubs. The hubs are asked when somebody wants
something of them, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tui.app import hub_phrases
from tui.app.bindings import title_of
from tui.app.copier import Copier
from tui.app.phrases import hint
from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.app.widgets.download_line import DownloadLine
from tui.base import format
from tui.config.keymap import display_keys
from tui.config.settings import Settings
from tui.downloads import progress_words
from tui.session import events
from tui.session.fetching import KEPT_FREE, free_for
from tui.session.interface import Session
from tui.words import tr

if TYPE_CHECKING:
    from tui.app.screens.find_table import Suited
    from tui.hubs.records import Variant
    from tui.hubs.reference import Reference
    from tui.measure.forecast import Range
    from tui.measure.known_speeds import KnownSpeeds
    from tui.models.info import ModelInfo
    from tui.planning.formula import MemoryPlan
    from tui.session.finding import Wanted


class HubFlows:
    """Follows the downloads too: their line, and what is told when one is whole or stands still."""

    def __init__(
        self,
        controller: Session,
        settings: Settings,
        flows: Flows,
        models: ModelFlows,
        copier: Copier,
        line: DownloadLine,
    ) -> None:
        self.flows = flows
        self._controller, self._settings, self._models, self._copier = controller, settings, models, copier
        self._line = line
        self._wanted: Wanted | None = None
        """What was looked for last: it stands there again when the search is opened again."""
        self._loads_when_whole: set[str] = set()
        """Orders whose model is to be loaded as soon as it is there."""
        self.trouble = ""
        """Why the suggested model could not be asked for."""
        self.on_change: Callable[[], object] = lambda: None
        """Is called when `trouble` is another one."""
        self._speeds: KnownSpeeds | None = None
        """What a forecast is made from, as it was known last."""
        self._fetched: Path | None = None
        """The model that was fetched last."""

    # Finding ----------------------------------------------------------------------------------------------------------

    @flow("dialog")
    async def action_find_models(self) -> None:
        """Search the hubs, look into a repository, fetch."""
        await self._find(None)

    async def _find(self, reference: Reference | None) -> None:
        from tui.app.screens.find import FindScreen
        from tui.app.screens.repository import RepositoryScreen
        from tui.session.finding import Judge, Wanted

        controller, keymap = self._controller, self.flows.keymap
        memory, devices = await self._models.memory_for_next()
        suited = await self.suited()
        judge = Judge(controller.finding, devices, memory, self._settings.load, self._speed_of)
        while True:
            if reference is None:
                screen = FindScreen(
                    controller.finding,
                    memory,
                    keymap,
                    suited=suited,
                    more_suited=self.more_suited,
                    wanted=self._wanted or Wanted(),
                )
                reference = await self.flows.ask(screen)
                self._wanted, suited = screen.wanted, screen.suited
                if reference is None:
                    return
            picked = await self.flows.ask(
                RepositoryScreen(
                    reference,
                    controller.finding,
                    judge,
                    controller.fetching,
                    keymap,
                    library=await self._models.known_models(),
                    listen=controller.listen,
                    copy=self._copier.copy,
                    measured=self._take_more_speeds,
                )
            )
            reference = None
            if picked is not None and picked.what == "load":
                self._models.open_model(Path(picked.path))
                return
            if picked is not None:
                await self._downloads()
                return

    def _speed_of(self, info: ModelInfo, plan: MemoryPlan) -> Range | None:
        from tui.measure.forecast import forecast
        from tui.measure.known_speeds import KnownSpeeds

        found = forecast(info, plan, self._speeds or KnownSpeeds(), n_threads=self._settings.load.n_threads)
        return found.decode_tps if found else None

    async def suited(self) -> tuple[Suited, ...]:
        """Models that are known, the best for this machine first, then what fits, and what does not."""
        from tui.app.screens.find_table import Suited
        from tui.app.screens.model_records import model_records
        from tui.planning.recommending import best_suggestion
        from tui.planning.suggestions import suggestions

        self._speeds = (await model_records(self._controller.store)).speeds
        memory, devices = await self._models.memory_for_next()
        found = await suggestions(devices, memory, self._settings.load)
        speeds = [self._speed_of(one.info, one.permission.outcome.plan) for one in found]
        best = best_suggestion(found, [speed.tps if speed else None for speed in speeds])
        suited = [
            Suited(suggestion=one, decode=speed, is_best=one is best) for one, speed in zip(found, speeds, strict=True)
        ]
        order = ("fits", "tight", "no")
        return tuple(
            sorted(
                suited,
                key=lambda one: (
                    not one.is_best,
                    order.index(one.suggestion.permission.fit),
                    -one.suggestion.info.n_params,
                ),
            )
        )

    async def more_suited(self) -> tuple[Suited, ...] | None:
        """The same once this machine's memory was measured, with the speeds that can be told then; None where nothing
        was measured. May take long."""
        return await self.suited() if await self._controller.memory_speed.measured() else None

    async def _take_more_speeds(self) -> bool:
        from tui.app.screens.model_records import model_records

        before = self._speeds
        await self._controller.memory_speed.measured()
        self._speeds = (await model_records(self._controller.store)).speeds
        return self._speeds != before

    # Fetching ---------------------------------------------------------------------------------------------------------

    @flow("dialog")
    async def action_downloads(self) -> None:
        """What is being fetched."""
        await self._downloads()

    async def _downloads(self) -> None:
        from tui.app.screens.downloads import DownloadsScreen

        done = await self.flows.ask(
            DownloadsScreen(self._controller.fetching, self.flows.keymap, self._controller.listen)
        )
        if done is not None and done.what == "load":
            self._models.open_model(Path(done.path))
        elif done is not None:
            await self._find(None)

    @flow("get")
    async def action_get_suggested(self) -> None:
        """Fetch the model that suits this machine, load it when it is there."""
        from tui.hubs.interface import HubError
        from tui.hubs.reference import Reference

        best = next((one for one in await self.suited() if one.is_best), None)
        if best is None:
            self.flows.tell(tr("None of the known models fits this machine right now."), bad=True)
            return
        info = best.suggestion.info
        self.flows.tell(tr("Asking for {name}…", name=info.name))
        try:
            opened = await self._controller.finding.open(Reference(name=f"Qwen/{info.name}-GGUF"))
        except HubError as error:
            self._in_trouble(str(error))
            self.flows.tell(self.trouble, bad=True)
            return
        self._in_trouble("")
        variants = opened.content.variants
        variant = next((one for one in variants if one.quant == info.quant), None) or _near(variants, info.size_bytes)
        if variant is not None:
            await self.fetch(variant, then_load=True)

    def _in_trouble(self, why: str) -> None:
        self.trouble = why
        self.on_change()

    async def fetch(self, variant: Variant, *, then_load: bool = False) -> None:
        """Order a variant, unless the disk has no room for it."""
        fetching = self._controller.fetching
        room = await fetching.room()
        if room is not None and not free_for(variant.size_bytes, room):
            self.flows.tell(hub_phrases.no_room(variant.size_bytes, room, KEPT_FREE), bad=True)
            return
        order = await fetching.fetch(variant)
        if order is None:
            return
        if then_load:
            self._loads_when_whole.add(order.id)
        name, size = progress_words.order_name(order), format.size(order.size_bytes)
        told = tr(
            "{name} is being downloaded: {size}. “{action}”{key} shows it.",
            name=name,
            size=size,
            action=title_of("downloads"),
            key=hint(self.flows.keymap, "downloads"),
        )
        self.flows.tell(told)

    def action_load_fetched(self) -> None:
        """Load what was fetched last."""
        if self._fetched is None:
            self.flows.tell(tr("Nothing has been downloaded since llmtui started."))
        else:
            self._models.open_model(self._fetched)

    # What is told -----------------------------------------------------------------------------------------------------

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show how far it is; say what came of it."""
        from tui.downloads.words import problem_words

        match event:
            case events.DownloadsChanged():
                self.show()
            case events.ModelFetched(order=order, path=path):
                self._fetched = path
                self.flows.start("fetched", partial(self._take_in, order.id, progress_words.order_name(order), path))
            case events.DownloadFailed(download=download) if download.problem is not None:
                name = progress_words.order_name(download.order)
                told = tr(
                    "{name}: {problem}", name=name, problem=hub_phrases.problem(download.problem, download.order.repo)
                )
                self.flows.tell(told, bad=True)
            case events.DownloadRefused(problem=problem):
                self.flows.tell(problem_words(problem, "huggingface"), bad=True)

    def show(self) -> None:
        """The line about what is being fetched, in the language in use."""
        fetching = self._controller.fetching
        n_waiting = sum(one.state == "waiting" for one in fetching.all if one is not fetching.current)
        keys = display_keys(self.flows.keymap.get("downloads", ()), limit=1)
        self._line.show(fetching.current, n_waiting, keys)

    async def _take_in(self, order_id: str, name: str, path: Path) -> None:
        """It belongs to the library from now on; and it is loaded where that is what it was fetched for."""
        library = await asyncio.to_thread(self._models.scan_library)
        is_first = self._controller.phase == "no_model" and len(library.models) == 1
        if is_first or (order_id in self._loads_when_whole and self._controller.phase == "no_model"):
            self.flows.tell(tr("{name} is downloaded and is being loaded.", name=name))
            self._models.open_model(path)
            return
        keys = display_keys(self.flows.keymap.get("load_fetched", ()), limit=1)
        self.flows.tell(
            tr("{name} is downloaded. {key} loads it.", name=name, key=keys)
            if keys
            else tr("{name} is downloaded.", name=name)
        )


def _near(variants: Sequence[Variant], size_bytes: int) -> Variant | None:
    """The variant whose size is nearest to that."""
    return min(variants, key=lambda one: abs(one.size_bytes - size_bytes), default=None)
