"""An answer while it is written: what the engine tells goes into its turn of the conversation, the store and the
listener."""

from __future__ import annotations

import functools
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from tui.chat.conversation import Turn, TurnStop, answer_turn, finished, to_messages, up_to_the_prompt
from tui.engines.interface import AnswerStream
from tui.machine.cpus import n_usable_cpus
from tui.machine.pressure import swap_growth
from tui.protocol.messages import Delta, DeltaKind, Done, Event, Generate, Loaded, Prefill, Recast, Started
from tui.protocol.records import Timings
from tui.session.answer_settings import answer_settings
from tui.session.events import (
    AnswerBegan,
    AnswerEnded,
    AnswerGrew,
    AnswerPaused,
    AnswerRecast,
    ContextUsed,
    ModelReloaded,
    PromptAdvanced,
)
from tui.session.loads import LoadRequest, Reload, backend_label
from tui.session.open_conversation import OpenConversation

if TYPE_CHECKING:
    from tui.session.controller import Controller

FLUSH_S, CROWDED_FLUSH_S = 0.125, 0.2
"""Text of an answer comes eight times a second: often enough to look fluent, and each time takes CPU from the model.
Five times where the model computes on every CPU that it may use: its threads wait for the one that is interrupted."""


class Writing:
    """One answer. `take` its events, or `break_off`; `pause` it for a load of its model, then `go_on` or `stop`."""

    def __init__(self, controller: Controller, conversation: OpenConversation, loaded: Loaded) -> None:
        self._controller, self._conversation, self._loaded = controller, conversation, loaded
        self._turn: Turn | None = None
        self._text: dict[DeltaKind, str] = {"thinking": "", "answer": ""}
        self._parts: list[tuple[str, Timings]] = []
        """What was written before each pause, and on which backend."""
        self._reload: tuple[LoadRequest, str] | None = None
        """The load that ended the last pause, and the backend before it, until the next token is there."""
        self._has_begun = False
        """The engine has something to go on with."""
        self.is_paused = False
        self.may_pause = True
        """False once it is to end, whatever is loaded."""
        self.is_over = False
        self._is_loop = self._is_thought_cut = False
        self._swap_before = controller.monitoring.swap_used()

    def ask(self, drop_oldest: bool) -> AnswerStream:
        """Have the engine begin, or go on after a pause."""
        conversation, how = self._conversation.now, answer_settings(self._controller)
        n_decode = sum(timings.n_decode for _, timings in self._parts)
        n_thinking = sum(timings.n_thinking for _, timings in self._parts)
        command = Generate(
            messages=() if self._has_begun else tuple(to_messages(up_to_the_prompt(conversation))),
            sampling=how.sampling,
            thinking=how.thinking,
            effort=how.effort,
            thinking_budget=how.thinking_budget and max(1, how.thinking_budget - n_thinking),
            max_tokens=how.max_tokens and max(1, how.max_tokens - n_decode),
            drop_oldest=drop_oldest,
            flush_s=CROWDED_FLUSH_S if self._is_crowded() else FLUSH_S,
            resume=self._has_begun,
        )
        return self._controller.engine.generate(command)

    def _is_crowded(self) -> bool:
        loaded = self._loaded
        is_all_on_gpu = loaded.llama.n_gpu_layers >= loaded.llama.n_layers and not loaded.llama.n_cpu_moe
        return not is_all_on_gpu and loaded.llama.n_threads >= n_usable_cpus()

    def take(self, event: Event) -> None:
        """One event of the engine."""
        controller = self._controller
        if isinstance(event, Delta) and self._turn:
            self._text[event.kind] += event.text
            self._conversation.settle()
            controller.n_used = event.n_used
            self._arrive()
            controller.store.update_stream(self._turn.id, self._text["answer"], self._text["thinking"])
            controller.tell(AnswerGrew(turn_id=self._turn.id, delta=event))
        elif isinstance(event, Recast) and self._turn:
            self._text = {"thinking": self._text["thinking"] + self._text["answer"], "answer": ""}
            controller.store.update_stream(self._turn.id, self._text["answer"], self._text["thinking"])
            controller.tell(AnswerRecast(turn_id=self._turn.id))
        elif isinstance(event, Prefill) and self._turn:
            controller.tell(PromptAdvanced(turn_id=self._turn.id, progress=event))
        elif isinstance(event, Started) and self._turn:
            controller.tell(ContextUsed(n_used=event.n_cached, n_ctx=event.n_ctx))
        elif isinstance(event, Started):
            self._turn = answer_turn(controller.model_name, (backend_label(self._loaded),))
            self._conversation.begin_answer(self._turn)
            controller.tell(AnswerBegan(turn=self._turn, started=event))
        elif isinstance(event, Done) and self._turn:
            controller.n_used = event.n_used
            self._add_part(event.timings)
            self._is_loop = event.is_loop
            self._is_thought_cut |= event.thinking_cut
            if event.stop != "cancelled":
                self._arrive()
                self._conversation.settle()
            self._finish(event.stop)
            controller.tell(ContextUsed(n_used=event.n_used, n_ctx=event.n_ctx))
        elif isinstance(event, Done):  # cancelled before the engine had looked at the prompt
            self._finish(event.stop)

    def pause(self, done: Done) -> None:
        """The engine stopped because the model is to be loaded again."""
        self._has_begun, self.is_paused, self._reload = True, True, None
        if self._turn:  # else it had not even looked at the prompt
            self._add_part(done.timings)
            self._is_thought_cut |= done.thinking_cut
            self._controller.n_used = done.n_used
            self._controller.tell(AnswerPaused(turn_id=self._turn.id))

    def go_on(self, loaded: Loaded, request: LoadRequest) -> None:
        """The model is there again, changed or as it was; the rest of the answer comes from it."""
        if loaded is not self._loaded:
            self._reload = request, backend_label(self._loaded)
        self._loaded, self.is_paused = loaded, False

    def stop(self) -> None:
        """A paused answer does not go on."""
        self._finish("cancelled")

    def break_off(self, why: str, *, is_refused: bool = False) -> None:
        """The answer ends here, not by itself. When it `is_refused`, whoever hears of that puts back what it was to
        replace."""
        if self._parts and not self.is_paused:
            self._add_part(Timings())  # it went on, and nobody told how fast
        self._finish("crashed", why, is_refused=is_refused)

    def _add_part(self, timings: Timings) -> None:
        self._parts.append((backend_label(self._loaded), timings))
        self._controller.prefill_speeds.note(self._loaded, timings)

    def _arrive(self) -> None:
        """The first token after a pause is there."""
        if self._reload is not None and self._turn is not None:
            (request, source), self._reload = self._reload, None
            tps = self._controller.prefill_speeds.of(self._loaded)
            reload = Reload.of(request, source, self._loaded, tps)
            self._controller.tell(ModelReloaded(reload=reload, turn_id=self._turn.id))

    def _by_backend(self) -> list[tuple[str, Timings]]:
        """The backends in the order in which they were used, two parts on the same one being one."""
        return [
            (label, functools.reduce(Timings.plus, (timings for _, timings in parts)))
            for label, parts in groupby(self._parts, itemgetter(0))
        ]

    def _finish(self, stop: TurnStop, error: str | None = None, *, is_refused: bool = False) -> None:
        self.is_paused = self.may_pause = False
        self.is_over = True
        if self._turn is not None:
            self._end(self._turn, stop, error)
        if not is_refused:
            self._controller.replacing.put_back()

    def _end(self, begun: Turn, stop: TurnStop, error: str | None) -> None:
        used = self._by_backend()
        turn = finished(
            begun,
            text=self._text["answer"],
            reasoning=self._text["thinking"].rstrip(),
            stop=stop,
            timings=functools.reduce(Timings.plus, (timings for _, timings in used)) if used else None,
            speeds=tuple(timings.decode_tps for _, timings in used) if len(used) > 1 else (),
            error=error,
            is_loop=self._is_loop,
            is_thought_cut=self._is_thought_cut,
        )
        self._turn = None
        controller = self._controller
        turn = msgspec.structs.replace(
            turn,
            backend=tuple(label for label, _ in used) or turn.backend,
            swapped_bytes=swap_growth(self._swap_before, controller.monitoring.swap_used()),
        )
        self._conversation.end_answer(turn)
        controller.tell(AnswerEnded(turn=turn))
