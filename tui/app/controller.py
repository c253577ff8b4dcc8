"""What the app does, without a widget: the engine, the loaded model, the open conversation and its store. It owns that
state; screens ask it to act and hear of every change through `Listener`, on the event loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import msgspec

from tui.app.context_keeper import ContextKeeper, context_files
from tui.app.listener import Deaf, Listener, Phase
from tui.app.state_writer import StateWriter
from tui.app.writing import Writing, keep
from tui.chat.conversation import (
    Conversation,
    Turn,
    new_conversation,
    to_messages,
    truncate_from,
    user_turn,
    with_turn,
)
from tui.chat.store import Store
from tui.config.load import engine_settings, merge_load
from tui.config.settings import LoadDefaults, Settings
from tui.config.state import StateStore
from tui.engine.client import Answer, Engine, EngineError
from tui.engine.death import EngineDied
from tui.engine.messages import Device, Done, Sampling
from tui.engine.plan_client import Planner
from tui.engine.vulkan import engine_environment

FLUSH_S = 0.125
"""Text of an answer comes eight times a second: often enough to look fluent, and each time takes CPU from the model."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A load that was decided on."""

    path: Path
    choice: LoadDefaults
    chosen: bool = True
    """The settings were chosen in the app: they are remembered for this model."""
    load_first: bool = False
    """There is memory for both: the present model stays until the new one is there."""


class Controller:
    """One engine and one open conversation. `listener` must be set before anything is asked."""

    listener: Listener

    def __init__(self, settings: Settings, state: StateStore, store: Store, cli_load: dict[str, object]) -> None:
        self.settings, self.state, self.store = settings, state, store
        self.engine = Engine(env=engine_environment(software=settings.engine.software_vulkan), on_death=self._on_death)
        self.contexts = ContextKeeper(
            self.engine,
            context_files(settings.chat),
            lambda: self.conversation,
            lambda restored: self.listener.context_restored(restored),
        )
        self.planner = Planner(env=engine_environment(software=settings.engine.software_vulkan))
        """Says what loads would take, in a process of its own."""
        self.phase: Phase = "starting"
        self.devices: tuple[Device, ...] = ()
        self.model_path: Path | None = None
        self.model_name = ""
        """How the model is called on the screen and in saved answers."""
        self._loaded_name = ""
        self.choice: LoadDefaults = settings.load
        """What the loaded model was asked to be loaded with, or the next one will be."""
        self.conversation = self._fresh()
        self.n_used = 0
        self.swap_used: Callable[[], int | None] = lambda: None
        """Says how much swap the machine uses now, in bytes; whoever reads the machine sets it."""
        self._cli_load = cli_load
        self._saved = False
        self._answer: Answer | None = None
        self._no_answer = asyncio.Event()
        self._no_answer.set()
        self._writing: Writing | None = None
        """The answer that is being written, also while it is paused."""
        self._move: Move | None = None
        """What is to be loaded before the answer goes on."""
        self._task: asyncio.Task[None] | None = None
        """What was begun last."""
        self._tasks: set[asyncio.Task[None]] = set()
        """What was begun and has not ended: one that runs, and those that wait for its end."""
        self._n_begun = 0
        self._remembered = StateWriter(state, lambda problem: self.listener.problem(problem))

    # Engine and model -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the engine process; nothing is loaded yet."""
        self.contexts.start()
        await self._guard(self._start())

    async def _start(self) -> None:
        hello = await self.engine.start()
        self.devices = hello.devices
        if self.phase == "starting":  # a model that was chosen meanwhile may be loading already
            self._set_phase("no_model")

    def choice_for(self, path: Path, n_ctx_train: int = 0) -> LoadDefaults:
        """The settings that this model would be loaded with: defaults, what is remembered of it, the command line. A
        default context that is larger than the model was trained for is cut to that."""
        remembered: dict[str, object] = {"n_ctx": min(self.settings.load.n_ctx, n_ctx_train)} if n_ctx_train else {}
        remembered |= self.state.load_of(path)
        choice, problems = merge_load(self.settings.load, remembered, self._cli_load, state_file=self.state.file)
        for problem in problems:
            self.listener.problem(problem)
        return choice

    def chosen_for(self, path: Path) -> frozenset[str]:
        """Fields of `choice_for` that somebody chose: on the command line, in the app before, or in the settings."""
        built_in, own = LoadDefaults(), self.settings.load
        in_settings = {name for name in own.__struct_fields__ if getattr(own, name) != getattr(built_in, name)}
        given = {name for name, value in self._cli_load.items() if value is not None}
        return frozenset({*in_settings, *self.state.load_of(path), *given})

    def load(self, move: Move, name: str = "", *, then_answer: bool = False) -> None:
        """Load a model in place of the present one. The outcome comes to the listener. An answer of the same model
        waits meanwhile and goes on then; whatever else runs is stopped. With `then_answer`, the conversation, whose
        last turn is the user's, is answered once it is loaded."""
        self.model_name = name or move.path.stem
        if then_answer:
            self._begin(self._load_and_answer(move))
        elif self._writing is not None and move.path == self.model_path:
            self._move = move
            if self._answer is not None:
                self._answer.cancel()
        else:
            self._begin(self._load(move))

    async def _load_and_answer(self, move: Move) -> None:
        conversation_id = self.conversation.id
        await self._load(move)
        if self.phase == "ready" and self.conversation.id == conversation_id:
            await self._run_answer(self.settings.chat.on_overflow == "drop")

    async def _load(self, move: Move) -> None:
        before = self.model_path, self.choice, self._loaded_name
        path, choice = self.model_path, self.choice = move.path, move.choice
        if not self.engine.alive or self.engine.hello is None:
            self._set_phase("starting")
            await self._start()
        self._set_phase("loading")
        settings, problem = engine_settings(choice, self.devices)
        if problem is not None:
            self.listener.problem(problem)
        # The same file again, on another device or with another context: what was read of the conversation goes along.
        same = self.engine.loaded is not None and self.engine.loaded.path == str(path)
        try:
            loaded = await self.engine.load(
                path, settings, self.listener.load_progressed, keep_context=same, load_first=move.load_first
            )
        except EngineError as error:
            if self.engine.loaded is not None:
                self.model_path, self.choice, self.model_name = before
            self._set_idle_phase()
            if error.info.kind != "cancelled":
                self.listener.load_failed(path, error.info)
            return
        except asyncio.CancelledError:
            if self.engine.loaded is not None:
                self.model_path, self.choice, self.model_name = before
            self._set_idle_phase()
            raise
        self._loaded_name = self.model_name
        self._set_idle_phase()
        self.listener.model_loaded(loaded)
        if self._writing is None:
            self.contexts.loaded(loaded, self.conversation.id)
            await self.measure_context()
        if move.chosen:
            await self._remembered.remember_load(path, choice)
        else:
            self.remember(last_model=str(path))

    def restart(self, **changes: Any) -> None:
        """A new engine process with the same model, its load settings changed by `changes`."""
        self._begin(self._restart(changes))

    async def _restart(self, changes: dict[str, Any]) -> None:
        self._set_phase("starting")
        await self.contexts.flush()
        await self.engine.close()
        await self._start()
        if self.model_path is not None:
            choice = msgspec.structs.replace(self.choice, **changes)
            await self._load(Move(path=self.model_path, choice=choice, chosen=bool(changes)))

    async def unload(self) -> None:
        """Free the model; the conversation stays."""
        await self.stop()
        self.contexts.save()
        if self.engine.loaded is not None:
            await self._guard(self.engine.unload())
            if self.phase == "ready":
                self._set_phase("no_model")

    # Conversation -----------------------------------------------------------------------------------------------------

    def _fresh(self) -> Conversation:
        chat = self.settings.chat
        return new_conversation(system_prompt=chat.system_prompt, thinking=chat.thinking)

    async def new(self) -> None:
        """Leave the conversation, which is saved, for an empty one. A load goes on."""
        await self._stop_answer()
        self._show(self._fresh(), saved=False)

    async def open(self, conversation_id: str) -> None:
        """Show a saved conversation; a load goes on. Raises `StoreError` when it cannot be read."""
        await self._stop_answer()
        self._show(await self.store.open(conversation_id), saved=True)
        self.contexts.opened(conversation_id)
        await self.measure_context()

    def _show(self, conversation: Conversation, *, saved: bool) -> None:
        self.contexts.save()
        self.conversation, self._saved, self.n_used = conversation, saved, 0
        self.remember(conversation=self.conversation.id if self._saved else "")
        self.listener.conversation_opened(conversation)
        if self.engine.loaded is not None:
            self.listener.context_used(0, self.engine.loaded.n_ctx)

    def remember(self, **changes: Any) -> None:
        """Keep fields of `State` for the next run, without waiting for the disk."""
        self._remembered.update(**changes)

    def configure(self, **changes: Any) -> None:
        """Change title, system prompt, thinking or sampling of the open conversation."""
        self.conversation = msgspec.structs.replace(self.conversation, **changes)
        if self._saved:
            keep(self.store.configure(self.conversation))
            if "title" in changes:
                keep(self.store.rename(self.conversation.id, self.conversation.title))

    @property
    def sampling(self) -> Sampling:
        """What the next answer is chosen with: the conversation's own values, else the settings'."""
        return self.conversation.sampling or self.settings.sampling.engine_sampling(thinking=self.conversation.thinking)

    @property
    def max_tokens(self) -> int:
        """Tokens of the next answer at most, 0 for no limit: the conversation's own, else the settings'."""
        own = self.conversation.max_tokens
        return self.settings.sampling.max_tokens if own is None else own

    async def measure_context(self) -> None:
        """Tell the listener how much of the context the open conversation takes."""
        loaded = self.engine.loaded
        if loaded is None or self.phase != "ready":
            return
        messages = to_messages(self.conversation)
        n_used = 0
        if messages:
            # A template that cannot render this says so when it is sent, and a death is told by `_on_death`.
            with contextlib.suppress(EngineError, EngineDied):
                n_used = await self.engine.count(messages, thinking=self.conversation.thinking)
        self.n_used = n_used
        self.listener.context_used(n_used, loaded.n_ctx)

    # Answers ----------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Send what the user wrote; the answer comes to the listener. Only in phase "ready"."""
        turn = user_turn(text)
        self.conversation = with_turn(self.conversation, turn)
        if self._saved:
            keep(self.store.append_turn(self.conversation.id, turn))
        else:
            self._saved = True
            keep(self.store.create(self.conversation))
            self.remember(conversation=self.conversation.id if self._saved else "")
        self.listener.user_said(turn)
        self.answer()

    def answer(self, *, drop_oldest: bool = False) -> None:
        """Answer the conversation as it stands, its last turn being the user's."""
        self._begin(self._run_answer(drop_oldest or self.settings.chat.on_overflow == "drop"))

    def rewind(self, turn_id: str) -> Turn | None:
        """Take a turn and all after it out of the conversation (the store keeps them as superseded) and give it."""
        if turn_id not in {turn.id for turn in self.conversation.turns}:
            return None
        self.conversation, cut = truncate_from(self.conversation, turn_id)
        keep(self.store.supersede(self.conversation.id, turn_id))
        self.listener.turns_removed(turn_id)
        return cut[0]

    async def _run_answer(self, drop_oldest: bool) -> None:
        loaded = self.engine.loaded
        if loaded is None:
            return
        self._set_phase("answering")
        if self.conversation.model_path != loaded.path:
            self.configure(model_path=loaded.path)
        self._writing = writing = Writing(self, loaded)
        self._no_answer.clear()
        try:
            await self._write(writing, drop_oldest)
            while writing.is_paused and await self._carry_on(writing):
                await self._write(writing, drop_oldest)
        except EngineError as error:
            writing.break_off(error.info.detail)
            self._set_phase("ready")
            self.listener.answer_refused(error.info)
        except (EngineDied, asyncio.CancelledError) as error:
            self._move = None
            if writing.is_paused and isinstance(error, asyncio.CancelledError):
                writing.stop()
                self._set_idle_phase()
            else:
                writing.break_off(str(error) or "llmtui was closed")
            raise
        else:
            self._set_idle_phase()
        finally:
            self._answer = self._writing = None
            self._no_answer.set()
            self.contexts.ended()
        if (move := self._move) is not None:  # asked for just before the answer ended by itself
            self._move = None
            await self._load(move)

    async def _write(self, writing: Writing, drop_oldest: bool) -> None:
        """One part of an answer: all of it, or up to a pause, or what comes behind one."""
        conversation, before = self.conversation, writing.n_decode
        self.contexts.began(conversation.id)
        self._answer = self.engine.generate(
            () if writing.has_begun else to_messages(conversation),
            self.sampling,
            thinking=conversation.thinking,
            max_tokens=self.max_tokens and max(1, self.max_tokens - before),
            drop_oldest=drop_oldest,
            flush_s=FLUSH_S,
            resume=writing.has_begun,
        )
        async for event in self._answer:
            if isinstance(event, Done) and event.stop == "cancelled" and self._move and writing.may_pause:
                writing.pause(event)
            else:
                writing.take(event)
        self._answer = None

    async def _carry_on(self, writing: Writing) -> bool:
        """Load what is to be loaded in the middle of an answer; whether the answer can go on."""
        while (move := self._move) is not None:
            self._move = None
            await self._load(move)
        if self.engine.loaded is None:
            writing.stop()
        if writing.is_paused and self.engine.loaded is not None:
            self._set_phase("answering")
            writing.go_on(self.engine.loaded)
            return True
        return False

    def interrupt(self) -> None:
        """Ask an answer or a load to stop; what there is of an answer stays. Returns at once."""
        if self._answer is not None:
            self._move = None
            self._answer.cancel()
        elif self.phase == "loading" and self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """As `interrupt`, and wait until it has stopped: on a busy GPU that may take a moment. What waits for its turn
        is dropped."""
        self._n_begun += 1
        self.interrupt()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _stop_answer(self) -> None:
        """Stop an answer, and wait for its end; a load goes on."""
        if self._writing is not None and self._answer is not None:
            self._writing.may_pause = False
            self._answer.cancel()
        elif self._writing is not None and self._writing.is_paused:
            self._writing.stop()
            self._no_answer.set()
        await self._no_answer.wait()

    # Plumbing ---------------------------------------------------------------------------------------------------------

    def _set_phase(self, phase: Phase) -> None:
        if phase != self.phase:
            self.phase = phase
            if phase != "ready":
                self.contexts.busy()
            self.listener.phase_changed(phase)

    def _set_idle_phase(self) -> None:
        """Nothing runs any more, unless an answer waits for the end of a load."""
        if self.engine.alive and not (self._writing is not None and self._writing.is_paused):
            self._set_phase("no_model" if self.engine.loaded is None else "ready")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run one thing at a time: what runs now is stopped first, and of what waits only the newest is done."""
        before = set(self._tasks)
        self._n_begun += 1
        number = self._n_begun

        async def run() -> None:
            try:
                if before:
                    await asyncio.wait(before)
                if number == self._n_begun:
                    await self._guard(work)
            finally:
                work.close()

        self._interrupt_all()
        self._task = asyncio.create_task(run())
        self._tasks.add(self._task)
        self._task.add_done_callback(self._tasks.discard)

    def _interrupt_all(self) -> None:
        """As `interrupt`, the start of a process included, which another start or the end of the app must follow."""
        if self.phase == "starting" and self._task is not None:
            self._task.cancel()
        else:
            self.interrupt()

    async def _guard(self, work: Coroutine[Any, Any, Any]) -> None:
        """Await `work`; the engine's death is told by `_on_death`, except when it could not even start."""
        try:
            await work
        except EngineDied as died:
            if died.death.cause == "not_started" or self.phase == "starting":
                self._on_death(died)

    def _on_death(self, died: EngineDied) -> None:
        if self.phase == "dead":
            return
        self.contexts.lost()
        self._set_phase("dead")
        self.listener.engine_died(died.death)

    async def close(self) -> None:
        """Stop everything and write what waits. Nobody listens any more: the screens are going, or gone."""
        self.listener = cast(Listener, Deaf())
        self._interrupt_all()
        await self.stop()
        await self.contexts.flush()
        await asyncio.gather(self.engine.close(), self.planner.close())
        await self._remembered.flush()
        await self.store.close()
