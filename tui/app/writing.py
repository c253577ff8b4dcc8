"""An answer while it is written: what the engine tells goes into its turn of the conversation, the store and the
listener."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from tui.chat.conversation import Turn, answer_turn, finished, with_turn
from tui.engine.messages import Delta, DeltaKind, Done, Event, Loaded, Prefill, Started
from tui.monitor.pressure import swap_growth

if TYPE_CHECKING:
    from tui.app.controller import Controller


def keep(future: asyncio.Future[None]) -> None:
    """A write to the store: its failure is told by the store's own `on_error`."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


class Writing:
    """One answer. `take` its events, or `break_off`."""

    def __init__(self, controller: Controller, loaded: Loaded) -> None:
        self._controller, self._loaded = controller, loaded
        self._turn: Turn | None = None
        self._text: dict[DeltaKind, str] = {"thinking": "", "answer": ""}
        self._swap_before = controller.swap_used()

    def take(self, event: Event) -> None:
        """One event of the engine."""
        controller, listener = self._controller, self._controller.listener
        if isinstance(event, Delta) and self._turn:
            self._text[event.kind] += event.text
            controller.store.update_stream(self._turn.id, self._text["answer"], self._text["thinking"])
            listener.answer_grew(self._turn.id, event)
        elif isinstance(event, Prefill) and self._turn:
            listener.prompt_progressed(self._turn.id, event)
        elif isinstance(event, Started):
            self._turn = answer_turn(controller.model_name, self._loaded.devices or ("CPU",))
            controller.conversation = with_turn(controller.conversation, self._turn)
            keep(controller.store.append_turn(controller.conversation.id, self._turn))
            listener.answer_began(self._turn, event)
        elif isinstance(event, Done) and self._turn:
            controller.n_used = event.n_used
            self._finish(
                finished(
                    self._turn,
                    text=self._text["answer"],
                    reasoning=self._text["thinking"].rstrip(),
                    stop=event.stop,
                    timings=event.timings,
                )
            )
            listener.context_used(event.n_used, event.n_ctx)

    def break_off(self, why: str) -> None:
        """The answer ends here, not by itself."""
        if self._turn:
            self._finish(
                finished(
                    self._turn,
                    text=self._text["answer"],
                    reasoning=self._text["thinking"].rstrip(),
                    stop="crashed",
                    error=why,
                )
            )

    def _finish(self, turn: Turn) -> None:
        self._turn = None
        controller = self._controller
        turn = msgspec.structs.replace(turn, swapped_bytes=swap_growth(self._swap_before, controller.swap_used()))
        controller.conversation = with_turn(controller.conversation, turn)
        keep(controller.store.finish_turn(turn))
        controller.listener.answer_ended(turn)
