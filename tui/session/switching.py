"""Leaving the open conversation for a new or a saved one, and how much of the context the open one takes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tui.chat.conversation import to_messages
from tui.engines.interface import EngineError
from tui.protocol.death import EngineDied
from tui.protocol.messages import Count
from tui.session.events import ContextUsed, ConversationOpened, PromptsWithdrawn

if TYPE_CHECKING:
    from tui.session.controller import Controller


class Switching:
    """For `controller`, whose `new`, `open` and `measure_context` these are."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def new(self) -> None:
        """Leave the conversation, which is saved, for an empty one. A load goes on."""
        controller = self._controller
        withdrawn = controller.queue.withdraw() if controller.conversation.turns else ()
        await controller.stop_answer()
        controller.contexts.save()
        controller.opened.start_new()
        self._show(withdrawn)

    async def open(self, conversation_id: str) -> None:
        """Show a saved conversation; a load goes on. Raises `StoreError` when it cannot be read."""
        controller = self._controller
        withdrawn = controller.queue.withdraw() if conversation_id != controller.conversation.id else ()
        try:
            await controller.stop_answer()
            controller.contexts.save()
            await controller.opened.open(conversation_id)
        except BaseException:
            controller.tell(PromptsWithdrawn(texts=withdrawn))
            raise
        self._show(withdrawn)
        controller.contexts.opened(conversation_id)
        await self.measure_context()

    def _show(self, withdrawn: tuple[str, ...]) -> None:
        controller = self._controller
        controller.n_used = 0
        controller.remember(conversation=controller.opened.saved_id)
        controller.tell(ConversationOpened(conversation=controller.conversation))
        controller.tell(PromptsWithdrawn(texts=withdrawn))
        if controller.engine.loaded is not None:
            controller.tell(ContextUsed(n_used=0, n_ctx=controller.engine.loaded.n_ctx))

    async def measure_context(self) -> None:
        """Tell how much of the context the open conversation takes."""
        controller, loaded = self._controller, self._controller.engine.loaded
        if loaded is None or controller.phase != "ready":
            return
        chat, n_used = controller.conversation, 0
        if messages := to_messages(chat):
            # A template that cannot render this says so when it is sent, and a death is told by `_on_death`.
            with contextlib.suppress(EngineError, EngineDied):
                counted = await controller.engine.ask(
                    Count(messages=tuple(messages), thinking=chat.thinking, effort=chat.effort)
                )
                n_used = counted.n_tokens
        controller.n_used = n_used
        controller.tell(ContextUsed(n_used=n_used, n_ctx=loaded.n_ctx))
