"""The door to a session: a screen asks it to act and hears of every change as an event, on the event loop's thread.
Puts the parts of the session together and owns what they share: the engine, the store, and whose turn it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from tui.chat.conversation import Conversation
from tui.chat.search.searcher import Searcher
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.problems import ConfigProblem
from tui.config.sampling import Source
from tui.config.settings import Settings
from tui.config.state import State, StateStore
from tui.downloads.interface import Downloads
from tui.downloads.local import LocalDownloads
from tui.engines.interface import Engine, share_language
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.measure.kept_steps import KeptSteps
from tui.protocol.death import EngineDied
from tui.protocol.records import ErrorInfo
from tui.session.answer_settings import default_values
from tui.session.answering import Answering
from tui.session.context_keeper import ContextKeeper, context_files
from tui.session.context_meter import ContextMeter
from tui.session.drafts import Drafts
from tui.session.elsewhere import Elsewhere
from tui.session.engine_phase import EnginePhase
from tui.session.events import (
    Announcer,
    AnswerRefused,
    CacheRestored,
    FaultFound,
    Phase,
    PhaseChanged,
    ProblemFound,
    UserSaid,
)
from tui.session.fetching import Fetching
from tui.session.finding import Finding
from tui.session.live_speed import LiveSpeed
from tui.session.load_order import LoadOrder
from tui.session.loads import LoadRequest
from tui.session.machine_history import MachineHistory
from tui.session.memory_speed import MemorySpeed
from tui.session.model_loading import ModelLoading
from tui.session.monitoring import Monitoring
from tui.session.one_at_a_time import OneAtATime, Work, end_work
from tui.session.open_conversation import OpenConversation
from tui.session.prompt_queue import PromptQueue, QueuedPrompt
from tui.session.replacing import Replacing
from tui.session.speed import PrefillSpeeds
from tui.session.state_writer import StateWriter
from tui.session.step_costs import StepMeasuring
from tui.session.switching import Switching
from tui.session.tuning import Tuning
from tui.session.writing import Writing
from tui.words.later import later

_log = logging.getLogger("llmtui")


class Controller:
    """One engine and one open conversation. What happens is told to all who `listen`."""

    def __init__(
        self,
        settings: Settings,
        state: StateStore,
        store: Store,
        options: Options,
        engine: Engine | None = None,
        downloads: Downloads | None = None,
    ) -> None:
        """Without an `engine`, llama.cpp's in a process of its own; without `downloads`, those of this machine."""
        environment = engine_environment(software=settings.engine.software_vulkan)
        self.settings, self.state, self.store = settings, state, store
        self.engine: Engine = LocalEngine(env=environment) if engine is None else engine
        self.planner = DryRunPlanner(env=environment)
        """Says what loads would take, in a process of its own."""
        self._announcer = Announcer()
        self.listen = self._announcer.listen
        self._tell = tell = self._announcer.tell

        self._phase = EnginePhase(self.engine, lambda: self._answers.is_paused, self._phase_changed)
        self._remembered = StateWriter(state, lambda problem: tell(ProblemFound(problem=problem)))
        self.drafts = Drafts(paths.drafts_dir())
        self.unsent: Callable[[], Sequence[str]] = tuple
        """What was written and not sent; whoever shows an input sets it."""
        self.draft_lost: OSError | None = None
        """Why that could not be kept at the end, if so."""
        self.state_lost: ConfigProblem | None = None
        """Why what was to be remembered could not be written at the end, if so."""

        self._prefill_speeds = PrefillSpeeds()
        self.speed = LiveSpeed(lambda: self.engine.loaded, self._prefill_speeds, tell)
        self.listen(self.speed.hear)
        self.machine = MachineHistory()
        self.listen(self.machine.hear)
        self.monitoring = Monitoring(
            self.engine, self.speed, settings.memory, tell, is_busy=lambda: self.phase in ("loading", "answering")
        )

        self.memory_speed = MemorySpeed(
            self.engine,
            lambda: LocalEngine(env=environment),
            lambda: self.phase,
            KeptBandwidth(paths.bandwidth_file()),
        )
        """Has the memory measured, for forecasts."""
        self.listen(self.memory_speed.hear)

        self._step_measuring = StepMeasuring(
            self.engine, KeptSteps(paths.step_costs_file()), lambda: self.context.n_used
        )
        self.listen(self._step_measuring.hear)

        self.searcher = Searcher(store.path, paths.search_index_file())
        """Finds conversations by what was said in them."""
        self.opened = OpenConversation(store, settings)
        self.configure = self.opened.configure
        self.replacing = Replacing(self.opened, store, is_writing=lambda: self.is_writing, tell=tell)
        self.context = ContextMeter(self.engine, self.opened, self._phase, tell)
        self.contexts = ContextKeeper(
            self.engine,
            context_files(settings.chat),
            lambda: self.conversation,
            lambda restored: tell(CacheRestored(restored=restored)),
        )
        self.load_order = LoadOrder(settings, state, options, lambda problem: tell(ProblemFound(problem=problem)))
        self.load_for, self.given_for = self.load_order.load_for, self.load_order.given_for
        self.model = ModelLoading(
            self.engine,
            self._phase,
            self.load_order,
            settings.load,
            self.contexts,
            self.context,
            self._prefill_speeds,
            self._remembered,
            is_paused=lambda: self._answers.is_paused,
            open_id=lambda: self.conversation.id,
            tell=tell,
        )
        self.engine.on_death = self.model.died
        self._elsewhere = Elsewhere(
            self.opened,
            store,
            self.replacing,
            self.context,
            self._remembered,
            is_writing=lambda: self.is_writing,
            tell=tell,
        )
        self._answers = Answering(
            self.engine,
            self._phase,
            self.model,
            self.opened,
            self.contexts,
            settings,
            step_costs=lambda: self._step_measuring.costs,
            write=partial(
                Writing,
                opened=self.opened,
                store=store,
                replacing=self.replacing,
                meter=self.context,
                prefill_speeds=self._prefill_speeds,
                swap_used=lambda: self.monitoring.swap_used(),
                tell=tell,
            ),
            on_refused=self._refused,
            on_over=self._elsewhere.settle,
        )
        self.tuning = Tuning(
            self.engine,
            lambda: LocalEngine(env=environment),
            self.planner,
            self.model,
            self.load_order,
            state,
            self._remembered,
            settings.tune,
            tell,
        )
        """Looks for the fastest load settings."""
        self.listen(self.tuning.hear)
        self.queue = PromptQueue(can_send=lambda: self.can_answer, send=self._send, tell=tell)
        switching = Switching(
            self.engine,
            self.opened,
            self.queue,
            self.replacing,
            self.contexts,
            self.context,
            self._remembered,
            stop_answer=self._answers.stop,
            tell=tell,
        )
        self.new, self.open, self.bring_back = switching.new, switching.open, switching.bring_back
        self.finding = Finding()
        """What the hubs have."""
        self.fetching = Fetching(LocalDownloads() if downloads is None else downloads, paths.models_dir, tell)
        """What is fetched from them."""
        self._taking_up: asyncio.Task[None] | None = None
        self._works = OneAtATime(self._guard, self.queue.send_next)
        self._closing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Start the engine, and to read the machine; nothing is loaded yet."""
        self.contexts.start()
        self.monitoring.start()
        self._taking_up = asyncio.create_task(self.fetching.start())
        await self._guard(self.model.start())

    @property
    def phase(self) -> Phase:
        """What the engine is at."""
        return self._phase.now

    # Model ------------------------------------------------------------------------------------------------------------

    def load(self, request: LoadRequest, name: str = "", *, then_answer: bool = False) -> None:
        """Load a model in place of the present one; the outcome is told. An answer of the same model waits meanwhile
        and goes on then; whatever else runs is stopped. With `then_answer`, the conversation, whose last turn is the
        user's, is answered once it is loaded."""
        request = msgspec.structs.replace(request, name=name or request.name or request.path.stem)
        if then_answer:
            self._begin(self._load_and_answer(request), is_answer=True)
        elif not self._answers.pause_for(request):
            self._begin(self.model.load(request))

    def retry(self) -> None:
        """Try the load that failed last once more."""
        if self.model.failed is not None:
            self.load(msgspec.structs.replace(self.model.failed, asked_at=time.perf_counter()))

    async def _load_and_answer(self, request: LoadRequest) -> None:
        conversation_id = self.conversation.id
        can_answer = False
        try:
            await self.model.load(request)
            can_answer = self.phase == "ready" and self.conversation.id == conversation_id
        finally:
            if not can_answer:
                self.replacing.put_back()
        if can_answer:
            await self._run_answer(self.settings.chat.on_overflow == "drop")

    def restart(self, **changes: Any) -> None:
        """A new engine with the same model. `changes` are made to the load settings, after a death to those that it
        died with."""
        self._begin(self.model.restart(changes))

    async def unload(self) -> None:
        """Free the model, if there is one; the conversation stays."""
        await self.stop()
        self.contexts.save()
        if self.engine.loaded is not None:
            await self._guard(self.model.unload())

    async def share_language(self) -> None:
        """The engine's processes word errors and notes in the language that this one speaks now."""
        await share_language(self.engine)
        await self.planner.share_language()

    # Conversation -----------------------------------------------------------------------------------------------------

    @property
    def conversation(self) -> Conversation:
        """The one that is open."""
        return self.opened.now

    def default_values(self) -> dict[str, tuple[float, Source]]:
        """What the next answer would be made with if the conversation had nothing of its own; see
        `answer_settings.default_values`."""
        return default_values(self.conversation, self.settings, self.engine.loaded, self.model.info)

    def remember(self, **changes: Any) -> None:
        """Keep fields of `State` for the next run, without waiting for the disk."""
        self._remembered.update(**changes)

    def change_remembered(self, made_of: Callable[[State], Mapping[str, Any]]) -> asyncio.Task[None]:
        """Keep for the next run what is made of what is remembered now, by another window too; done when the result
        is."""
        return self._remembered.change(made_of)

    async def save_now(self) -> None:
        """Save what there is at once, of an answer that is being written too."""
        await self.keep_draft()
        await self.store.flush()

    async def keep_draft(self) -> None:
        """Keep what is written and not sent as it is now, in case llmtui is killed."""
        texts = (*self.queue.texts, *self.unsent())
        if self.drafts.are_kept(texts):
            return
        try:
            await asyncio.to_thread(self.drafts.keep, texts)
        except OSError as error:  # it is tried again, and told where it matters: at the end
            _log.debug("What is not sent is not kept: %s", error)

    # Answers ----------------------------------------------------------------------------------------------------------

    @property
    def is_writing(self) -> bool:
        """An answer is being written, or waits while its model is loaded again."""
        return self._answers.is_writing

    @property
    def can_answer(self) -> bool:
        """A model is loaded, and nothing runs that an answer would end or have to wait for."""
        return self.phase == "ready" and not self._works.is_busy and not self.queue.is_load_coming()

    def _send(self, prompt: QueuedPrompt) -> None:
        """Put what the user wrote into the conversation and have it answered."""
        if prompt.replaces:
            self.replacing.cut(prompt.replaces)
        was_saved, turn = self.opened.saved_id, self.opened.say(prompt.text)
        if not was_saved:
            self.remember(conversation=self.opened.saved_id)
        self._tell(UserSaid(turn=turn))
        self.answer()

    def answer(self, *, drop_oldest: bool = False) -> None:
        """Answer the conversation as it stands, its last turn being the user's. What waits is sent after that."""
        self._begin(self._run_answer(drop_oldest or self.settings.chat.on_overflow == "drop"), is_answer=True)
        self.queue.release()

    async def _run_answer(self, drop_oldest: bool) -> None:
        loaded = self.engine.loaded
        if loaded is None:
            self._refused(ErrorInfo(kind="no_model", detail=""))
            return
        is_agreed = await self._answers.agree(self._elsewhere.agree)
        if not is_agreed or self.engine.loaded is not loaded:  # a death meanwhile is told by itself
            self.queue.hold()
            return
        try:
            await self._answers.run(loaded, drop_oldest=drop_oldest)
        except Exception:
            self.queue.hold()
            raise

    def _refused(self, info: ErrorInfo) -> None:
        """An answer that was asked for does not come."""
        self.queue.hold()
        if not (info.kind == "context_overflow" and info.n_drop):
            self.replacing.put_back()
        self._tell(AnswerRefused(info=info))

    def interrupt(self) -> None:
        """Ask an answer or a load to stop; what there is of an answer stays, and what waits is held. Returns at
        once."""
        if self.phase in ("answering", "loading"):
            self.queue.hold()
        self.model.waits_when_cancelled = True
        self._interrupt()

    def _interrupt(self, *, again: bool = False) -> None:
        if not self._answers.interrupt() and self.phase == "loading":
            self._works.cancel(again=again)

    async def stop(self) -> None:
        """As `interrupt`, and wait until it has stopped: on a busy GPU that may take a moment. What waits for its turn
        is dropped."""
        await self._works.end(self.interrupt)

    # Plumbing ---------------------------------------------------------------------------------------------------------

    def _phase_changed(self, phase: Phase) -> None:
        if phase != "ready":
            self.contexts.busy()
        self.searcher.is_busy = phase in ("loading", "answering")
        self._tell(PhaseChanged(phase=phase))
        self.queue.send_next()

    def _begin(self, work: Work, *, is_answer: bool = False) -> None:
        overtaken = ErrorInfo(kind="cancelled", detail=later("something else was begun before it"))
        dropped = partial(self._refused, overtaken) if is_answer else lambda: None
        self._works.begin(work, self._interrupt_all, dropped=dropped)

    def _interrupt_all(self) -> None:
        """As `interrupt`, the start of a process included, which another start or the end of the app must follow."""
        self.model.waits_when_cancelled = False
        if self.phase == "starting":
            self._works.cancel(again=True)
        else:
            self._interrupt(again=True)

    async def _guard(self, work: Work) -> None:
        """Await `work`; the engine's death is told by `ModelLoading.died`, except when it could not even start."""
        try:
            await work
        except EngineDied as died:
            if died.death.cause == "not_started" or self.phase == "starting":
                self.model.died(died)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not keep the next thing from being done
            _log.exception("Something was broken off")
            self._phase.set_idle()
            self._tell(FaultFound(kind=type(error).__name__, detail=str(error)))

    async def close(self, patience_s: float | None = None) -> None:
        """Stop everything and write what waits, once: whoever comes later waits for the same end. Nobody listens any
        more: the screens are going, or gone. `patience_s` is that of `end_work`."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(patience_s))
        await asyncio.shield(self._closing)

    async def _close(self, patience_s: float | None) -> None:
        self._announcer.close()
        self.monitoring.close()
        self._elsewhere.close()
        if self._taking_up is not None:
            self._taking_up.cancel()
        self._step_measuring.close()
        self.searcher.close()
        await self.memory_speed.close()
        await self.fetching.close()
        try:
            await asyncio.to_thread(self.drafts.close, (*self.queue.take_all(), *self.unsent()))
        except OSError as error:
            self.draft_lost = error
        await end_work(self._works, self._interrupt_all, self.contexts.flush, (self.engine, self.planner), patience_s)
        self.state_lost = await self._remembered.flush()
        self.opened.put_back()
        await self.store.close()
