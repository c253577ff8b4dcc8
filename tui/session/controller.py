"""The door to a session: a screen asks it to act and hears of every change as an event, on the event loop's thread.
Puts the parts of the session together and owns what they share: the engine, the store, and whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from tui.chat.conversation import Conversation, unfinished_answer
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import Options
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.downloads.interface import Downloads
from tui.engines.interface import Engine, share_language
from tui.engines.local import LocalEngine
from tui.engines.turns import Turn
from tui.machine.vulkan import engine_environment
from tui.measure.kept_steps import KeptSteps
from tui.models.info import ModelInfo
from tui.protocol.death import EngineDied
from tui.protocol.records import ErrorInfo
from tui.session.answering import Answering
from tui.session.branches import Branches
from tui.session.context_keeper import ContextKeeper, context_files
from tui.session.context_meter import ContextMeter, TextLength
from tui.session.elsewhere import Elsewhere
from tui.session.engine_phase import EnginePhase
from tui.session.events import (
    AnswerRefused,
    CacheRestored,
    FaultFound,
    Phase,
    PhaseChanged,
    UserSaid,
)
from tui.session.interface import Session
from tui.session.loads import LoadRequest
from tui.session.model_loading import ModelLoading
from tui.session.one_at_a_time import OneAtATime, Work, end_work
from tui.session.open_conversation import OpenConversation
from tui.session.prompt_queue import PromptQueue, QueuedPrompt
from tui.session.replacing import Replacing
from tui.session.speed import PrefillSpeeds
from tui.session.step_costs import StepMeasuring
from tui.session.switching import Switching
from tui.session.taking_turns import TakingTurns
from tui.session.titling import Titling
from tui.session.writing import Writing
from tui.words.later import later

_log = logging.getLogger("llmtui")


class Controller(Session):
    """In this process. One engine and one open conversation. What happens is told to all who `listen`."""

    def __init__(
        self,
        settings: Settings,
        state: StateStore,
        store: Store,
        options: Options,
        engine: Engine | None = None,
        downloads: Downloads | None = None,
        turn: Turn | None = None,
    ) -> None:
        """Without an `engine`, llama.cpp's in a process of its own; without `downloads`, those of this machine. `turn`
        is for an engine that other sessions use too."""
        environment = engine_environment(software=settings.engine.software_vulkan)
        self.engine: Engine = LocalEngine(env=environment) if engine is None else engine
        self._prefill_speeds = PrefillSpeeds()
        super().__init__(
            settings,
            state,
            store,
            options,
            engine=self.engine,
            model=lambda: self.model,
            phase=lambda: self.phase,
            prefill_speeds=self._prefill_speeds,
            downloads=downloads,
        )
        tell = self._tell
        self._phase = EnginePhase(
            self.engine, lambda: self._answers.is_paused or self._turns.is_waiting, self._phase_changed
        )

        self._step_measuring = StepMeasuring(
            self.engine, KeptSteps(paths.step_costs_file()), lambda: self.context.n_used
        )
        self.listen(self._step_measuring.hear)

        self.opened = OpenConversation(store, settings)
        self.replacing = Replacing(self.opened, is_writing=lambda: self.is_writing, tell=tell)
        self.context: ContextMeter = ContextMeter(self.engine, self.opened, self._phase, tell)
        self._branches = Branches(
            self.opened,
            store,
            self.context,
            is_writing=lambda: self.is_writing,
            on_free=lambda: self.queue.send_next(),
            tell=tell,
        )
        self.contexts = ContextKeeper(
            self.engine,
            context_files(settings.chat),
            lambda: self.conversation,
            lambda restored: tell(CacheRestored(restored=restored)),
        )
        self.model: ModelLoading = ModelLoading(
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
        turn = Turn() if turn is None else turn
        self._turns = TakingTurns(turn, self._phase, self.model, refused=self._not_begun, tell=tell)
        self.listen(self.tuning.hear)
        self.queue: PromptQueue = PromptQueue(
            can_send=lambda: self.can_answer and not self._works.is_busy, send=self._send, tell=tell
        )
        self._switching = Switching(
            self.engine,
            self.opened,
            self.queue,
            self.contexts,
            self.context,
            self._remembered,
            stop_answer=self._answers.stop,
            tell=tell,
        )
        self._works = OneAtATime(self._guard, self.queue.send_next)
        self._titling = Titling(
            self.engine, self.opened, is_on=settings.chat.titles, is_idle=lambda: self._is_idle, tell=tell
        )
        self.listen(self._titling.hear)
        self._is_answer_next = False
        """What is being loaded is to answer at once."""
        self._closing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._begin_beside()
        await self.start_engine()

    async def start_engine(self) -> None:
        """Start the engine alone; nothing is loaded yet."""
        self.contexts.start()
        await self._guard(self.model.start())

    async def engine_log(self) -> Sequence[str]:
        return self.engine.log

    @property
    def phase(self) -> Phase:
        return self._phase.now

    # Model ------------------------------------------------------------------------------------------------------------

    def load(
        self, request: LoadRequest, name: str = "", info: ModelInfo | None = None, *, then_answer: bool = False
    ) -> None:
        if info is not None:
            self.model.headers[str(request.path)] = info
        request = msgspec.structs.replace(request, name=name or request.name or request.path.stem)
        if then_answer:
            self._begin(self._turns.work(partial(self._load_and_answer, request)), is_answer=True)
        elif not self._answers.pause_for(request):
            self._begin(self._turns.work(partial(self.model.load, request)))

    def retry(self) -> None:
        if self.model.failed is not None:
            self.load(msgspec.structs.replace(self.model.failed, asked_at=time.perf_counter()))

    async def _load_and_answer(self, request: LoadRequest) -> None:
        conversation_id = self.conversation.id
        can_answer, self._is_answer_next = False, True
        try:
            await self.model.load(request)
            can_answer = self.phase == "ready" and self.conversation.id == conversation_id
        finally:
            self._is_answer_next = False
            if not can_answer:
                self.replacing.put_back()
        if can_answer:
            await self._run_answer(self.settings.chat.on_overflow == "drop")

    def restart(self, **changes: Any) -> None:
        self._begin(self._turns.work(partial(self.model.restart, changes)))

    async def unload(self) -> None:
        self._titling.close()
        await self.stop()
        self.contexts.save()
        if self.engine.loaded is not None:
            await self._guard(self._turns.work(self.model.unload))

    async def share_language(self) -> None:
        await share_language(self.engine)
        await self.planner.share_language()

    # Conversation -----------------------------------------------------------------------------------------------------

    @property
    def conversation(self) -> Conversation:
        return self.opened.now

    @property
    def _is_idle(self) -> bool:
        """Nobody wants the engine, which holds the open conversation, and nothing is written or waits."""
        is_free = self.phase == "ready" and self.can_answer and not self._works.is_busy
        is_written = any(text.strip() for text in self.unsent())
        return is_free and not is_written and not self.queue.texts and self.contexts.holds(self.conversation.id)

    async def new(self, *, is_kept: bool = True) -> None:
        """As `Session.new`; `is_kept` says whether the new one will be saved too."""
        self._titling.close()
        await self._switching.new(is_kept=is_kept)

    async def open(self, conversation_id: str, *, keeps_prompts: bool = False) -> None:
        self._titling.close()
        with self.queue.kept() if keeps_prompts else contextlib.nullcontext():
            await self._switching.open(conversation_id)

    async def delete(self, conversation_id: str) -> None:
        self.contexts.forget(conversation_id)
        if conversation_id == self.conversation.id:
            await self.new()
        await self.store.delete(conversation_id)

    async def show_branch(self, turn_id: str) -> bool:
        return await self._branches.show(turn_id)

    async def remove_turn(self, turn_id: str) -> bool:
        return await self._branches.remove(turn_id)

    async def edit_answer(self, turn_id: str, text: str) -> bool:
        return self._branches.edit_answer(turn_id, text)

    def configure(self, **changes: Any) -> None:
        self.opened.configure(**changes)
        self._titling.stir()

    async def save_now(self) -> None:
        await self.keep_draft()
        await self.store.flush()

    async def settled(self) -> None:
        await self.store.settled()

    async def keep_draft(self) -> None:
        await self._keep((*self.queue.texts, *self.unsent()))

    # Answers ----------------------------------------------------------------------------------------------------------

    @property
    def is_writing(self) -> bool:
        return self._answers.is_writing

    @property
    def can_answer(self) -> bool:
        can_load = self.phase == "no_model" and self.model.displaced is not None
        is_something_coming = self._works.has_next or self._is_answer_next or self.queue.is_load_coming()
        return (self.phase == "ready" or can_load) and not (is_something_coming or self._branches.is_busy)

    def _send(self, prompt: QueuedPrompt) -> None:
        """Put what the user wrote into the conversation and have it answered."""
        if prompt.replaces:
            self.replacing.cut(prompt.replaces)
        was_saved, turn = self.opened.saved_id, self.opened.say(prompt.text, prompt.files)
        if not was_saved:
            self.remember(conversation=self.opened.saved_id)
        self.context.said(turn)
        self._tell(UserSaid(turn=turn))
        self.answer()

    def end_thought(self) -> None:
        self._answers.end_thought()

    def answer(self, *, drop_oldest: bool = False, replaces: str = "", goes_on: bool = False) -> None:
        if replaces:
            self.replacing.cut(replaces)
        is_free = self.can_answer and self.phase == "ready"
        drop_oldest = drop_oldest or goes_on or self.settings.chat.on_overflow == "drop"
        self._begin(self._turns.answer(partial(self._run_answer, drop_oldest, goes_on=goes_on)), is_answer=True)
        if is_free:  # it may have to wait for the rest of a load: that it comes is seen at once
            self._answers.expect()
        self.queue.release()

    async def _run_answer(self, drop_oldest: bool, *, goes_on: bool = False) -> None:
        loaded = self.engine.loaded
        if loaded is None:
            self._answers.expect_none()
            self._refused(ErrorInfo(kind="no_model", detail=""))
            return
        is_agreed = await self._answers.agree(self._elsewhere.agree)
        if not is_agreed or self.engine.loaded is not loaded:  # a death meanwhile is told by itself
            self.queue.hold()
            return
        begun = unfinished_answer(self.conversation) if goes_on else None
        if goes_on and begun is None:  # another window was quicker
            self._answers.expect_none()
            return
        try:
            await self._answers.run(loaded, drop_oldest=drop_oldest, begun=begun)
        except Exception:
            self.queue.hold()
            raise

    def _refused(self, info: ErrorInfo) -> None:
        """An answer that was asked for does not come."""
        self.queue.hold()
        if not (info.kind == "context_overflow" and info.n_drop):
            self.replacing.put_back()
        self._tell(AnswerRefused(info=info))

    def put_back(self) -> None:
        self.replacing.put_back()

    async def take_back(self) -> QueuedPrompt | None:
        return self.queue.take_back()

    async def length_of(self, text: str, *, is_next: bool = True) -> TextLength | None:
        self._titling.stir(is_written=bool(text.strip()))
        self.contexts.busy()  # the engine does one thing at a time, and this is what somebody sees
        length = await self.context.length_of(text)
        if self.phase == "ready":
            self.contexts.typed(text if is_next else "")
        return length

    def interrupt(self) -> None:
        if self.phase in ("answering", "loading"):
            self.queue.hold()
        self.model.waits_when_cancelled = True
        self._interrupt()

    def _interrupt(self, *, again: bool = False) -> None:
        # What waits for its turn does not even begin, also an answer that is expected.
        if self._turns.is_waiting or (not self._answers.interrupt() and self.phase == "loading"):
            self._works.cancel(again=again)

    async def stop(self) -> None:
        """As `interrupt`, and wait until it has stopped: on a busy GPU that may take a moment. What waits for its turn
        is dropped."""
        await self._works.end(self.interrupt)

    # Plumbing ---------------------------------------------------------------------------------------------------------

    def _phase_changed(self, phase: Phase) -> None:
        if phase != "ready":
            self.contexts.busy()
        self._tell(PhaseChanged(phase=phase))
        self.queue.send_next()

    def _begin(self, work: Work, *, is_answer: bool = False) -> None:
        self._titling.close()
        self._works.begin(work, self._interrupt_all, dropped=self._answer_dropped if is_answer else lambda: None)

    def _answer_dropped(self) -> None:
        self._not_begun(ErrorInfo(kind="cancelled", detail=later("something else was begun before it")))

    def _not_begun(self, info: ErrorInfo) -> None:
        self._answers.expect_none()
        self._refused(info)

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
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(patience_s))
        await asyncio.shield(self._closing)

    async def _close(self, patience_s: float | None) -> None:
        self._elsewhere.close()
        self._step_measuring.close()
        self._titling.close()
        await self._close_beside(lambda: (*self.queue.take_all(), *self.unsent()))
        await end_work(self._works, self._interrupt_all, self.contexts.flush, (self.engine, self.planner), patience_s)
        self.state_lost = await self._remembered.flush()
        self.opened.put_back()
        await self.store.close()
