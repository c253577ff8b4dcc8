"""What can be done with messages: select, copy, fold, scroll, edit and send again, answer again."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from textual import on, work
from textual.markup import escape

from tui.app import phrases
from tui.app.markdown.blocks import CodeBlock
from tui.app.screens.base import ChatScreen
from tui.app.widgets.transcript import Transcript
from tui.chat.conversation import Turn, last_answer
from tui.chat.store import StoreError
from tui.session.replacing import Version


class Edit(msgspec.Struct, frozen=True):
    """A prompt that is being written anew. It stays in the conversation until it is sent."""

    turn_id: str
    draft: str
    """What stood in the input before."""


class MessageActions(ChatScreen):
    """The scopes "chat" (by a key at any time) and "transcript" (for the selected message)."""

    _edit_now: Edit | None = None

    # What is meant ----------------------------------------------------------------------------------------------------

    def _turn(self, turn_id: object) -> Turn | None:
        return next((turn for turn in self.controller.conversation.turns if turn.id == turn_id), None)

    def _meant(self) -> Turn | None:
        """The selected message, else the last answer, else None."""
        if self.transcript.selected is not None:
            return self._turn(self.transcript.selected)
        answers = [turn for turn in self.controller.conversation.turns if turn.role == "assistant"]
        return answers[-1] if answers else None

    @on(Transcript.Selected)
    def _selection_changed(self) -> None:
        """With nothing selected, the focus goes back to where it can be seen; a card's keys need it where it is."""
        transcript = self.transcript
        if transcript.selected is None and self.focused is transcript and not transcript.has_open_card:
            self.prompt.focus()
        self.refresh_bindings()

    # Copy -------------------------------------------------------------------------------------------------------------

    async def action_copy_message(self) -> None:
        turn = self._meant()
        text = self.transcript.text_of(turn.id) if turn else ""
        if text:
            await self.copy(text)
        else:
            self.tell("There is no answer to copy yet.")

    async def action_copy_code(self) -> None:
        turn = self._meant()
        blocks = self.transcript.code_blocks(turn.id) if turn and turn.role == "assistant" else []
        if len(blocks) > 1:
            self._choose_code(blocks, self._source_of(turn))
        elif blocks:
            await self.copy(blocks[0].text, self._source_of(turn))
        else:
            self.tell("There is no code block in this answer.")

    def _source_of(self, turn: Turn | None) -> str:
        return self.transcript.text_of(turn.id) if turn else ""

    @work(exclusive=True, group="dialog")
    async def _choose_code(self, blocks: list[CodeBlock], source: str) -> None:
        """Copy one of several blocks; the last, which is wanted most, needs only enter."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        choices = [
            Choice(id=str(number), label=label, note=note, key=str(number) if number < 10 else "")
            for number, (label, note) in enumerate(map(phrases.code_block, blocks), start=1)
        ]
        chosen = await self.ask(ChoiceScreen("Copy code", choices, self.keymap, current=choices[-1].id))
        if chosen is not None:
            await self.copy(blocks[int(chosen) - 1].text, source)

    @on(Transcript.CopyRequested)
    async def _copy_block(self, message: Transcript.CopyRequested) -> None:
        await self.copy(message.text)

    # Fold, select, scroll ---------------------------------------------------------------------------------------------

    def action_fold_thinking(self) -> None:
        turn = self._meant()
        if turn is None or turn.role != "assistant" or not self.transcript.toggle_thinking(turn.id):
            self.tell("There is no thinking to fold here.")

    def action_fold_all(self) -> None:
        if not self.transcript.toggle_thinking(None):
            self.tell("There is no thinking to fold here.")

    def action_select_previous(self) -> None:
        is_at_card = self.transcript.has_open_card and self.focused is not self.transcript
        self.transcript.focus()
        if not is_at_card:  # the card is what comes before the prompt
            self.transcript.select_previous()

    def action_select_next(self) -> None:
        self.transcript.select_next()
        if self.transcript.selected is None:
            self.prompt.focus()

    def action_scroll_page_up(self) -> None:
        self.transcript.scroll_page_up(animate=False)

    def action_scroll_page_down(self) -> None:
        self.transcript.scroll_page_down(animate=False)

    def action_scroll_up(self) -> None:
        self.transcript.scroll_up(animate=False)

    def action_scroll_down(self) -> None:
        self.transcript.scroll_down(animate=False)

    def action_scroll_top(self) -> None:
        self.transcript.scroll_home(animate=False)

    def action_scroll_end(self) -> None:
        self.transcript.scroll_end(animate=False)

    # Again ------------------------------------------------------------------------------------------------------------

    def action_regenerate(self) -> None:
        """Answer the last prompt again; the old answer is kept in the store."""
        answer = last_answer(self.controller.conversation)
        if answer is not None:
            self._answer_again(answer)
        elif self.controller.conversation.turns:
            self._answer_again(None)
        else:
            self.tell("There is nothing to answer yet.")

    def _answer_again(self, answer: Turn | None) -> None:
        if not self.controller.can_answer:
            is_answering = self.controller.is_writing
            self.tell(phrases.still_answering(self.keymap) if is_answering else "The model is not ready yet.")
            return
        if self.controller.opened.is_written_elsewhere:
            self.tell(phrases.STILL_WRITTEN_ELSEWHERE)
            return
        if answer is not None:
            self.controller.replacing.cut(answer.id)
        self.controller.answer()

    @work(exclusive=True, group="dialog")
    async def action_bring_back(self) -> None:
        """Put what was replaced in its place again; where there are several versions, the one that is chosen."""
        replacing = self.controller.replacing
        try:
            versions = await replacing.versions()
            version = versions[0] if len(versions) == 1 else await self._choose_version(versions)
            if self.controller.is_writing:
                self.tell(phrases.still_answering(self.keymap))
            elif self.controller.opened.is_written_elsewhere:
                self.tell(phrases.STILL_WRITTEN_ELSEWHERE)
            elif version is not None:
                await self.controller.bring_back(version)
                self.tell(phrases.PUT_BACK)
            elif not versions:
                self.tell("Nothing was replaced in this conversation.")
        except StoreError as error:
            self.tell(str(error), bad=True)

    async def _choose_version(self, versions: Sequence[Version]) -> Version | None:
        from tui.app.screens.choice import Choice, ChoiceScreen

        choices = []
        for number, version in enumerate(versions):
            label, note = phrases.version(version)
            choices.append(Choice(id=str(number), label=label, note=note, key=str(number + 1) if number < 9 else ""))
        if not choices:
            return None
        chosen = await self.ask(ChoiceScreen("Bring back", choices, self.keymap))
        return None if chosen is None else versions[int(chosen)]

    def action_edit_last(self) -> None:
        """Put the last prompt into the input, to be sent in the place of itself and all that came after it."""
        said = [turn for turn in self.controller.conversation.turns if turn.role == "user"]
        if said:
            self._edit(said[-1])
        else:
            self.tell("There is no prompt to edit yet.")

    def _edit(self, turn: Turn) -> None:
        if self.controller.is_writing:
            self.tell(phrases.still_answering(self.keymap))
            return
        if self._edit_now is None or self._edit_now.turn_id != turn.id:
            self._begin_edit(turn, turn.text)
        self.prompt.focus()

    def _begin_edit(self, turn: Turn, text: str) -> None:
        self._edit_now = Edit(turn.id, self.prompt.text if self._edit_now is None else self._edit_now.draft)
        self.prompt.set_text(text)
        self.prompt.border_title = escape(phrases.editing(self.keymap))

    def edit_again(self, turn: Turn, text: str) -> None:
        """Go on editing a prompt whose new words were not answered. What somebody has begun to write is left alone."""
        if self._edit_now is None and not self.prompt.text:
            self._begin_edit(turn, text)

    def keep_edit(self, before: Sequence[Turn], now: Sequence[Turn]) -> None:
        """Go on editing the same prompt after the conversation has changed, whatever its id is now. What was written
        stays in the input even when that prompt is gone; it is then sent as a new one."""
        if self._edit_now is None:
            return
        place = next((place for place, turn in enumerate(before) if turn.id == self._edit_now.turn_id), len(now))
        same = next((turn for turn in now if turn.id == self._edit_now.turn_id), None)
        if same is None and len(before) == len(now):
            same = now[place]
        if same is not None:
            self._edit_now = Edit(same.id, self._edit_now.draft)
        else:
            self._edit_now = None
            self.prompt.border_title = ""

    def leave_edit(self) -> bool:
        """Put back what stood in the input before a prompt was edited; False when none is."""
        edit, self._edit_now = self._edit_now, None
        if edit is None:
            return False
        self.prompt.border_title = ""
        self.prompt.set_text(edit.draft)
        return True

    # The selected message ---------------------------------------------------------------------------------------------

    def action_message_previous(self) -> None:
        self.transcript.select_previous()

    def action_message_next(self) -> None:
        self.action_select_next()

    def action_message_fold(self) -> None:
        self.action_fold_thinking()

    async def action_message_copy(self) -> None:
        await self.action_copy_message()

    async def action_message_copy_code(self) -> None:
        await self.action_copy_code()

    def action_message_edit(self) -> None:
        if turn := self._turn(self.transcript.selected):
            self._edit(turn)

    def action_message_regenerate(self) -> None:
        """Answer again from the selected message on: an answer is replaced, a prompt gets a new one."""
        turn = self._turn(self.transcript.selected)
        if turn is None:
            return
        turns = self.controller.conversation.turns
        after = turns[turns.index(turn) + 1 :] if turn.role == "user" else (turn,)
        self._answer_again(after[0] if after else None)
