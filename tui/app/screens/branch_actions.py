"""What can be done with the branches of a conversation: walk from one to another, see them as a tree, begin a new
conversation at a message."""

from __future__ import annotations

from tui.app import phrases
from tui.app.screens.flows import Flows, flow
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript
from tui.chat.store import StoreError
from tui.session.interface import Session
from tui.words import tr


class BranchActions:
    """For the selected message (the scope "transcript"), and for the whole conversation (the scope "chat"). Dialogs are
    imported when they are first opened."""

    def __init__(self, controller: Session, transcript: Transcript, prompt: Prompt, flows: Flows) -> None:
        self.flows = flows
        self._controller, self._transcript, self._prompt = controller, transcript, prompt

    def _tell_unsettled(self) -> None:
        """Why nothing may be changed now."""
        if self._controller.is_writing:
            self.flows.tell(phrases.still_answering(self.flows.keymap))
        elif self._controller.is_written_elsewhere:
            self.flows.tell(tr(phrases.STILL_WRITTEN_ELSEWHERE))

    # Walking ----------------------------------------------------------------------------------------------------------

    async def action_message_branch_previous(self) -> None:
        await self._step(self._transcript.selected, -1)

    async def action_message_branch_next(self) -> None:
        await self._step(self._transcript.selected, 1)

    async def _step(self, turn_id: object, by: int) -> None:
        try:
            if not await self._controller.step_branch(str(turn_id), by):
                self._tell_unsettled()
        except StoreError as error:
            self.flows.tell(str(error), bad=True)

    @flow("dialog")
    async def action_branches(self) -> None:
        """See the whole tree, and go to the message that is chosen."""
        from tui.app.screens.branches import BranchesScreen

        selected = self._transcript.selected
        try:
            nodes = await self._controller.nodes()
            if not nodes:
                self.flows.tell(tr("There are no messages yet."))
                return
            chosen = await self.flows.ask(BranchesScreen(nodes, self.flows.keymap, current=str(selected or "")))
            if chosen is not None:
                await self._go_to(chosen)
        except StoreError as error:
            self.flows.tell(str(error), bad=True)

    async def _go_to(self, turn_id: str) -> None:
        is_shown = any(turn.id == turn_id for turn in self._controller.conversation.turns)
        if not is_shown and not await self._controller.show_branch(turn_id):
            self._tell_unsettled()
        elif any(turn.id == turn_id for turn in self._controller.conversation.turns):
            self._transcript.focus()
            self._transcript.go_to(turn_id)

    # A new conversation -----------------------------------------------------------------------------------------------

    async def action_message_new_chat(self) -> None:
        await self._begin_at(self._transcript.selected)

    async def _begin_at(self, turn_id: object) -> None:
        """Open a new conversation that has the messages up to this one."""
        if not self._controller.is_settled:
            self._tell_unsettled()
            return
        try:
            await self._controller.branch_off(str(turn_id))
        except StoreError as error:
            self.flows.tell(str(error), bad=True)
            return
        self._prompt.focus()
        self.flows.tell(tr("This is a new conversation. The one before stays as it was."))

    # A message that was pointed at ------------------------------------------------------------------------------------

    async def act(self, action: str, turn_id: object) -> None:
        """Do with a message what was clicked on."""
        if action == "message_branch_previous":
            await self._step(turn_id, -1)
        elif action == "message_branch_next":
            await self._step(turn_id, 1)
