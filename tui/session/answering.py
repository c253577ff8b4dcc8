"""Answering the open conversation: asking the engine, following what it tells, a load of its model in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from tui.chat.conversation import Conversation, MadeWith, Turn, to_messages, up_to_the_prompt
from tui.config.settings import Settings
from tui.engines.interface import AnswerStream, Engine, EngineError
from tui.machine.cpus import n_usable_cpus
from tui.protocol.death import EngineDied, death_sentence
from tui.protocol.messages import Done, Generate, Loaded
from tui.protocol.records import ErrorInfo, Message, is_same_process
from tui.session.answer_settings import answer_settings
from tui.session.context_keeper import ContextKeeper
from tui.session.engine_phase import EnginePhase
from tui.session.loads import LoadRequest
from tui.session.model_loading import ModelLoading
from tui.session.open_conversation import OpenConversation
from tui.session.writing import Writing
from tui.words import tr

FLUSH_S, CROWDED_FLUSH_S = 0.125, 0.2
"""Text of an answer comes eight times a second: often enough to look fluent, and each time takes CPU from the model.
Five times where the model computes on every CPU that it may use: its threads wait for the one that is interrupted."""


class Answering:
    """At most one answer at a time. While it is written, a load of its model can come in between: it pauses then, and
    goes on with what is loaded after that."""

    def __init__(
        self,
        engine: Engine,
        phase: EnginePhase,
        model: ModelLoading,
        opened: OpenConversation,
        contexts: ContextKeeper,
        settings: Settings,
        *,
        step_costs: Callable[[], tuple[float, ...]],
        write: Callable[[Loaded, str], Writing],
        on_refused: Callable[[ErrorInfo], None],
        on_over: Callable[[], None],
    ) -> None:
        """`step_costs` gives what decoding several tokens at once costs, as far as it is known. `write` begins to take
        an answer of what is loaded, which is called by this name. `on_refused` is called when the engine refuses to
        answer: then nothing was put back of what the answer was to replace. `on_over` is called when an answer is over,
        whatever became of it."""
        self._engine, self._phase, self._model, self._opened, self._contexts = engine, phase, model, opened, contexts
        self._settings, self._write, self._on_refused, self._on_over = settings, write, on_refused, on_over
        self._step_costs = step_costs
        self._writing: Writing | None = None
        """The answer that is being written, also while it is paused."""
        self._stream: AnswerStream | None = None
        self._is_agreeing = self._is_unwanted = False
        """Whether an answer is to come that may not be written yet, and whether it was stopped meanwhile."""
        self._next_load: LoadRequest | None = None
        """What is to be loaded before the answer goes on."""
        self._is_over = asyncio.Event()
        self._is_over.set()

    @property
    def is_writing(self) -> bool:
        """An answer is being written, or waits while its model is loaded again."""
        return self._writing is not None and not self._writing.is_over

    @property
    def is_paused(self) -> bool:
        """An answer waits while its model is loaded again."""
        return self._writing is not None and self._writing.is_paused

    def expect(self) -> None:
        """An answer will be asked for as soon as what runs lets it; it can be stopped from here on."""
        self._is_agreeing, self._is_unwanted = True, False
        self._phase.set("answering")

    def expect_none(self) -> None:
        """What was expected does not come."""
        self._is_agreeing = False
        if self._phase.now == "answering":
            self._phase.set_idle()

    async def agree(self, agree: Callable[[], Awaitable[bool]]) -> bool:
        """Whether an answer may be written; it can be stopped from here on, or since it was expected."""
        self._is_unwanted = self._is_agreeing and self._is_unwanted
        self._is_agreeing, is_agreed = True, False
        self._phase.set("answering")
        try:
            is_agreed = await agree()
        finally:
            if is_agreed:
                self._is_agreeing = False
            else:
                self.expect_none()
        return is_agreed

    async def run(self, loaded: Loaded, *, drop_oldest: bool, begun: Turn | None = None) -> None:
        """Answer with what is `loaded`, after `agree`; or go on with the last answer, which was `begun`. Raises
        `EngineDied` when the engine dies meanwhile."""
        if self._opened.now.model_path != loaded.path:
            self._opened.configure(model_path=loaded.path)
        self._writing = writing = self._write(loaded, self._model.name)
        writing.begun = begun
        self._is_over.clear()
        try:
            await self._follow(writing, drop_oldest)
            while writing.is_paused and await self._load_again(writing):
                await self._follow(writing, drop_oldest)
        except EngineError as error:
            writing.break_off(error.info.text, is_refused=True)
            self._is_ready_again()
            self._on_refused(error.info)
        except asyncio.CancelledError:
            if writing.is_paused:
                writing.stop()
                self._phase.set_idle()
            else:
                writing.break_off(tr("llmtui was closed"))
            raise
        except Exception as error:
            writing.break_off(death_sentence(error.death) if isinstance(error, EngineDied) else str(error))
            raise
        else:
            self._is_ready_again()
        finally:
            request, self._next_load = self._next_load, None
            self._stream = self._writing = None
            self._is_over.set()
            self._contexts.ended()
            self._on_over()
        if request is not None:  # asked for just before the answer ended by itself
            await self._model.load(request)

    def _is_ready_again(self) -> None:
        """The answer is over. Where a load comes next, nothing can be asked for in between."""
        if self._next_load is None:
            self._phase.set_idle()

    async def _follow(self, writing: Writing, drop_oldest: bool) -> None:
        """One part of an answer: all of it, or up to a pause, or what comes behind one."""
        self._contexts.began(self._opened.now.id)
        self._stream = self._engine.generate(self._command(writing, drop_oldest))
        if self._is_unwanted:
            self._is_unwanted = False
            self._stream.cancel()
        try:
            async for event in self._stream:
                if isinstance(event, Done) and event.stop == "cancelled" and self._next_load and writing.may_pause:
                    writing.pause(event)
                else:
                    writing.take(event)
        finally:
            self._stream.cancel()  # where it ended by itself, nothing is left to cancel
            self._stream = None

    def _command(self, writing: Writing, drop_oldest: bool) -> Generate:
        conversation, goes_on = self._opened.now, writing.has_begun
        how = answer_settings(conversation, self._settings, self._engine.loaded, self._model.info)
        begun = None if goes_on else writing.begun
        writing.made_with = writing.made_with or MadeWith(
            sampling=how.sampling,
            thinking=how.thinking,
            effort=how.effort,
            thinking_budget=how.thinking_budget,
            max_tokens=how.max_tokens,
        )
        return Generate(
            messages=() if goes_on else _messages(conversation, begun),
            sampling=how.sampling,
            thinking=how.thinking,
            effort=how.effort,
            answer_format=None if writing.begun else how.answer_format,  # what there is may not keep to it
            n_alternatives=self._settings.chat.alternatives,
            thinking_budget=how.thinking_budget and max(1, how.thinking_budget - writing.n_thinking),
            max_tokens=how.max_tokens and max(1, how.max_tokens - writing.n_decode),
            goes_on=begun is not None,
            drop_oldest=drop_oldest,
            flush_s=CROWDED_FLUSH_S if _is_crowded(writing.loaded) else FLUSH_S,
            contexts=self._contexts.folder,
            step_costs=self._step_costs(),
            resume=goes_on,
        )

    async def _load_again(self, writing: Writing) -> bool:
        """Load what is to be loaded in the middle of an answer; whether the answer can go on."""
        first = self._next_load
        while (request := self._next_load) is not None:
            self._next_load = None
            await self._model.load(request)
        if writing.is_paused and self._engine.loaded is not None and first is not None:
            self._phase.set("answering")
            writing.go_on(self._engine.loaded, first)
            return True
        if writing.is_paused:
            writing.stop()
        return False

    def pause_for(self, request: LoadRequest) -> bool:
        """Load this in the middle of the answer that is being written; False when there is none, or it cannot wait for
        such a load."""
        writing = self._writing
        if writing is None or not writing.may_pause or request.path != self._model.path:
            return False
        if not self._engine.capabilities.switches_devices or not is_same_process(request.choice, self._model.choice):
            return False
        self._next_load = request
        if self._stream is not None:
            self._stream.cancel(insist=False)
        return True

    def end_thought(self) -> bool:
        """Have the thought of the answer that is being written end, so that the answer comes; False when there is no
        such answer."""
        if self._stream is None:
            return False
        self._stream.end_thought()
        return True

    def interrupt(self) -> bool:
        """Have the answer end; False when the engine makes none, or one that waits for a load."""
        if self._writing is not None:
            self._next_load, self._writing.may_pause = None, False
        if self._is_agreeing:
            self._is_unwanted = True
        elif self._stream is None:
            return False
        else:
            self._stream.cancel()
        return True

    async def stop(self) -> None:
        """Have the answer end, and wait for that; a load goes on."""
        if self._writing is not None and self._stream is not None:
            self._writing.may_pause = False
            self._stream.cancel()
        elif self._writing is not None and self._writing.is_paused:
            self._writing.stop()
            self._is_over.set()
        await self._is_over.wait()


def _messages(conversation: Conversation, begun: Turn | None) -> tuple[Message, ...]:
    """What is to be answered; with the answer that was `begun` and stands behind it."""
    if begun is None:
        return to_messages(up_to_the_prompt(conversation))
    before = msgspec.structs.replace(conversation, turns=conversation.turns[:-1])
    answer = Message(role="assistant", content=begun.text, reasoning=begun.reasoning or None)
    return (*to_messages(before), answer)


def _is_crowded(loaded: Loaded) -> bool:
    """Whether decoding takes every CPU that there is."""
    llama = loaded.llama
    is_all_on_gpu = llama.n_gpu_layers >= llama.n_layers and not llama.n_cpu_moe
    return not is_all_on_gpu and llama.n_threads >= n_usable_cpus()
