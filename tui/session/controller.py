"""What the app does, without a widget: the engine, the loaded model, the open conversation and its store. It owns that
state; screens ask it to act and hear of every change as an event, on the event loop's thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tui.chat.conversation import Conversation
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.problems import ConfigProblem
from tui.config.settings import LoadDefaults, Settings
from tui.config.state import StateStore
from tui.engines.interface import AnswerStream, EngineError
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.models.info import ModelInfo
from tui.protocol.death import EngineDied
from tui.protocol.messages import Done, Loaded, Unload
from tui.protocol.records import Device, ErrorInfo
from tui.session.choices import LoadChoices
from tui.session.context_keeper import ContextKeeper, context_files
from tui.session.drafts import Drafts
from tui.session.elsewhere import Elsewhere
from tui.session.events import (
    Announcer,
    AnswerRefused,
    CacheRestored,
    EngineLost,
    FaultFound,
    LoadAdvanced,
    LoadFailed,
    ModelLoaded,
    ModelReloaded,
    Phase,
    PhaseChanged,
    ProblemFound,
    UserSaid,
)
from tui.session.live_speed import LiveSpeed
from tui.session.loads import LastLoaded, LoadRequest, Reload, backend_label
from tui.session.monitoring import Monitoring
from tui.session.one_at_a_time import OneAtATime, Work, end_work
from tui.session.open_conversation import OpenConversation
from tui.session.prompt_queue import PromptQueue
from tui.session.replacing import Replacing
from tui.session.speed import PrefillSpeeds
from tui.session.state_writer import StateWriter
from tui.session.switching import Switching
from tui.session.writing import Writing

_log = logging.getLogger("llmtui")


class Controller:
    """One engine and one open conversation. What happens is told to all who `listen`."""

    def __init__(self, settings: Settings, state: StateStore, store: Store, options: Options) -> None:
        self.settings, self.state, self.store = settings, state, store
        self._announcer = Announcer()
        self.tell, self.listen = self._announcer.tell, self._announcer.listen
        self.engine = LocalEngine(
            env=engine_environment(software=settings.engine.software_vulkan), on_death=self._on_death
        )
        self.contexts = ContextKeeper(
            self.engine,
            context_files(settings.chat),
            lambda: self.conversation,
            lambda restored: self.tell(CacheRestored(restored=restored)),
        )
        self.planner = DryRunPlanner(env=engine_environment(software=settings.engine.software_vulkan))
        """Says what loads would take, in a process of its own."""
        self.phase: Phase = "starting"
        self.devices: tuple[Device, ...] = ()
        self.model_path: Path | None = None
        self.model_name = ""
        """How the model is called on the screen and in saved answers."""
        self.headers: dict[str, ModelInfo] = {}
        """What the files tell of the models that were to be loaded, by path."""
        self.choice: LoadDefaults = settings.load
        """What the loaded model was asked to be loaded with, or the next one will be."""
        self.fatal_choice: LoadDefaults | None = None
        """What the engine was loaded with, or was being loaded with, when it died; None once something is loaded."""
        self._held: LastLoaded | None = None
        """What was loaded last; it may be gone."""
        self._failed: LoadRequest | None = None
        """The load that failed last."""
        self.prefill_speeds = PrefillSpeeds()
        self.speed = LiveSpeed(lambda: self.engine.loaded, self.prefill_speeds, self.tell)
        self.listen(self.speed.hear)
        self.monitoring = Monitoring(self.engine, self.speed, settings.memory, self.tell)
        self.opened, self.replacing = OpenConversation(store, settings), Replacing(self)
        switching = Switching(self)
        self.new, self.open, self.measure_context = switching.new, switching.open, switching.measure_context
        self.elsewhere = Elsewhere(self)
        self.n_used = 0
        self.drafts = Drafts(paths.drafts_dir())
        self.unsent: Callable[[], Sequence[str]] = tuple
        """What was written and not sent; whoever shows an input sets it."""
        self.draft_lost: OSError | None = None
        """Why that could not be kept at the end, if so."""
        self.state_lost: ConfigProblem | None = None
        """Why what was to be remembered could not be written at the end, if so."""
        self.choices = LoadChoices(settings, state, options, self._tell_problem)
        self.choice_for, self.chosen_for = self.choices.of, self.choices.chosen
        self._answer: AnswerStream | None = None
        self._no_answer = asyncio.Event()
        self._no_answer.set()
        self._writing: Writing | None = None
        """The answer that is being written, also while it is paused."""
        self._next_load: LoadRequest | None = None
        """What is to be loaded before the answer goes on."""
        self.queue = PromptQueue(self)
        self._works = OneAtATime(self._guard, self.queue.look)
        self._closing: asyncio.Future[None] | None = None
        self._rests = True
        """What is cancelled waits for the engine to come to rest; not so when something else is to be done at once."""
        self._remembered = StateWriter(state, self._tell_problem)

    # Engine and model -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the engine process; nothing is loaded yet."""
        self.contexts.start()
        self.monitoring.start()
        await self._guard(self._start())

    async def _start(self) -> None:
        hello = await self.engine.start()
        self.devices = hello.devices
        if self.phase == "starting":  # a model that was chosen meanwhile may be loading already
            self._set_phase("no_model")

    def load(self, request: LoadRequest, name: str = "", *, then_answer: bool = False) -> None:
        """Load a model in place of the present one. The outcome comes to the listener. An answer of the same model
        waits meanwhile and goes on then; whatever else runs is stopped. With `then_answer`, the conversation, whose
        last turn is the user's, is answered once it is loaded."""
        request = msgspec.structs.replace(request, name=name or request.name or request.path.stem)
        if then_answer:
            self._begin(self._load_and_answer(request), is_answer=True)
        elif self._writing is not None and self._writing.may_pause and request.path == self.model_path:
            self._next_load = request
            if self._answer is not None:
                self._answer.cancel(insist=False)
        else:
            self._begin(self._load(request))

    def retry(self) -> None:
        """Try the load that failed last once more."""
        if self._failed is not None:
            self.load(msgspec.structs.replace(self._failed, asked_at=time.perf_counter()))

    async def _load_and_answer(self, request: LoadRequest) -> None:
        conversation_id = self.conversation.id
        can_answer = False
        try:
            await self._load(request)
            can_answer = self.phase == "ready" and self.conversation.id == conversation_id
        finally:
            if not can_answer:
                self.replacing.put_back()
        if can_answer:
            await self._run_answer(self.settings.chat.on_overflow == "drop")

    async def _load(self, request: LoadRequest) -> None:
        """Load, and tell the outcome. Path, settings and name are those of what is loaded then; after a death those of
        what was loaded before, if it was the same model: the new settings may be what it died of."""
        asked_before = self.choice, self.model_name
        self.model_path, self.choice, self.model_name = request.path, request.choice, request.name
        if not self.engine.alive or self.engine.hello is None:
            self._set_phase("starting")
            await self._start()
        self._set_phase("loading")
        settings = self.choices.for_engine(request.path, request.name, request.choice, self.devices)
        try:
            before = await self.engine.settled()
            if before is not None and (self._held is None or before is not self._held.loaded):
                self._hold(before, *asked_before)  # complete before its cancel came, and nobody waited for it
            # The same file, on another device or with another context: what was read of the conversation goes along.
            same = before is not None and before.path == str(request.path)
            loaded = await self.engine.load(
                request.path, settings, self._tell_progress, keep_context=same, load_first=request.load_first
            )
        except EngineError as error:
            self._agree()
            if error.info.kind != "cancelled":
                self._failed = request
                self.tell(LoadFailed(path=request.path, info=error.info))
            return
        except asyncio.CancelledError:
            try:
                if self._rests:
                    await self.engine.settled()
            finally:
                self._agree()
            raise
        if not same:
            self.n_used = 0  # until the conversation is counted in the tokens of this model
        self._is_loaded(loaded)
        if not self.is_paused:
            if before is not None and same:
                tps = self.prefill_speeds.of(loaded)
                self.tell(ModelReloaded(reload=Reload.of(request, backend_label(before), loaded, tps)))
            self.contexts.opened(self.conversation.id)
            await self.measure_context()
        if request.chosen:
            await self._remembered.remember_load(request.path, request.choice)
        else:
            self.remember(last_model=str(request.path))

    def _agree(self) -> None:
        """After a load that was not complete: path, settings and name are those of what is loaded."""
        now = self.engine.loaded
        if self._held is not None and now is self._held.loaded:
            self._go_back(self._held)
        elif now is not None:  # it was complete when the cancel came
            self._is_loaded(now)
        self._set_idle_phase()

    def _go_back(self, held: LastLoaded) -> None:
        self.model_path, self.choice, self.model_name = held.path, held.choice, held.name

    def _is_loaded(self, loaded: Loaded) -> None:
        self.fatal_choice = self._failed = None
        self._hold(loaded, self.choice, self.model_name)
        self._set_idle_phase()
        self.tell(ModelLoaded(loaded=loaded))

    def _hold(self, loaded: Loaded, choice: LoadDefaults, name: str) -> None:
        self._held = LastLoaded(loaded=loaded, path=Path(loaded.path), choice=choice, name=name)
        self.contexts.loaded(loaded)

    def restart(self, **changes: Any) -> None:
        """A new engine process with the same model. `changes` are made to the load settings, after a death to those
        that it died with."""
        self._begin(self._restart(changes))

    async def _restart(self, changes: dict[str, Any]) -> None:
        self._set_phase("starting")
        await self.contexts.flush()
        await self.engine.close()
        await self._start()
        if self.model_path is not None:
            base = self.fatal_choice if changes and self.fatal_choice else self.choice
            choice = msgspec.structs.replace(base, **changes)
            await self._load(
                LoadRequest(path=self.model_path, choice=choice, name=self.model_name, chosen=bool(changes))
            )

    async def unload(self) -> None:
        """Free the model, if there is one; the conversation stays."""
        await self.stop()
        self.contexts.save()
        if self.engine.loaded is not None:
            await self._guard(self.engine.ask(Unload()))
            if self.phase == "ready":
                self._set_phase("no_model")

    # Conversation -----------------------------------------------------------------------------------------------------

    @property
    def conversation(self) -> Conversation:
        """The one that is open."""
        return self.opened.now

    def remember(self, **changes: Any) -> None:
        """Keep fields of `State` for the next run, without waiting for the disk."""
        self._remembered.update(**changes)

    async def save_now(self) -> None:
        """Save what there is at once, of an answer that is being written too."""
        await self.keep_draft()
        await self.store.flush()

    async def keep_draft(self) -> None:
        """Keep what is written and not sent as it is now, in case llmtui is killed."""
        texts = (*self.queue.texts, *self.unsent())
        try:
            await asyncio.to_thread(self.drafts.keep, texts)
        except OSError as error:  # it is tried again, and told where it matters: at the end
            _log.debug("What is not sent is not kept: %s", error)

    def configure(self, **changes: Any) -> None:
        """Change title, system prompt, thinking or sampling of the open conversation."""
        self.opened.configure(**changes)

    # Answers ----------------------------------------------------------------------------------------------------------

    @property
    def is_writing(self) -> bool:
        """An answer is being written, or waits while its model is loaded again."""
        return self._writing is not None and not self._writing.is_over

    @property
    def is_paused(self) -> bool:
        """An answer waits while its model is loaded again."""
        return self._writing is not None and self._writing.is_paused

    @property
    def can_answer(self) -> bool:
        """A model is loaded, and nothing runs that an answer would end or have to wait for."""
        return self.phase == "ready" and not self._works.is_busy and not self.queue.is_load_coming()

    def say(self, text: str) -> None:
        """Put what the user wrote into the conversation and have it answered; the answer comes to the listener. Only
        while `can_answer`: `queue.send` waits for that."""
        was_saved, turn = self.opened.saved_id, self.opened.say(text)
        if not was_saved:
            self.remember(conversation=self.opened.saved_id)
        self.tell(UserSaid(turn=turn))
        self.answer()

    def answer(self, *, drop_oldest: bool = False) -> None:
        """Answer the conversation as it stands, its last turn being the user's. What waits is sent after that."""
        self._begin(self._run_answer(drop_oldest or self.settings.chat.on_overflow == "drop"), is_answer=True)
        self.queue.release()

    async def _run_answer(self, drop_oldest: bool) -> None:
        loaded = self.engine.loaded
        if loaded is None:
            self._refuse(ErrorInfo(kind="no_model", detail=""))
            return
        if not await self.elsewhere.agree():
            self.queue.hold()
            return
        if self.engine.loaded is not loaded:  # the engine died meanwhile, and the card about that says so
            self.queue.hold()
            return
        self._set_phase("answering")
        if self.conversation.model_path != loaded.path:
            self.configure(model_path=loaded.path)
        self._writing = writing = Writing(self, self.opened, loaded)
        self._no_answer.clear()
        try:
            await self._write(writing, drop_oldest)
            while writing.is_paused and await self._carry_on(writing):
                await self._write(writing, drop_oldest)
        except EngineError as error:
            writing.break_off(error.info.detail, is_refused=True)
            self._set_idle_phase()
            self._refuse(error.info)
        except asyncio.CancelledError:
            if writing.is_paused:
                writing.stop()
                self._set_idle_phase()
            else:
                writing.break_off("llmtui was closed")
            raise
        except Exception as error:
            writing.break_off(str(error))
            self.queue.hold()
            raise
        else:
            self._set_idle_phase()
        finally:
            request, self._next_load = self._next_load, None
            self._answer = self._writing = None
            self._no_answer.set()
            self.contexts.ended()
            self.elsewhere.settle()
        if request is not None:  # asked for just before the answer ended by itself
            await self._load(request)

    def _refuse(self, info: ErrorInfo) -> None:
        """An answer that was asked for does not come."""
        self.queue.hold()
        if not (info.kind == "context_overflow" and info.n_drop):
            self.replacing.put_back()
        self.tell(AnswerRefused(info=info))

    async def _write(self, writing: Writing, drop_oldest: bool) -> None:
        """One part of an answer: all of it, or up to a pause, or what comes behind one."""
        self.contexts.began(self.conversation.id)
        self._answer = writing.ask(drop_oldest)
        try:
            async for event in self._answer:
                if isinstance(event, Done) and event.stop == "cancelled" and self._next_load and writing.may_pause:
                    writing.pause(event)
                else:
                    writing.take(event)
        finally:
            self._answer.cancel()  # where it ended by itself, nothing is left to cancel
            self._answer = None

    async def _carry_on(self, writing: Writing) -> bool:
        """Load what is to be loaded in the middle of an answer; whether the answer can go on."""
        first = self._next_load
        while (request := self._next_load) is not None:
            self._next_load = None
            await self._load(request)
        if writing.is_paused and self.engine.loaded is not None and first is not None:
            self._set_phase("answering")
            writing.go_on(self.engine.loaded, first)
            return True
        if writing.is_paused:
            writing.stop()
        return False

    def interrupt(self) -> None:
        """Ask an answer or a load to stop; what there is of an answer stays, and what waits is held. Returns at
        once."""
        if self.phase in ("answering", "loading"):
            self.queue.hold()
        self._rests = True
        self._interrupt()

    def _interrupt(self, *, again: bool = False) -> None:
        if self._writing is not None:
            self._next_load, self._writing.may_pause = None, False
        if self._answer is not None:
            self._answer.cancel()
        elif self.phase == "loading":
            self._works.cancel(again=again)

    async def stop(self) -> None:
        """As `interrupt`, and wait until it has stopped: on a busy GPU that may take a moment. What waits for its turn
        is dropped."""
        await self._works.end(self.interrupt)

    async def stop_answer(self) -> None:
        """Stop an answer, and wait for its end; a load goes on."""
        if self._writing is not None and self._answer is not None:
            self._writing.may_pause = False
            self._answer.cancel()
        elif self._writing is not None and self._writing.is_paused:
            self._writing.stop()
            self._no_answer.set()
        await self._no_answer.wait()

    # Plumbing ---------------------------------------------------------------------------------------------------------

    def _tell_problem(self, problem: ConfigProblem) -> None:
        self.tell(ProblemFound(problem=problem))

    def _tell_progress(self, fraction: float) -> None:
        self.tell(LoadAdvanced(fraction=fraction))

    def _set_phase(self, phase: Phase) -> None:
        if phase != self.phase:
            self.phase = phase
            if phase != "ready":
                self.contexts.busy()
            self.tell(PhaseChanged(phase=phase))
            self.queue.look()

    def _set_idle_phase(self) -> None:
        """Nothing runs any more, unless an answer waits for the end of a load."""
        if self.engine.alive and not self.is_paused:
            self._set_phase("no_model" if self.engine.loaded is None else "ready")

    def _begin(self, work: Work, *, is_answer: bool = False) -> None:
        overtaken = ErrorInfo(kind="cancelled", detail="something else was begun before it")
        dropped = partial(self._refuse, overtaken) if is_answer else lambda: None
        self._works.begin(work, self._interrupt_all, dropped=dropped)

    def _interrupt_all(self) -> None:
        """As `interrupt`, the start of a process included, which another start or the end of the app must follow."""
        self._rests = False
        if self.phase == "starting":
            self._works.cancel(again=True)
        else:
            self._interrupt(again=True)

    async def _guard(self, work: Work) -> None:
        """Await `work`; the engine's death is told by `_on_death`, except when it could not even start."""
        try:
            await work
        except EngineDied as died:
            if died.death.cause == "not_started" or self.phase == "starting":
                self._on_death(died)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not keep the next thing from being done
            _log.exception("Something was broken off")
            self._set_idle_phase()
            self.tell(FaultFound(kind=type(error).__name__, detail=str(error)))

    def _on_death(self, died: EngineDied) -> None:
        if self.phase == "dead":
            return
        self.fatal_choice = self.choice
        if self.phase == "loading" and self._held is not None and self._held.path == self.model_path:
            self._go_back(self._held)
        self.contexts.lost()
        self._set_phase("dead")
        self.tell(EngineLost(death=died.death))

    async def close(self, patience_s: float | None = None) -> None:
        """Stop everything and write what waits, once: whoever comes later waits for the same end. Nobody listens any
        more: the screens are going, or gone. `patience_s` is that of `end_work`."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(patience_s))
        await asyncio.shield(self._closing)

    async def _close(self, patience_s: float | None) -> None:
        self._announcer.close()
        self.monitoring.close()
        self.elsewhere.close()
        try:
            await asyncio.to_thread(self.drafts.close, (*self.queue.take_all(), *self.unsent()))
        except OSError as error:
            self.draft_lost = error
        await end_work(self._works, self._interrupt_all, self.contexts.flush, (self.engine, self.planner), patience_s)
        self.state_lost = await self._remembered.flush()
        self.opened.put_back()
        await self.store.close()
