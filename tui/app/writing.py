"""An answer while it is written: what the engine tells goes into its turn of the conversation, the store and the
listener."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import msgspec

from tui.chat.conversation import Turn, TurnStop, answer_turn, finished, with_turn
from tui.engine.messages import Delta, DeltaKind, Done, Event, Loaded, Prefill, Started, Timings
from tui.monitor.pressure import swap_growth

if TYPE_CHECKING:
    from tui.app.controller import Controller


def keep(future: asyncio.Future[None]) -> None:
    """A write to the store: its failure is told by the store's own `on_error`."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


def backend_label(loaded: Loaded) -> str:
    """The backend of a load, as an answer's footer names it: "CPU", "Vulkan0+Vulkan1"."""
    return "+".join(loaded.devices) or "CPU"


class Writing:
    """One answer. `take` its events, or `break_off`; `pause` it while the model moves, then `go_on` or `stop`."""

    def __init__(self, controller: Controller, loaded: Loaded) -> None:
        self._controller, self._loaded = controller, loaded
        self._turn: Turn | None = None
        self._text: dict[DeltaKind, str] = {"thinking": "", "answer": ""}
        self._parts: list[Timings] = []
        """Of what was written before each pause."""
        self.is_paused = False
        self.may_pause = True
        """False once it is to end, whatever is loaded."""
        self._swap_before = controller.swap_used()

    def take(self, event: Event) -> None:
        """One event of the engine."""
        controller, listener = self._controller, self._controller.listener
        if isinstance(event, Delta) and self._turn:
            self._text[event.kind] += event.text
            controller.n_used = event.n_used
            controller.store.update_stream(self._turn.id, self._text["answer"], self._text["thinking"])
            listener.answer_grew(self._turn.id, event)
        elif isinstance(event, Prefill) and self._turn:
            listener.prompt_progressed(self._turn.id, event)
        elif isinstance(event, Started) and self._turn:
            listener.context_used(event.n_cached, event.n_ctx)
        elif isinstance(event, Started):
            self._turn = answer_turn(controller.model_name, (backend_label(self._loaded),))
            controller.conversation = with_turn(controller.conversation, self._turn)
            keep(controller.store.append_turn(controller.conversation.id, self._turn))
            listener.answer_began(self._turn, event)
        elif isinstance(event, Done) and self._turn:
            controller.n_used = event.n_used
            self._parts.append(event.timings)
            self._finish(event.stop)
            listener.context_used(event.n_used, event.n_ctx)

    @property
    def has_begun(self) -> bool:
        """Something of it was computed: the rest is a matter of going on."""
        return bool(self._parts)

    @property
    def n_decode(self) -> int:
        """Tokens written before the last pause."""
        return sum(part.n_decode for part in self._parts)

    def pause(self, done: Done) -> None:
        """The engine stopped because the model is to be moved."""
        self._parts.append(done.timings)
        self._controller.n_used = done.n_used
        self.is_paused = True
        if self._turn:
            self._controller.listener.answer_paused(self._turn.id)

    def go_on(self, loaded: Loaded) -> None:
        """The model is there again; the rest of the answer comes from it."""
        self._loaded, self.is_paused = loaded, False
        if self._turn:
            backend = (*self._turn.backend, backend_label(loaded))
            self._turn = msgspec.structs.replace(self._turn, backend=backend)

    def stop(self) -> None:
        """A paused answer does not go on."""
        self.is_paused = False
        self._finish("cancelled")

    def break_off(self, why: str) -> None:
        """The answer ends here, not by itself."""
        self.is_paused = False
        self._finish("crashed", why)

    def _finish(self, stop: TurnStop, error: str | None = None) -> None:
        if self._turn is None:
            return
        turn = finished(
            self._turn,
            text=self._text["answer"],
            reasoning=self._text["thinking"].rstrip(),
            stop=stop,
            timings=functools.reduce(Timings.plus, self._parts) if self._parts else None,
            speeds=tuple(part.decode_tps for part in self._parts) if len(self._turn.backend) > 1 else (),
            error=error,
        )
        self._turn = None
        controller = self._controller
        turn = msgspec.structs.replace(turn, swapped_bytes=swap_growth(self._swap_before, controller.swap_used()))
        controller.conversation = with_turn(controller.conversation, turn)
        keep(controller.store.finish_turn(turn))
        controller.listener.answer_ended(turn)
