"""How much of the context the open conversation takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from tui.chat.conversation import Turn, to_messages
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
        self.n_system = 0
        """Of these, what the system prompt takes, with what the template puts around it."""
        self.n_files = 0
        """Of these, what files take that prompts are about, with their names."""
        self._frame: tuple[Loaded | None, object, int] = None, None, 0
        """A load, what prompts of it are rendered with, and the tokens that come around a message then."""

    async def measure(self) -> None:
        """Have the open conversation counted, and tell. Nothing happens while no model can answer."""
        loaded = self._engine.loaded
        if loaded is None or self._phase.now != "ready" or not self._engine.capabilities.counts:
            return
        chat, n_used, n_system, n_files = self._opened.now, 0, 0, 0
        if messages := to_messages(chat):
            # A template that cannot render this says so when it is sent, and a death is told by whoever hears of it.
            with contextlib.suppress(EngineError, EngineDied):
                counted = await self._engine.ask(Count(messages=messages, thinking=chat.thinking, effort=chat.effort))
                n_used = counted.n_tokens
                n_system = await self._count_system(loaded)
                n_files = await self._count_files(n_used)
        self.n_used, self.n_system, self.n_files = n_used, n_system, n_files
        self._tell(ContextUsed(n_used=n_used, n_ctx=loaded.n_ctx, n_system=n_system, n_files=n_files))

    @property
    def parts(self) -> dict[str, int]:
        """What is known of what fills the context, as fields of `ContextUsed`."""
        return {"n_system": self.n_system, "n_files": self.n_files}

    def said(self, turn: Turn) -> None:
        """A prompt came to the conversation, whose files were counted when it was written."""
        self.n_files += sum(file.n_tokens for file in turn.files)

    def forget(self) -> None:
        """Another conversation is open, of which nothing is known yet."""
        self.n_used = self.n_system = self.n_files = 0

    async def length_of(self, text: str) -> TextLength | None:
        """How long a text is as a message, what the template puts around it left out; None while no model can say."""
        loaded = self._engine.loaded
        if not text:
            return TextLength(0)
        if loaded is None or self._phase.now != "ready" or not self._engine.capabilities.counts:
            return None
        counted = text[:MOST_COUNTED]
        with contextlib.suppress(EngineError, EngineDied):
            n_around = await self._count_around(loaded)
            n_tokens = max(1, await self._count(counted) - n_around)
            return TextLength(round(n_tokens * len(text) / len(counted)), is_exact=len(counted) == len(text))
        return None

    async def _count_system(self, loaded: Loaded) -> int:
        """What a prompt has more with it, as templates may refuse it alone; and its text at least, as some write a
        system prompt of their own where there is none."""
        system = self._opened.now.system_prompt
        if not system.strip():
            return 0
        n_around = await self._count_around(loaded)
        more = await self._count(_ONE_TOKEN, system) - n_around - 1
        return max(more, await self._count(system) - n_around)

    async def _count_files(self, n_used: int) -> int:
        """What the conversation has less without them."""
        chat = self._opened.now
        if not any(turn.files for turn in chat.turns):
            return 0
        turns = tuple(msgspec.structs.replace(turn, files=()) if turn.files else turn for turn in chat.turns)
        messages = to_messages(msgspec.structs.replace(chat, turns=turns))
        without = await self._engine.ask(Count(messages=messages, thinking=chat.thinking, effort=chat.effort))
        return max(0, n_used - without.n_tokens)

    async def _count_around(self, loaded: Loaded) -> int:
        """Tokens that come around a message."""
        rendered_with = self._opened.now.thinking, self._opened.now.effort
        if self._frame[:2] != (loaded, rendered_with):
            self._frame = loaded, rendered_with, await self._count(_ONE_TOKEN) - 1
        return self._frame[2]

    async def _count(self, text: str, system: str = "") -> int:
        chat = self._opened.now
        before = (Message(role="system", content=system),) if system else ()
        messages = (*before, Message(role="user", content=text))
        return (await self._engine.ask(Count(messages=messages, thinking=chat.thinking, effort=chat.effort))).n_tokens
