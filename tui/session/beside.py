"""What works beside a session, wherever that runs: the readings of this machine, the hubs, downloads, the search for
the fastest settings, drafts, and what is remembered. It needs files, and what the engine says of itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.problems import ConfigProblem
from tui.config.settings import Settings
from tui.config.state import State, StateStore
from tui.downloads.interface import Downloads
from tui.downloads.local import LocalDownloads
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.session.announcer import Announcer
from tui.session.drafts import Drafts
from tui.session.engine_seen import EngineSeen
from tui.session.events import Phase, ProblemFound
from tui.session.fetching import Fetching
from tui.session.live_speed import KnowsPrefill, LiveSpeed
from tui.session.load_order import LoadOrder
from tui.session.machine_history import MachineHistory
from tui.session.memory_speed import MemorySpeed
from tui.session.monitoring import Monitoring
from tui.session.state_writer import StateWriter
from tui.session.tuning import KnownModel, Tuning

if TYPE_CHECKING:
    from tui.chat.search.searcher import Searcher
    from tui.session.finding import Finding

_log = logging.getLogger("llmtui")


class Beside:
    """The parts of a session that are in the process of whoever uses it."""

    def __init__(
        self,
        settings: Settings,
        state: StateStore,
        store: Store,
        options: Options,
        *,
        engine: EngineSeen,
        model: Callable[[], KnownModel],
        phase: Callable[[], Phase],
        prefill_speeds: KnowsPrefill,
        downloads: Downloads | None = None,
    ) -> None:
        """`model` gives the session's model, `phase` what its engine is at."""
        environment = engine_environment(software=settings.engine.software_vulkan)
        self.settings, self.state, self.store = settings, state, store
        self._is_engine_busy = lambda: phase() in ("loading", "answering")
        self._announcer = Announcer()
        self.listen = self._announcer.listen
        """Call with each event from now on; the result, once called, ends that."""
        self._tell = tell = self._announcer.tell

        self.planner = DryRunPlanner(env=environment)
        """Says what loads would take, in a process of its own."""
        self._remembered = StateWriter(state, self._found)
        self.load_order = LoadOrder(settings, state, options, self._found)
        self.load_for, self.given_for = self.load_order.load_for, self.load_order.given_for

        self.drafts = Drafts(paths.drafts_dir())
        self.unsent: Callable[[], Sequence[str]] = tuple
        """What was written and not sent; whoever shows an input sets it."""
        self.draft_lost: OSError | None = None
        """Why that could not be kept at the end, if so."""
        self.state_lost: ConfigProblem | None = None
        """Why what was to be remembered could not be written at the end, if so."""

        self.speed = LiveSpeed(lambda: engine.loaded, prefill_speeds, tell)
        self.listen(self.speed.hear)
        self.machine = MachineHistory()
        self.listen(self.machine.hear)
        self.monitoring = Monitoring(engine, self.speed, settings.memory, tell, is_busy=self._is_engine_busy)
        self.memory_speed = MemorySpeed(
            engine, lambda: LocalEngine(env=environment), phase, KeptBandwidth(paths.bandwidth_file())
        )
        """Has the memory measured, for forecasts."""
        self.listen(self.memory_speed.hear)
        self.tuning = Tuning(
            engine,
            lambda: LocalEngine(env=environment),
            self.planner,
            model,
            self.load_order,
            state,
            self._remembered,
            settings.tune,
            tell,
        )
        """Looks for the fastest load settings."""
        self.fetching = Fetching(LocalDownloads() if downloads is None else downloads, paths.models_dir, tell)
        """What is fetched from them."""
        self._taking_up: asyncio.Task[None] | None = None

    @cached_property
    def searcher(self) -> Searcher:
        """Finds conversations by what was said in them; imported behind the first paint, as `finding` is."""
        from tui.chat.search.searcher import Searcher

        return Searcher(self.store.path, paths.search_index_file(), is_busy=self._is_engine_busy)

    @cached_property
    def finding(self) -> Finding:
        """What the hubs have. What it takes is imported when somebody looks for a model."""
        from tui.session.finding import Finding

        return Finding()

    def _begin_beside(self) -> None:
        """Read the machine from now on, and take up the downloads."""
        self.monitoring.start()
        self._taking_up = asyncio.create_task(self.fetching.start())

    def remember(self, **changes: Any) -> None:
        """Keep fields of `State` for the next run, without waiting for the disk."""
        self._remembered.update(**changes)

    def change_remembered(self, made_of: Callable[[State], Mapping[str, Any]]) -> asyncio.Task[None]:
        """Keep for the next run what is made of what is remembered now, by another window too; done when the result
        is."""
        return self._remembered.change(made_of)

    async def _keep(self, texts: Sequence[str]) -> None:
        """Keep these as the draft, in case this process is killed."""
        if self.drafts.are_kept(texts):
            return
        try:
            await asyncio.to_thread(self.drafts.keep, texts)
        except OSError as error:  # it is tried again, and told where it matters: at the end
            _log.debug("What is not sent is not kept: %s", error)

    def _found(self, problem: ConfigProblem) -> None:
        self._tell(ProblemFound(problem=problem))

    async def _close_beside(self, unsent: Callable[[], Sequence[str]]) -> None:
        """End what runs here, but the planner, and keep what was not sent. Nobody listens any more: the screens are
        going, or gone."""
        self._announcer.close()
        self.monitoring.close()
        if "searcher" in self.__dict__:
            self.searcher.close()
        if self._taking_up is not None:
            self._taking_up.cancel()
        await self.memory_speed.close()
        await self.fetching.close()
        try:
            await asyncio.to_thread(self.drafts.close, unsent())
        except OSError as error:
            self.draft_lost = error
