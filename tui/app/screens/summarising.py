"""Going on with a summary in the place of the oldest messages: the model writes it, in sight, and the conversation that
was summarised stays in the list."""

from __future__ import annotations

import asyncio

from tui.app.screens.flows import Flows, flow
from tui.chat.conversation import Conversation, Turn
from tui.chat.store import StoreError
from tui.session import events
from tui.session.interface import Session
from tui.words import tr, trn


class Summarising:
    """For the open conversation."""

    def __init__(self, controller: Session, flows: Flows) -> None:
        self.flows = flows
        self._controller = controller

    def action_summarize(self) -> None:
        """Go on in a new conversation that begins with a summary of this one."""
        turns = self._controller.conversation.turns
        if not self._controller.can_answer or not self._controller.is_settled:
            self.flows.tell(tr("The model is not ready yet."))
        elif not self.can(len(turns)):
            self.flows.tell(tr("There is nothing to summarize yet."))
        else:
            self.begin(len(turns))

    def can(self, n_least: int) -> bool:
        """Whether so many of the oldest messages, or a few more, can be summarised."""
        from tui.chat.summary import n_summarised

        return n_summarised(self._controller.conversation.turns, n_least) > 0

    @flow("summary")
    async def begin(self, n_least: int) -> None:
        """Have `n_least` messages summarised, or a few more; then answer the prompt that is the last, if one is."""
        from tui.chat.summary import n_summarised, summarised, to_summarise

        controller, before = self._controller, self._controller.conversation
        n = n_summarised(before.turns, n_least)
        asked = to_summarise(before, n)
        try:
            await self._open(asked)
            summary = await self._answer(asked.id)
            if summary is None or controller.conversation.id != asked.id:
                self.flows.tell(tr("There is no summary: the conversation stays as it was."), bad=True)
                if controller.conversation.id == asked.id:
                    await controller.open(before.id)
            else:
                after = summarised(before, n, summary)
                await self._open(after)
                self.flows.tell(
                    trn(
                        "A summary stands in the place of {n} message. The conversation with it stays in the list.",
                        "A summary stands in the place of {n} messages. The conversation with them stays in the list.",
                        n,
                    )
                )
                if after.turns[-1].role == "user":
                    controller.answer()
            await controller.delete(asked.id)  # with what was kept of its context
        except StoreError as error:
            self.flows.tell(str(error), bad=True)

    async def _open(self, conversation: Conversation) -> None:
        try:
            await self._controller.store.create(conversation)
        except StoreError as error:
            if not error.is_retried:
                raise
        await self._controller.open(conversation.id)

    async def _answer(self, conversation_id: str) -> Turn | None:
        """The answer to the last prompt of the open conversation; None for one that is not whole."""
        ended: asyncio.Future[Turn | None] = asyncio.get_running_loop().create_future()

        def hear(event: events.AnySessionEvent) -> None:
            if ended.done():
                return
            match event:
                case events.AnswerEnded(turn=turn):
                    is_whole = turn.stop in ("stop", "length") and bool(turn.text.strip())
                    ended.set_result(turn if is_whole else None)
                case events.AnswerRefused() | events.EngineLost() | events.FaultFound():
                    ended.set_result(None)
                case events.ConversationOpened(conversation=conversation) if conversation.id != conversation_id:
                    ended.set_result(None)

        stop = self._controller.listen(hear)
        try:
            self._controller.answer(drop_oldest=True)
            return await ended
        finally:
            stop()
