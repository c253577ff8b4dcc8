"""What can be done with messages: select, copy, fold, scroll, edit and send again, answer again."""

from __future__ import annotations

from collections.abc import Callable

from tui.app import attachment_phrases, phrases
from tui.app.bindings import title_of
from tui.app.copier import Copier
from tui.app.markdown.blocks import CodeBlock
from tui.app.screens.attaching import Attaching
from tui.app.screens.editing import Editing
from tui.app.screens.flows import Flows, flow
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript
from tui.app.widgets.transcript_entries import MOST_FILES
from tui.chat.conversation import Turn, last_answer, unfinished_answer
from tui.files.attachment import Attachment
from tui.session.interface import Session
from tui.words import tr

_MOST_SHOWN = 200_000
"""Characters of a file that are shown: more are laid out for too long."""


class MessageActions:
    """By a key at any time (the scope "chat"), and for the selected message (the scope "transcript")."""

    def __init__(
        self,
        controller: Session,
        transcript: Transcript,
        prompt: Prompt,
        editing: Editing,
        flows: Flows,
        copier: Copier,
        attaching: Attaching,
    ) -> None:
        self.flows = flows
        self.edit_answer: Callable[[Turn], None] = lambda _: None
        """Puts other words into an answer; whoever does that sets it."""
        self._controller, self._transcript, self._prompt = controller, transcript, prompt
        self._editing, self._copier, self._attaching = editing, copier, attaching

    # What is meant ----------------------------------------------------------------------------------------------------

    def _turn(self, turn_id: object) -> Turn | None:
        return next((turn for turn in self._controller.conversation.turns if turn.id == turn_id), None)

    def meant(self) -> Turn | None:
        """The selected message, else the last answer, else None."""
        if self._transcript.selected is not None:
            return self._turn(self._transcript.selected)
        answers = [turn for turn in self._controller.conversation.turns if turn.role == "assistant"]
        return answers[-1] if answers else None

    def selection_changed(self) -> None:
        """With nothing selected, the focus goes back to where it can be seen; a card's keys need it where it is."""
        if self._transcript.selected is None and self._has_focus() and not self._transcript.has_open_card:
            self._prompt.focus()

    def _has_focus(self) -> bool:
        """Whether the keys are for the transcript, or will be when the dialog over it is closed."""
        return self._transcript.screen.focused is self._transcript

    # Copy -------------------------------------------------------------------------------------------------------------

    async def action_copy_message(self) -> None:
        await self._copy(self.meant())

    async def _copy(self, turn: Turn | None) -> None:
        text = self._transcript.text_of(turn.id) if turn else ""
        if text:
            await self._copier.copy(text)
        else:
            self.flows.tell(tr("There is no answer to copy yet."))

    async def action_copy_code(self) -> None:
        turn = self.meant()
        blocks = self._transcript.code_blocks(turn.id) if turn and turn.role == "assistant" else []
        if len(blocks) > 1:
            self._choose_code(blocks, self._source_of(turn))
        elif blocks:
            await self._copier.copy(blocks[0].text, self._source_of(turn))
        else:
            self.flows.tell(tr("There is no code block in this answer."))

    def _source_of(self, turn: Turn | None) -> str:
        return self._transcript.text_of(turn.id) if turn else ""

    @flow("dialog")
    async def _choose_code(self, blocks: list[CodeBlock], source: str) -> None:
        """Copy one of several blocks; the last, which is wanted most, needs only enter."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        choices = [
            Choice(id=str(number), label=label, note=note, key=str(number) if number < 10 else "")
            for number, (label, note) in enumerate(map(phrases.code_block, blocks), start=1)
        ]
        chosen = await self.flows.ask(
            ChoiceScreen(title_of("copy_code"), choices, self.flows.keymap, current=choices[-1].id)
        )
        if chosen is not None:
            await self._copier.copy(blocks[int(chosen) - 1].text, source)

    # Fold, select, scroll ---------------------------------------------------------------------------------------------

    def action_fold_thinking(self) -> None:
        turn = self.meant()
        if turn is None or turn.role != "assistant" or not self._transcript.toggle_thinking(turn.id):
            self.flows.tell(tr("There is no thinking to fold here."))

    def action_fold_all(self) -> None:
        if not self._transcript.toggle_thinking(None):
            self.flows.tell(tr("There is no thinking to fold here."))

    def action_select_previous(self) -> None:
        is_at_card = self._transcript.has_open_card and not self._has_focus()
        self._transcript.focus()
        if not is_at_card:  # the card is what comes before the prompt
            self._transcript.select_previous()

    def action_select_next(self) -> None:
        self._transcript.select_next()
        if self._transcript.selected is None:
            self._prompt.focus()

    def action_scroll_page_up(self) -> None:
        self._transcript.scroll_page_up(animate=False)

    def action_scroll_page_down(self) -> None:
        self._transcript.scroll_page_down(animate=False)

    def action_scroll_up(self) -> None:
        self._transcript.scroll_up(animate=False)

    def action_scroll_down(self) -> None:
        self._transcript.scroll_down(animate=False)

    def action_scroll_top(self) -> None:
        self._transcript.scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self._transcript.scroll_end(animate=False)

    # Again ------------------------------------------------------------------------------------------------------------

    def action_regenerate(self) -> None:
        """Answer the last prompt again; the old answer is a branch."""
        answer = last_answer(self._controller.conversation)
        if answer is not None:
            self._answer_again(answer)
        elif self._controller.conversation.turns:
            self._answer_again(None)
        else:
            self.flows.tell(tr("There is nothing to answer yet."))

    def _answer_again(self, answer: Turn | None) -> None:
        if self._is_ready():
            self._controller.answer(replaces=answer.id if answer is not None else "")

    def _is_ready(self) -> bool:
        """Whether an answer can be asked for now; else it is said why not."""
        if not self._controller.can_answer:
            is_answering = self._controller.is_writing
            self.flows.tell(
                phrases.still_answering(self.flows.keymap) if is_answering else tr("The model is not ready yet.")
            )
            return False
        if self._controller.is_written_elsewhere:
            self.flows.tell(tr(phrases.STILL_WRITTEN_ELSEWHERE))
            return False
        return True

    def action_continue_answer(self) -> None:
        """Go on with the last answer, which ended before it was complete."""
        conversation = self._controller.conversation
        if unfinished_answer(conversation) is None:
            is_there = last_answer(conversation) is not None
            self.flows.tell(tr("The last answer is complete.") if is_there else tr("There is no answer to continue."))
        elif self._is_ready():
            self._controller.answer(goes_on=True)

    action_message_continue = action_continue_answer

    def action_answer_now(self) -> None:
        """End the thought that is being written."""
        if self._controller.is_writing:
            self._controller.end_thought()
        else:
            self.flows.tell(tr("No answer is being written."))

    def action_edit_last(self) -> None:
        """Put the last prompt into the input, to be sent in the place of itself and all that came after it."""
        said = [turn for turn in self._controller.conversation.turns if turn.role == "user"]
        if said:
            self._edit(said[-1])
        else:
            self.flows.tell(tr("There is no prompt to edit yet."))

    def _edit(self, turn: Turn) -> None:
        if self._controller.is_writing:
            self.flows.tell(phrases.still_answering(self.flows.keymap))
            return
        if turn.role == "assistant":
            self.edit_answer(turn)
            return
        if self._editing.turn_id != turn.id:
            self._editing.begin(turn, turn.text)
        self._prompt.focus()

    # The selected message ---------------------------------------------------------------------------------------------

    def action_message_previous(self) -> None:
        self._transcript.select_previous()

    def action_message_next(self) -> None:
        self.action_select_next()

    def action_message_fold(self) -> None:
        if not self._transcript.toggle_fold(self._transcript.selected):
            self.flows.tell(tr("There is nothing to fold in this message."))

    async def action_message_copy(self) -> None:
        await self.action_copy_message()

    async def action_message_copy_code(self) -> None:
        await self.action_copy_code()

    def action_message_edit(self) -> None:
        if turn := self._turn(self._transcript.selected):
            self._edit(turn)

    def action_message_regenerate(self) -> None:
        if turn := self._turn(self._transcript.selected):
            self._answer_from(turn)

    def _answer_from(self, turn: Turn) -> None:
        """Answer again from this message on: an answer gets a sibling, a prompt a new answer."""
        turns = self._controller.conversation.turns
        after = turns[turns.index(turn) + 1 :] if turn.role == "user" else (turn,)
        self._answer_again(after[0] if after else None)

    # Files ------------------------------------------------------------------------------------------------------------

    def action_message_files(self) -> None:
        if turn := self._turn(self._transcript.selected):
            self._show_files(turn)

    def show_file(self, turn_id: object, number: int) -> None:
        """Show the file whose line was clicked; of many, those that have no line of their own can be chosen."""
        if (turn := self._turn(turn_id)) is None:
            return
        has_line = len(turn.files) <= MOST_FILES or number < MOST_FILES - 1
        self._show_files(turn, turn.files[number] if has_line and number < len(turn.files) else None)

    @flow("dialog")
    async def _show_files(self, turn: Turn, file: Attachment | None = None) -> None:
        from tui.app.screens.choice import Choice, ChoiceScreen
        from tui.app.screens.log_view import LogScreen

        if file is None and len(turn.files) > 1:
            choices = [
                Choice(id=str(number), label=one.name, note=attachment_phrases.file_note(one))
                for number, one in enumerate(turn.files)
            ]
            chosen = await self.flows.ask(ChoiceScreen(title_of("message_files"), choices, self.flows.keymap))
            file = None if chosen is None else turn.files[int(chosen)]
        elif file is None and turn.files:
            file = turn.files[0]
        if file is not None:
            text = file.text[:_MOST_SHOWN]
            if len(text) < len(file.text):
                text += f"\n\n{tr('… the beginning of {n} characters.', n=f'{len(file.text):,}')}"
            await self.flows.ask(
                LogScreen(
                    text.split("\n"),
                    self.flows.keymap,
                    title=attachment_phrases.file_label(file),
                    from_start=True,
                    copy=self._copier.copy,
                )
            )

    @flow("reread")
    async def action_reread_files(self) -> None:
        """Of the prompt that is being edited, of the selected message, else of all the conversation: those that have
        changed are mentioned in the prompt."""
        if self._editing.files:
            self._editing.forget_files()
            await self._attaching.look(self._prompt.text)
            return
        selected = self._turn(self._transcript.selected)
        turns = (selected,) if selected is not None and selected.files else self._controller.conversation.turns
        newest = {file.path: file for turn in turns for file in turn.files if file.path}
        if not newest:
            self.flows.tell(tr("There are no files in this conversation. @ in the prompt names one."))
            return
        changed, gone = await self._attaching.changed(tuple(newest.values()))
        if changed:
            from tui.files.mentions import mention_of

            self._prompt.put_before(" ".join(mention_of(file.name) for file in changed))
            self._prompt.focus()
        self.flows.tell(attachment_phrases.read_again(changed, gone, len(newest)), bad=bool(gone))

    # A message that was pointed at ------------------------------------------------------------------------------------

    async def act(self, action: str, turn_id: object) -> None:
        """Do with a message what was clicked on; the selection stays as it is."""
        turn = self._turn(turn_id)
        if self._transcript.selected is None:
            self._prompt.focus()
        if turn is None:
            return
        if action == "message_copy":
            await self._copy(turn)
        elif action == "message_edit":
            self._edit(turn)
        elif action == "message_files":
            self._show_files(turn)
        elif action == "message_regenerate":
            self._answer_from(turn)
