"""What can be done with the branches of a conversation and with one message: walk from one branch to another, see them
as a tree, begin a new conversation, compare answers, edit one, delete a message."""

from __future__ import annotations

from collections.abc import Sequence

from textual._callback import invoke

from tui.app import phrases
from tui.app.bindings import title_of
from tui.app.copier import Copier
from tui.app.screens.flows import Flows, flow
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript
from tui.base.text import fit_columns, one_line
from tui.chat.conversation import Turn
from tui.chat.store import StoreError
from tui.config.actions import ACTIONS
from tui.config.keymap import display_key
from tui.session.interface import Session
from tui.words import tr

_FIRST_CHARS, _FIRST_COLUMNS = 400, 60
"""Of a message that is named in a question."""
_NOT_IN_MENU = ("message_menu", "message_previous", "message_next")
_CHANGES = ("message_regenerate", "message_continue", "message_edit", "message_new_chat", "message_delete")
"""What waits for the end of an answer that is written."""


class BranchActions:
    """For the selected message (the scope "transcript"), and for the whole conversation (the scope "chat"). Dialogs are
    imported when they are first opened."""

    def __init__(
        self, controller: Session, transcript: Transcript, prompt: Prompt, flows: Flows, copier: Copier
    ) -> None:
        self.flows, self._copier = flows, copier
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

    # One message ------------------------------------------------------------------------------------------------------

    def _shown(self, turn_id: object) -> Turn | None:
        return next((turn for turn in self._controller.conversation.turns if turn.id == turn_id), None)

    @flow("dialog")
    async def edit_answer(self, turn: Turn) -> None:
        """Put other words into an answer."""
        from tui.app.screens.text_edit import TextEditScreen

        hint = tr("The model will take these words for its own. The answer as it was stays as a branch.")
        dialog = TextEditScreen(tr("Edit answer"), turn.text, self.flows.keymap, hint=hint, default=turn.text)
        text = await self.flows.ask(dialog)
        if text is None or not text.strip() or text == turn.text:
            return
        if await self._controller.edit_answer(turn.id, text):
            self.flows.tell(tr("The answer has other words now."))
        else:
            self._tell_unsettled()

    @flow("dialog")
    async def action_message_delete(self) -> None:
        """Delete the selected message, after a question."""
        from tui.app.screens.confirm import ConfirmScreen

        turn = self._shown(self._transcript.selected)
        if turn is None:
            return
        if not self._controller.is_settled:
            self._tell_unsettled()
            return
        words = fit_columns(one_line(turn.text.strip()[:_FIRST_CHARS]), _FIRST_COLUMNS)
        question = tr("Delete “{words}”?", words=words) if words else tr("Delete this message?")
        detail = tr("This deletes the one message for good. What follows it stays, and so do other branches.")
        dialog = ConfirmScreen(question, self.flows.keymap, detail=detail, yes=tr("Delete"), no=tr("Keep"))
        if not await self.flows.ask(dialog):
            return
        try:
            if not await self._controller.remove_turn(turn.id):
                self._tell_unsettled()
        except StoreError as error:
            self.flows.tell(str(error), bad=True)

    @flow("dialog")
    async def action_message_details(self) -> None:
        """Show all that is known of the selected message."""
        from tui.app.message_details import message_details
        from tui.app.screens.message_details import MessageDetailsScreen

        turn = self._shown(self._transcript.selected)
        if turn is not None:
            alike = self._controller.siblings(turn.id)
            groups = message_details(turn, len(alike), alike.index(turn.id) + 1)
            await self.flows.ask(MessageDetailsScreen(groups, self.flows.keymap, self._copier.copy))

    @flow("dialog")
    async def action_message_compare(self) -> None:
        """See the selected answer beside another one to the same prompt."""
        from tui.app.screens.compare import CompareScreen

        controller, turns = self._controller, self._controller.conversation.turns
        turn = self._shown(self._transcript.selected)
        alike = controller.siblings(turn.id) if turn is not None else ()
        if turn is None or len(alike) < 2:
            self.flows.tell(
                tr("There is no other answer to this prompt yet: “{action}” makes one.", action=title_of("regenerate"))
            )
            return
        here = alike.index(turn.id)
        pair = (here - 1, here) if here else (0, 1)
        place = turns.index(turn)
        prompt = turns[place - 1].text if place else ""
        chosen = await self.flows.ask(CompareScreen(prompt, alike, pair, controller.turn, self.flows.keymap))
        if chosen is not None:
            try:
                await self._go_to(chosen)
            except StoreError as error:
                self.flows.tell(str(error), bad=True)

    @flow("dialog")
    async def action_message_menu(self) -> None:
        """See all that can be done with the selected message, and do what is chosen."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        transcript, keymap = self._transcript, self.flows.keymap
        left_out = _NOT_IN_MENU if self._controller.is_settled else (*_NOT_IN_MENU, *_CHANGES)
        possible = [
            action
            for action in ACTIONS
            if action.scope == "transcript"
            and action.id.startswith("message_")
            and action.id not in left_out
            and hasattr(transcript, f"action_{action.id}")
            and transcript.check_action(action.id, ())
        ]
        choices = [
            Choice(id=action.id, label=title_of(action.id), key=_letter(keymap.get(action.id, ())))
            for action in possible
        ]
        chosen = await self.flows.ask(ChoiceScreen(tr("Message"), choices, keymap))
        if chosen is not None and transcript.check_action(chosen, ()):
            await invoke(getattr(transcript, f"action_{chosen}"))

    # A message that was pointed at ------------------------------------------------------------------------------------

    async def act(self, action: str, turn_id: object) -> None:
        """Do with a message what was clicked on."""
        if action == "message_branch_previous":
            await self._step(turn_id, -1)
        elif action == "message_branch_next":
            await self._step(turn_id, 1)
        elif action == "message_menu":
            self.action_message_menu()


def _letter(keys: Sequence[str]) -> str:
    """The key that is one letter, which works in the menu too; empty without one."""
    return next((shown for shown in map(display_key, keys) if len(shown) == 1 and shown.isalpha()), "")
