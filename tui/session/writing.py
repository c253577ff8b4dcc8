"""An answer while it is written: what the engine tells of it goes into the conversation and the store, and is told as
events."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter

import msgspec

from tui.base import format
from tui.chat.conversation import MadeWith, Turn, TurnStop, answer_turn, finished, taken_up
from tui.chat.store import Store
from tui.machine.pressure import swap_growth
from tui.protocol.messages import Delta, DeltaKind, Done, Event, Loaded, Odds, Prefill, Recast, Started
from tui.protocol.records import Timings
from tui.session.context_meter import ContextMeter
from tui.session.events import (
    AnswerBegan,
    AnswerEnded,
    AnswerGrew,
    AnswerPaused,
    AnswerRecast,
    AnySessionEvent,
    ContextUsed,
    DraftModelLeftOut,
    ModelReloaded,
    OddsTold,
    PromptAdvanced,
)
from tui.session.loads import LoadRequest, Reload
from tui.session.open_conversation import OpenConversation
from tui.session.pace import Pace
from tui.session.replacing import Replacing
from tui.session.speed import PrefillSpeeds


class Writing:
    """One answer. `take` its events, or `break_off`; `pause` it for a load of its model, then `go_on` or `stop`."""

    def __init__(
        self,
        loaded: Loaded,
        model_name: str,
        *,
        opened: OpenConversation,
        store: Store,
        replacing: Replacing,
        meter: ContextMeter,
        prefill_speeds: PrefillSpeeds,
        swap_used: Callable[[], int | None],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`swap_used` says how much swap the machine uses now, in bytes; None where that is not known."""
        self.loaded = loaded
        """What the answer comes from, now."""
        self._model_name, self._opened, self._store, self._replacing = model_name, opened, store, replacing
        self._meter, self._prefill_speeds, self._swap_used, self._tell = meter, prefill_speeds, swap_used, tell
        self._turn: Turn | None = None
        self.begun: Turn | None = None
        """The answer that ended before it was complete, and goes on."""
        self.made_with: MadeWith | None = None
        """What it was asked for with."""
        self._pace = Pace()
        self._text: dict[DeltaKind, str] = {"thinking": "", "answer": ""}
        self._parts: list[tuple[str, Timings]] = []
        """What was written before each pause, and on which backend."""
        self._reload: tuple[LoadRequest, str] | None = None
        """The load that ended the last pause, and the backend before it, until the next token is there."""
        self.has_begun = False
        """The engine has something to go on with."""
        self.is_paused = False
        self.may_pause = True
        """False once it is to end, whatever is loaded."""
        self.is_over = False
        self._is_loop = self._is_thought_cut = self._is_incomplete = False
        self._swap_before = swap_used()

    @property
    def n_decode(self) -> int:
        """Tokens that were written before the last pause, thinking included."""
        return sum(timings.n_decode for _, timings in self._parts)

    @property
    def n_thinking(self) -> int:
        """Tokens that were thought before the last pause."""
        return sum(timings.n_thinking for _, timings in self._parts)

    def take(self, event: Event) -> None:
        """One event of the engine."""
        if isinstance(event, Delta) and self._turn:
            self._pace.note(event.n_decode)
            self._text[event.kind] += event.text
            self._opened.settle()
            self._meter.n_used = event.n_used
            self._arrive()
            self._store.update_stream(self._turn.id, self._text["answer"], self._text["thinking"])
            self._tell(AnswerGrew(turn_id=self._turn.id, delta=event))
        elif isinstance(event, Odds) and self._turn:
            self._tell(OddsTold(turn_id=self._turn.id, tokens=event.tokens))
        elif isinstance(event, Recast) and self._turn:
            self._text = {"thinking": self._text["thinking"] + self._text["answer"], "answer": ""}
            self._store.update_stream(self._turn.id, self._text["answer"], self._text["thinking"])
            self._tell(AnswerRecast(turn_id=self._turn.id))
        elif isinstance(event, Prefill) and self._turn:
            self._tell(PromptAdvanced(turn_id=self._turn.id, progress=event))
        elif isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Done) and self._turn:
            self._meter.n_used = event.n_used
            self._add_part(event.timings)
            self._is_loop, self._is_incomplete = event.is_loop, event.is_incomplete
            self._is_thought_cut |= event.thinking_cut
            if event.stop != "cancelled":
                self._arrive()
                self._opened.settle()
            self._finish(event.stop)
            self._tell(ContextUsed(n_used=event.n_used, n_ctx=event.n_ctx, **self._meter.parts))
            if event.draft_failed:
                self._tell(DraftModelLeftOut())
        elif isinstance(event, Done):  # cancelled before the engine had looked at the prompt
            self._finish(event.stop)

    def _start(self, started: Started) -> None:
        """The engine knows its prompt: of a new answer, of one that goes on, or again after a pause."""
        if self._turn is not None:
            self._tell(ContextUsed(n_used=started.n_cached, n_ctx=started.n_ctx, **self._meter.parts))
            return
        if self.made_with is not None:
            sampling = msgspec.structs.replace(self.made_with.sampling, seed=started.seed)
            self.made_with = msgspec.structs.replace(self.made_with, sampling=sampling, n_ctx=started.n_ctx)
        if self.begun is not None:
            self._turn = taken_up(self.begun, self._model_name)
            self._text = {"thinking": self.begun.reasoning, "answer": self.begun.text}
            self._opened.take_up_answer(self._turn)
        else:
            self._turn = answer_turn(self._model_name, (format.backend(self.loaded.llama.devices),))
            self._opened.begin_answer(self._turn)
        self._tell(AnswerBegan(turn=self._turn, started=started, goes_on=self.begun is not None))

    def pause(self, done: Done) -> None:
        """The engine stopped because the model is to be loaded again."""
        self.has_begun, self.is_paused, self._reload = True, True, None
        if self._turn:  # else it had not even looked at the prompt
            self._add_part(done.timings)
            self._is_thought_cut |= done.thinking_cut
            self._meter.n_used = done.n_used
            self._tell(AnswerPaused(turn_id=self._turn.id))

    def go_on(self, loaded: Loaded, request: LoadRequest) -> None:
        """The model is there again, changed or as it was; the rest of the answer comes from it."""
        if loaded is not self.loaded:
            self._reload = request, format.backend(self.loaded.llama.devices)
        self.loaded, self.is_paused = loaded, False

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
        self._parts.append((format.backend(self.loaded.llama.devices), timings))
        self._prefill_speeds.note(self.loaded, timings)

    def _arrive(self) -> None:
        """The first token after a pause is there."""
        if self._reload is not None and self._turn is not None:
            (request, source), self._reload = self._reload, None
            reload = Reload.of(request, source, self.loaded, self._prefill_speeds.of(self.loaded))
            self._tell(ModelReloaded(reload=reload, turn_id=self._turn.id))

    def _by_backend(self) -> list[tuple[str, Timings]]:
        """The backends in the order in which they were used, two parts on the same one being one."""
        before = self.begun
        parts = [(before.backend[-1], before.timings)] if before and before.backend and before.timings else []
        return [
            (label, functools.reduce(Timings.plus, (timings for _, timings in parts)))
            for label, parts in groupby([*parts, *self._parts], itemgetter(0))
        ]

    def _finish(self, stop: TurnStop, error: str | None = None, *, is_refused: bool = False) -> None:
        self.is_paused = self.may_pause = False
        self.is_over = True
        if self._turn is not None:
            self._end(self._turn, stop, error)
        if not is_refused:
            self._replacing.put_back()

    def _end(self, begun: Turn, stop: TurnStop, error: str | None) -> None:
        before = self.begun
        if before is not None and (self._text["answer"], self._text["thinking"]) == (before.text, before.reasoning):
            stop, error = before.stop or stop, before.error  # not a word has come: it is what it was
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
            is_incomplete=self._is_incomplete,
        )
        self._turn = None
        turn = msgspec.structs.replace(
            turn,
            backend=tuple(label for label, _ in used) or turn.backend,
            swapped_bytes=swap_growth(self._swap_before, self._swap_used()),
            made_with=self.made_with
            and msgspec.structs.replace(self.made_with, pace=tuple(self._pace.speeds), pace_s=self._pace.step_s),
        )
        self._opened.end_answer(turn)
        self._tell(AnswerEnded(turn=turn))
