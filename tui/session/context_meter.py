"""How much of the context the open conversation takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from tui.chat.conversation import to_messages
from tui.engines.interface import Engine, EngineError
from tui.protocol.death import EngineDied
from tui.protocol.messages import Count, Loaded
from tui.protocol.records import Message
from tui.session.engine_phase import EnginePhase
from tui.session.events import AnySessionEvent, ContextUsed
from tui.session.open_conversation import OpenConversation

MOST_COUNTED = 50_000
"""Characters of a text that are counted, some 20 ms of the engine; of a longer one the rest is taken to be alike."""
_ONE_TOKEN = "x"


class TextLength(msgspec.Struct, frozen=True):
    """How long a text is for the model that is loaded."""

    n_tokens: int
    is_exact: bool = True
    """It was counted to its end."""


class ContextMeter:
    """Counted by the engine where no answer has told."""

    def __init__(
        self, engine: Engine, opened: OpenConversation, phase: EnginePhase, tell: Callable[[AnySessionEvent], None]
    ) -> None:
        self._engine, self._opened, self._phase, self._tell = engine, opened, phase, tell
        self.n_used = 0
        """Tokens, as far as is known."""
        self._frame: tuple[Loaded | None, object, int] = None, None, 0
        """A load, what prompts of it are rendered with, and the tokens that come around a message then."""

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

    async def length_of(self, text: str) -> TextLength | None:
        """How long a text is as a message, what the template puts around it left out; None while no model can say."""
        loaded, chat = self._engine.loaded, self._opened.now
        if not text:
            return TextLength(0)
        if loaded is None or self._phase.now != "ready" or not self._engine.capabilities.counts:
            return None
        counted, rendered_with = text[:MOST_COUNTED], (chat.thinking, chat.effort)
        with contextlib.suppress(EngineError, EngineDied):
            if self._frame[:2] != (loaded, rendered_with):
                self._frame = loaded, rendered_with, await self._count(_ONE_TOKEN) - 1
            n_tokens = max(1, await self._count(counted) - self._frame[2])
            return TextLength(round(n_tokens * len(text) / len(counted)), is_exact=len(counted) == len(text))
        return None

    async def _count(self, text: str) -> int:
        chat = self._opened.now
        messages = (Message(role="user", content=text),)
        return (await self._engine.ask(Count(messages=messages, thinking=chat.thinking, effort=chat.effort))).n_tokens
