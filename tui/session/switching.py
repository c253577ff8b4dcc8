"""Leaving the open conversation for a new or a saved one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tui.engines.interface import Engine
from tui.session.context_keeper import ContextKeeper
from tui.session.context_meter import ContextMeter
from tui.session.events import AnySessionEvent, ContextUsed, ConversationOpened, PromptsWithdrawn
from tui.session.open_conversation import OpenConversation
from tui.session.prompt_queue import PromptQueue
from tui.session.state_writer import StateWriter


class Switching:
    """An answer that is being written ends; a load goes on."""

    def __init__(
        self,
        engine: Engine,
        opened: OpenConversation,
        queue: PromptQueue,
        contexts: ContextKeeper,
        meter: ContextMeter,
        remembered: StateWriter,
        *,
        stop_answer: Callable[[], Awaitable[None]],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        self._engine, self._opened, self._queue = engine, opened, queue
        self._contexts, self._meter, self._remembered = contexts, meter, remembered
        self._stop_answer, self._tell = stop_answer, tell

    async def new(self, *, is_kept: bool = True) -> None:
        """Leave the conversation, which is saved, for an empty one; `is_kept` says whether that will be too."""
        withdrawn = self._queue.withdraw() if self._opened.now.turns else ()
        await self._stop_answer()
        self._contexts.save()
        self._opened.start_new(is_kept=is_kept)
        self._show(withdrawn)
        await self._meter.measure()

    async def open(self, conversation_id: str) -> None:
        """Show a saved conversation. Raises `StoreError` when it cannot be read."""
        withdrawn = self._queue.withdraw() if conversation_id != self._opened.now.id else ()
        try:
            await self._stop_answer()
            self._contexts.save()
            await self._opened.open(conversation_id)
        except BaseException:
            self._tell(PromptsWithdrawn(texts=withdrawn))
            raise
        self._show(withdrawn)
        self._contexts.opened(conversation_id)
        await self._meter.measure()

    def _show(self, withdrawn: tuple[str, ...]) -> None:
        self._meter.forget()
        self._remembered.update(conversation=self._opened.saved_id)
        self._tell(ConversationOpened(conversation=self._opened.now))
        self._tell(PromptsWithdrawn(texts=withdrawn))
        if self._engine.loaded is not None:
            self._tell(ContextUsed(n_used=0, n_ctx=self._engine.loaded.n_ctx))
