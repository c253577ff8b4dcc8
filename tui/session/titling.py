"""Titles by the model: a conversation whose title is made of its first words gets one that the model makes, when it has
been answered and nobody wants the engine. Whatever somebody does ends that at once, and it is made up for later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tui.chat.conversation import Conversation, last_answer, to_messages
from tui.chat.titles import MOST_TOKENS, has_own_title, request, title_in
from tui.engines.interface import Engine, EngineError
from tui.protocol.death import EngineDied
from tui.protocol.messages import AskAside
from tui.protocol.records import Message
from tui.session.events import (
    AnswerEnded,
    AnySessionEvent,
    ConversationChanged,
    ConversationOpened,
    ConversationReplaced,
    PhaseChanged,
    QueueChanged,
    UserSaid,
)
from tui.session.open_conversation import OpenConversation

IDLE_S = 4.0
"""So long nobody has done anything."""
TYPED_S = 60.0
"""So long nobody has done anything, where something is written: what was read of that would be read again."""
_STIRS = (PhaseChanged, QueueChanged, UserSaid, ConversationOpened, ConversationChanged, ConversationReplaced)
_log = logging.getLogger("llmtui")


class Titling:
    """For the open conversation. All of it on the event loop; every method returns at once."""

    def __init__(
        self,
        engine: Engine,
        opened: OpenConversation,
        *,
        is_on: bool,
        is_idle: Callable[[], bool],
        tell: Callable[[AnySessionEvent], None],
    ) -> None:
        """`is_idle` says whether the engine holds the open conversation and nobody wants it, or is about to."""
        self._engine, self._opened, self._is_idle, self._tell = engine, opened, is_idle, tell
        self._is_on = is_on and engine.capabilities.asks_aside
        self._answered = ""
        """The conversation that was answered here last."""
        self._asked: set[str] = set()
        """The conversations for which the model was asked, whatever it said."""
        self._task: asyncio.Task[None] | None = None
        self._keeping: set[asyncio.Task[None]] = set()

    def hear(self, event: AnySessionEvent) -> None:
        """Follow what happens in the session."""
        if isinstance(event, AnswerEnded) and event.turn.stop == "stop":
            self._answered = self._opened.now.id
        if isinstance(event, _STIRS):
            self.stir()

    def stir(self, *, is_written: bool = False) -> None:
        """Somebody has done something, or is writing the next prompt: the engine is free for that at once."""
        self.close()
        if self._is_wanted(self._opened.now):
            self._task = asyncio.create_task(self._when_idle(TYPED_S if is_written else IDLE_S))

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _is_wanted(self, conversation: Conversation) -> bool:
        if not self._is_on or self._opened.saved_id != self._answered or conversation.id in self._asked:
            return False
        answer = last_answer(conversation)
        is_answered = answer is not None and answer.stop == "stop" and bool(answer.text.strip())
        return is_answered and not has_own_title(conversation)

    async def _when_idle(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            if self._is_idle() and await self._ask():
                return
            seconds = IDLE_S

    async def _ask(self) -> bool:
        """Ask the model; False where another session goes first."""
        conversation = self._opened.now
        question = Message(role="user", content=request())
        command = AskAside(
            messages=(*to_messages(conversation), question),
            thinking=conversation.thinking,
            effort=conversation.effort,
            max_tokens=MOST_TOKENS,
        )
        try:
            answer = await self._engine.ask(command)
        except EngineError as error:
            if error.info.kind == "cancelled":
                return False
            _log.info("No title was made: %s", error)
            self._asked.add(conversation.id)
            return True
        except EngineDied:  # which whoever owns the engine tells
            return True
        self._asked.add(conversation.id)
        self._task = None  # it has been asked: nothing is ended any more
        if title := title_in(answer.text, is_whole=answer.is_whole):
            keeping = asyncio.create_task(self._give(conversation, title))
            self._keeping.add(keeping)
            keeping.add_done_callback(self._keeping.discard)
        return True

    async def _give(self, conversation: Conversation, title: str) -> None:
        before = self._opened.now
        if (before.id, before.title) == (conversation.id, conversation.title) and await self._opened.retitle(title):
            now = self._opened.now
            self._tell(ConversationChanged(before=before.turns, now=now, n_same=len(now.turns)))
