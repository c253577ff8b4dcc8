"""How much of the context the open conversation takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tui.chat.conversation import to_messages
from tui.engines.interface import Engine, EngineError
from tui.protocol.death import EngineDied
from tui.protocol.messages import Count
from tui.session.engine_phase import EnginePhase
from tui.session.events import AnySessionEvent, ContextUsed
from tui.session.open_conversation import OpenConversation


class ContextMeter:
    """Counted by the engine where no answer has told."""

    def __init__(
        self, engine: Engine, opened: OpenConversation, phase: EnginePhase, tell: Callable[[AnySessionEvent], None]
    ) -> None:
        self._engine, self._opened, self._phase, self._tell = engine, opened, phase, tell
        self.n_used = 0
        """Tokens, as far as is known."""

    async def measure(self) -> None:
        """Have the open conversation counted, and tell. Nothing happens while no model can answer."""
        loaded = self._engine.loaded
        if loaded is None or self._phase.now != "ready" or not self._engine.capabilities.counts:
            return
        chat, n_used = self._opened.now, 0
        if messages := to_messages(chat):
            # A template that cannot render this says so when it is sent, and a death is told by whoever hears of it.
            with contextlib.suppress(EngineError, EngineDied):
                counted = await self._engine.ask(Count(messages=messages, thinking=chat.thinking, effort=chat.effort))
                n_used = counted.n_tokens
        self.n_used = n_used
        self._tell(ContextUsed(n_used=n_used, n_ctx=loaded.n_ctx))
