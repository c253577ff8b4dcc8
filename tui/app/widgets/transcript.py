"""The conversation on the screen: records and streamed text go in, messages about what the reader did come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from tui.app.markdown.blocks import CodeBlock
from tui.app.markdown.text import width_of
from tui.app.widgets.transcript_entries import (
    AnswerEntry,
    AnswerMessage,
    Card,
    CardChoice,
    CardEntry,
    Entry,
    Notice,
    NoticeStyle,
    Part,
    Record,
    TurnId,
    UserMessage,
    Words,
    make_entry,
)
from tui.app.widgets.transcript_paint import copy_label
from tui.app.widgets.transcript_view import MARGIN, TranscriptView

__all__ = ["AnswerMessage", "Card", "CardChoice", "Notice", "Record", "Transcript", "TurnId", "UserMessage"]


class Transcript(TranscriptView, can_focus=True):
    """All messages of a conversation in one widget.

    A `turn_id` names one message, or a user's message and its answer together; methods that need an answer look for
    the answer of that name. Unknown names raise `KeyError`. Everything is painted once per call, so text is best
    appended in the batches in which the engine sends it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "toggle_thinking", "Fold or unfold thinking", show=False),
    ]

    selected: reactive[TurnId] = reactive[TurnId](None, repaint=False, init=False)
    """The message that the keyboard has selected, or None."""

    class Selected(Message):
        """The keyboard selected a message; None when the selection was cleared."""

        def __init__(self, turn_id: TurnId, role: str) -> None:
            super().__init__()
            self.turn_id = turn_id
            self.role = role

    class ThinkingToggled(Message):
        """The reader folded or unfolded the thinking of an answer."""

        def __init__(self, turn_id: TurnId, expanded: bool) -> None:
            super().__init__()
            self.turn_id = turn_id
            self.expanded = expanded

    class CopyRequested(Message):
        """The reader asked for a code block."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CardChosen(Message):
        """The reader clicked on what a card offers, even if messages have come below it."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    class Emptied(Message):
        """Nothing is shown any more, or something is for the first time."""

        def __init__(self, is_empty: bool) -> None:
            super().__init__()
            self.is_empty = is_empty

    class NewText(Message):
        """Whether there is text below the view that the reader has not seen."""

        def __init__(self, is_new: bool) -> None:
            super().__init__()
            self.is_new = is_new

    def __init__(self, *, expanded: bool | None = None) -> None:
        """`expanded` is how the thinking of an answer starts: None folds it, but for its last rows while it comes."""
        super().__init__()
        self.expanded = expanded
        self._was_empty = True

    # What is shown --------------------------------------------------------------------------------------------------

    def load(self, records: Iterable[Record]) -> None:
        """Show a whole conversation, from its end. Only what comes into view is laid out."""
        self._forget(0)
        self._extend(records)

    def _extend(self, records: Iterable[Record]) -> None:
        for record in records:
            self.document.add(make_entry(record, expanded=self.expanded), lay_out=False)
        self._tell_whether_empty()
        self.reset_view()

    def clear(self) -> None:
        """Show nothing."""
        self._forget(0)
        self.reset_view()

    def add_user(self, turn_id: TurnId, text: str) -> None:
        """Append what the user wrote and go to the end."""
        self.following = True
        self._add(UserMessage(turn_id, text))

    def begin_answer(self, turn_id: TurnId, label: str) -> None:
        """Append an empty answer that text will be streamed into."""
        self._add_entry(AnswerEntry(AnswerMessage(turn_id, label, ""), complete=False, expanded=self.expanded))

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

    # What is known --------------------------------------------------------------------------------------------------

    def text_of(self, turn_id: TurnId, role: str | None = None) -> str:
        """The source of a message; of an answer without its thinking."""
        return self.document.entries[self._index(turn_id, role)].text

    def code_blocks(self, turn_id: TurnId) -> list[CodeBlock]:
        """The code blocks of an answer, in order."""
        return self._answer(turn_id)[1].code_blocks()

    @property
    def selected_role(self) -> str:
        """The role of the selected message: "user", "answer", or "" when none is selected."""
        return self.document.entries[self._marked].role if self._marked >= 0 else ""

    @property
    def has_open_card(self) -> bool:
        """The last thing that was said is a card, and its keys work."""
        return self._open_card() is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is done with the selected message is there only while one is selected, and what a card offers only while
        it is open."""
        if action.startswith("message_"):
            return self.selected is not None and (action != "message_edit" or self.selected_role == "user")
        if action.startswith("card_"):
            card = self._open_card()
            return card is not None and any(choice.action == action for choice in card.record.choices)
        return super().check_action(action, parameters)

    # What the reader does -------------------------------------------------------------------------------------------

    def toggle_thinking(self, turn_id: TurnId = None) -> bool:
        """Fold or unfold the thinking of an answer; None does it to all, unfolding unless all are unfolded. False when
        there is none, and none to come."""
        if turn_id is not None:
            place, answer = self._answer(turn_id)
            self._toggle(place, answer)
            return bool(answer.thinking_text) or not answer.is_complete
        answers = [
            (index, entry)
            for index, entry in enumerate(self.document.entries)
            if isinstance(entry, AnswerEntry) and entry.thinking_text
        ]
        expanded = not all(entry.expanded for _, entry in answers)
        for index, entry in answers:
            if bool(entry.expanded) != expanded:
                self._toggle(index, entry)
        return bool(answers)

    def select_previous(self) -> None:
        """Select the message before the selected one; the last one when none is."""
        self._select(-1)

    def select_next(self) -> None:
        """Select the message after the selected one; after the last one the selection is cleared."""
        self._select(1)

    def clear_selection(self) -> None:
        """Select nothing."""
        self._mark(-1)

    action_select_previous = select_previous
    action_select_next = select_next

    def action_toggle_thinking(self) -> None:
        """Fold or unfold the thinking of the selected answer, or of the last one."""
        index = self._marked if self._marked >= 0 else len(self.document.entries) - 1
        while index >= 0:
            entry = self.document.entries[index]
            if isinstance(entry, AnswerEntry):
                if entry.thinking_text:
                    self._toggle(index, entry)
                return
            index -= 1

    def watch_has_new_text(self) -> None:
        """Tell the app."""
        super().watch_has_new_text()
        self.post_message(self.NewText(self.has_new_text))

    def on_click(self, event: events.Click) -> None:
        """Fold thinking, copy a code block, or choose from a card."""
        index, row, line = self.document.line(round(self.scroll_y) + event.y)
        if index < 0 or not line.action:
            return
        entry = self.document.entries[index]
        if line.action == "thinking" and isinstance(entry, AnswerEntry):
            self._toggle(index, entry)
        elif line.action == "copy" and isinstance(entry, AnswerEntry):
            if event.x >= self.size.width - 2 - width_of(copy_label()):
                number = sum(entry.line(above).action == "copy" for above in range(row))
                blocks = entry.code_blocks()
                if number < len(blocks):
                    self.post_message(self.CopyRequested(blocks[number].text))
        elif line.action == "choice" and isinstance(entry, CardEntry):
            shown = _choice_at(line.runs, event.x - MARGIN)
            for choice in entry.record.choices:
                if choice.shown == shown:
                    self.post_message(self.CardChosen(choice.action))

    # ----------------------------------------------------------------------------------------------------------------

    def _add(self, record: Record) -> None:
        self._add_entry(make_entry(record))

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
        if self._marked >= index:
            self._mark(-1)

    def _tell_whether_empty(self) -> None:
        is_empty = not self.document.entries
        if is_empty != self._was_empty:
            self._was_empty = is_empty
            self.post_message(self.Emptied(is_empty))

    def _index(self, turn_id: TurnId, role: str | None = None) -> int:
        for index, entry in enumerate(self.document.entries):
            if entry.turn_id == turn_id and entry.role in ((role,) if role else ("user", "answer")):
                return index
        raise KeyError(turn_id)

    def _answer(self, turn_id: TurnId) -> tuple[int, AnswerEntry]:
        entries = self.document.entries
        for index in range(len(entries) - 1, -1, -1):
            entry = entries[index]
            if isinstance(entry, AnswerEntry) and entry.turn_id == turn_id:
                self.document.lay_out(index)
                return index, entry
        raise KeyError(turn_id)

    def _toggle(self, index: int, entry: AnswerEntry) -> None:
        expanded = entry.toggle_thinking()
        if self.document.is_laid_out(index):
            was_following, self.following = self.following, False
            self.entry_changed(index, 0, is_new=False)
            self.following = was_following and self.document.height <= round(self.scroll_y) + self.size.height
        self.post_message(self.ThinkingToggled(entry.turn_id, expanded))

    def _open_card(self) -> CardEntry | None:
        for entry in reversed(self.document.entries):
            if isinstance(entry, CardEntry):
                return entry
            if entry.role != "notice":
                return None
        return None

    def _select(self, step: int) -> None:
        entries = self.document.entries
        index = self._marked + step if self._marked >= 0 else len(entries) - 1
        while 0 <= index < len(entries) and entries[index].role not in ("user", "answer"):
            index += step if self._marked >= 0 else -1
        if index < 0:
            return
        if index >= len(entries):
            self._mark(-1)
            return
        self._mark(index)
        self._reveal(index)

    def _mark(self, index: int) -> None:
        if index == self._marked:
            return
        self._marked = index
        entry = self.document.entries[index] if index >= 0 else None
        self.selected = entry.turn_id if entry else None
        self.repaint_rows()
        self.post_message(self.Selected(self.selected, entry.role if entry else ""))

    def _reveal(self, index: int) -> None:
        """Scroll so that an entry's beginning is in view, and as much of it as fits."""
        change = self.document.lay_out(index)
        y, height = round(self.scroll_y), self.size.height
        start, stop = self.document.start(index), self.document.start(index + 1)
        if change and start < y:
            y += change
        if start < y or stop > y + height:
            self.scroll_to(y=min(start, max(stop - height, 0)) if stop - start <= height else start, animate=False)


def _choice_at(runs: tuple[tuple[str, str], ...], x: int) -> str:
    """The key, as it is shown, of the choice that a click at cell `x` hits; "" for none."""
    column, key = 0, ""
    for text, style in runs:
        column += width_of(text)
        if style == "key":
            key = text
        if x < column and key and text.strip():
            return key
    return ""
