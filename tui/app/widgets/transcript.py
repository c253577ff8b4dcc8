"""The conversation on the screen: records and streamed text go in, messages about what the reader did come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tui.app.markdown.blocks import CodeBlock
from tui.app.widgets.answer_entry import AnswerEntry
from tui.app.widgets.transcript_entries import (
    AnswerMessage,
    Card,
    CardChoice,
    CardEntry,
    Entry,
    Fork,
    Notice,
    NoticeEntry,
    NoticeStyle,
    Part,
    Record,
    TurnId,
    UserEntry,
    UserMessage,
    Words,
)
from tui.app.widgets.transcript_finder import TranscriptFinder

__all__ = ["AnswerMessage", "Card", "CardChoice", "Notice", "Record", "Transcript", "TurnId", "UserMessage"]


class Transcript(TranscriptFinder, can_focus=True):
    """All messages of a conversation in one widget.

    A `turn_id` names one message, or a user's message and its answer together; methods that need an answer look for
    the answer of that name. Unknown names raise `KeyError`. Everything is painted once per call, so text is best
    appended in the batches in which the engine sends it.
    """

    def __init__(self, *, expanded: bool | None = None) -> None:
        """`expanded` is how the thinking of an answer starts: None folds it, but for its last rows while it comes."""
        super().__init__()
        self.expanded = expanded
        self._was_empty, self._has_forks = True, False

    # What is shown --------------------------------------------------------------------------------------------------

    def load(self, records: Iterable[Record], *, from_start: bool = False) -> None:
        """Show a whole conversation, its end or its beginning. Only what comes into view is laid out."""
        self.end_find()
        self._forget(0)
        self._extend(records)
        if from_start:
            self.following = False
            self._set_scroll(0)
            self._lay_out_view()

    def _extend(self, records: Iterable[Record]) -> None:
        for record in records:
            self.document.add(_entry(record, expanded=self.expanded), lay_out=False)
        self._tell_whether_empty()
        self.reset_view()

    def clear(self) -> None:
        """Show nothing."""
        self._forget(0)
        self.reset_view()

    def add_user(self, turn_id: TurnId, text: str, files: tuple[Words, ...] = ()) -> None:
        """Append what the user wrote and go to the end; `files` are lines on what it is about."""
        self.following = True
        self._add(UserMessage(turn_id, text, files=files))

    def begin_answer(self, turn_id: TurnId, label: str) -> None:
        """Append an empty answer that text will be streamed into."""
        self._add_entry(AnswerEntry(AnswerMessage(turn_id, label, ""), complete=False, expanded=self.expanded))

    def take_up_answer(self, turn_id: TurnId, label: str) -> None:
        """An answer that had ended goes on: text will be streamed into it again."""
        index, entry = self._answer(turn_id)
        self.following = True
        self.entry_changed(index, entry.take_up(label))

    def append(self, turn_id: TurnId, kind: Part, text: str) -> None:
        """Add streamed text to the thinking or the answer; clears the progress line."""
        index, entry = self._answer(turn_id)
        self.entry_changed(index, entry.append(kind, text))

    def recast(self, turn_id: TurnId) -> None:
        """What came of the answer so far belongs to its thinking."""
        index, entry = self._answer(turn_id)
        self.entry_changed(index, entry.recast())

    def set_progress(self, turn_id: TurnId, text: Words) -> None:
        """Show a line such as "reading the prompt… 40%" at the end of the answer until text comes; "" takes it away."""
        index, entry = self._answer(turn_id)
        self.entry_changed(index, entry.set_progress(text))

    def set_live(self, turn_id: TurnId, text: Words) -> None:
        """Show how the answer goes, where its footer will be."""
        index, entry = self._answer(turn_id)
        self.entry_changed(index, entry.set_live(text), is_new=False)

    def set_thinking_label(self, turn_id: TurnId, label: Words) -> None:
        """Name the thinking, such as "thought for 3.2 s · 96 tokens"."""
        index, entry = self._answer(turn_id)
        self.entry_changed(index, entry.set_thinking_label(label))

    def end_answer(self, turn_id: TurnId, footer: Words) -> None:
        """The answer is complete, cancelled or broken off: show all of it, and the footer under it."""
        index, entry = self._answer(turn_id)
        self.entry_changed(index, entry.finish(footer))

    def add_notice(self, text: Words, style: NoticeStyle = "dim") -> None:
        """Append a line between messages."""
        self._add(Notice(text, style))

    def add_card(self, card: Card, again: Callable[[], Card] | None = None) -> None:
        """Append a card; the keys of what it offers work while it is the last and the transcript has the focus. `again`
        makes it in another language."""
        self._add_entry(CardEntry(card, again))

    def reword(self) -> None:
        """Another language is in use: say everything in it. The reader stays where they are."""
        for entry in self.document.entries:
            entry.reword()
        self.lay_out_again()

    def remove_card(self, card_id: str) -> None:
        """Take a card away; unknown ones are ignored, for its key may be pressed twice."""
        for index, entry in enumerate(self.document.entries):
            if isinstance(entry, CardEntry) and entry.turn_id == card_id:
                later = self.document.entries[index + 1 :]
                self._forget(index)
                for kept in later:
                    self.document.add(kept, lay_out=False)
                self._lay_out_view()
                self.repaint_rows()
                return

    def truncate_from(self, turn_id: TurnId, role: str | None = None) -> None:
        """Remove a message and all that follows it. With a name that a message and its answer share, `role` ("user",
        "answer") tells which; the first one otherwise."""
        self._forget(self._index(turn_id, role))
        self.reset_view()

    def replace_from(self, turn_id: TurnId, records: Iterable[Record]) -> None:
        """Show these messages instead of a message and all that follows it; None adds them at the end. A card whose
        keys work stays the last."""
        card = self._open_card()
        if card is not None:
            self.remove_card(card.record.card_id)
        if turn_id is not None:
            self._forget(self._index(turn_id))
        self._extend(records)
        if card is not None:
            self.add_card(card.record, card.again)

    def show_replaced(self, turn_id: TurnId) -> None:
        """A message and all that follows it are about to be replaced, and look like it; None ends that."""
        is_replaced = False
        for entry in self.document.entries:
            is_replaced = is_replaced or (turn_id is not None and entry.turn_id == turn_id and entry.role == "user")
            entry.is_replaced = is_replaced
        self.forget_strips()
        self.repaint_rows()

    def show_forks(self, forks: Mapping[Any, Fork]) -> None:
        """These messages have siblings, and no others."""
        if not forks and not self._has_forks:
            return
        self._has_forks = bool(forks)
        for index, entry in enumerate(self.document.entries):
            fork = forks.get(entry.turn_id) if entry.role in ("user", "answer") else None
            if fork != entry.fork:
                entry.show_fork(fork)
                if self.document.is_laid_out(index):
                    self.entry_changed(index, 0, is_new=False)
        self.refresh_bindings()

    def go_to(self, turn_id: TurnId, *, is_selected: bool = True) -> None:
        """Bring the beginning of a message into view, and select it."""
        index = self._index(turn_id)
        if is_selected:
            self._mark(index)
        self._reveal(index)

    # What is known --------------------------------------------------------------------------------------------------

    def text_of(self, turn_id: TurnId, role: str | None = None) -> str:
        """The source of a message; of an answer without its thinking."""
        return self.document.entries[self._index(turn_id, role)].text

    def code_blocks(self, turn_id: TurnId) -> list[CodeBlock]:
        """The code blocks of an answer, in order."""
        return self._answer(turn_id)[1].code_blocks()

    def has_files(self, turn_id: TurnId) -> bool:
        """Whether a prompt is about files."""
        entry = self.document.entries[self._index(turn_id, "user")]
        return isinstance(entry, UserEntry) and bool(entry.record.files)

    @property
    def has_open_card(self) -> bool:
        """The last thing that was said is a card, and its keys work."""
        return self._open_card() is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is done with the selected message is there only while one is selected, and what a card offers only while
        it is open."""
        if action.startswith("message_branch_"):
            return self._marked >= 0 and self.document.entries[self._marked].fork is not None
        if action.startswith("message_"):
            if action == "message_files":
                return self.selected_role == "user" and self.has_files(self.selected)
            return self._can(action)
        if action == "toggle_thinking" and self.selected is not None and hasattr(self, "action_message_fold"):
            return False  # its keys fold the selected message, whatever that is
        if action.startswith("card_"):
            card = self._open_card()
            return card is not None and any(choice.action == action for choice in card.record.choices)
        return super().check_action(action, parameters)

    def _can(self, action: str) -> bool:
        """Whether this can be done with the selected message."""
        if self._marked < 0:
            return False
        entry = self.document.entries[self._marked]
        is_answer = isinstance(entry, AnswerEntry)
        if action == "message_edit":
            return not isinstance(entry, AnswerEntry) or entry.is_complete
        if action == "message_continue":
            last = next((one for one in reversed(self.document.entries) if one.role in ("user", "answer")), None)
            return entry is last and isinstance(entry, AnswerEntry) and entry.is_complete
        if action == "message_compare":
            return is_answer and entry.fork is not None
        return True

    # ----------------------------------------------------------------------------------------------------------------

    def _add(self, record: Record) -> None:
        self._add_entry(_entry(record))

    def _add_entry(self, entry: Entry) -> None:
        index = self.document.add(entry)
        self._tell_whether_empty()
        self.refresh_bindings()
        self.entry_changed(index, 0)
        if self.following:
            self._show_end()
        elif self.size.height:
            self.has_new_text = True

    def _show_end(self) -> None:
        """Scroll by as much as the new entry wants, and repaint."""
        y, height = round(self.scroll_y), self.size.height
        if height and self.document.height > y + height:
            self._set_scroll(self.document.height - height + self._jump - 1)
        self.repaint_rows()

    def _forget(self, index: int) -> None:
        self.document.cut(index)
        self._tell_whether_empty()
        self.refresh_bindings()  # a card may be open now, or is gone
        if self._pointed >= index:
            self._pointed = -1
        if self._marked >= index:
            self._mark(-1)

    def _tell_whether_empty(self) -> None:
        is_empty = not self.document.entries
        if is_empty != self._was_empty:
            self._was_empty = is_empty
            self.post_message(self.Emptied(is_empty))

    def _open_card(self) -> CardEntry | None:
        for entry in reversed(self.document.entries):
            if isinstance(entry, CardEntry):
                return entry
            if entry.role != "notice":
                return None
        return None


def _entry(record: Record, *, expanded: bool | None = None) -> Entry:
    """The entry that shows a record; `expanded` as in `AnswerEntry`."""
    match record:
        case UserMessage():
            return UserEntry(record)
        case AnswerMessage():
            return AnswerEntry(record, complete=True, expanded=expanded)
        case Notice():
            return NoticeEntry(record)
        case Card():
            return CardEntry(record)
