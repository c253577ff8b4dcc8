"""What an edited prompt or a new answer replaces: it is taken out of the open conversation, is there again when nothing
came in its place, and can be brought back later from the store, which keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.chat.conversation import Turn

if TYPE_CHECKING:
    from tui.app.controller import Controller


class Replacing:
    """For the open conversation of `controller`."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def cut(self, turn_id: str) -> tuple[Turn, ...]:
        """Take a turn and all after it out of the conversation and give them; none, and nothing happens, when it is not
        there or an answer is being written."""
        cut = () if self._controller.is_writing else self._controller.opened.cut_from(turn_id)
        if cut:
            self._controller.listener.turns_removed(turn_id, len(cut))
        return cut

    def put_back(self) -> None:
        """Undo `cut` as long as no answer has come."""
        came, cut = self._controller.opened.put_back()
        if cut:
            self._controller.listener.turns_put_back(came, cut)

    async def bring_back(self) -> bool:
        """Put the answer that was replaced last in its place again, with what was replaced together with it; what
        stands there now is what can be brought back next. False when there is none. Raises `StoreError`."""
        controller = self._controller
        conversation_id = controller.conversation.id
        replaced = [old.turn for old in await controller.store.superseded(conversation_id)]
        answers = [turn.id for turn in replaced if turn.role == "assistant" and turn.text]
        if not answers:
            return False
        await controller.store.bring_back(answers[-1])
        await controller.open(conversation_id)
        return True
