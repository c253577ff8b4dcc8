"""What the reader does in the transcript, by key and by mouse: select a message, fold, copy, choose, act on what the
mouse points at. Nothing is added here and nothing taken away: that is `transcript.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.reactive import reactive

from tui.app.markdown.text import Run, width_of
from tui.app.widgets import head_actions
from tui.app.widgets.answer_entry import AnswerEntry
from tui.app.widgets.transcript_entries import CardEntry, Entry, TurnId
from tui.app.widgets.transcript_paint import copy_label, has_room, width_of_runs
from tui.app.widgets.transcript_view import MARGIN, TranscriptView


class TranscriptReader(TranscriptView):
    """A document that is read. Unknown names of messages raise `KeyError`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "toggle_thinking", "Fold or unfold thinking", show=False),
    ]

    selected: reactive[TurnId] = reactive[TurnId](None, repaint=False, init=False)
    """The message that the reader has selected, or None."""

    class Selected(Message, namespace="transcript"):
        """The reader selected a message; None when the selection was cleared."""

        def __init__(self, turn_id: TurnId, role: str) -> None:
            super().__init__()
            self.turn_id = turn_id
            self.role = role

    class ThinkingToggled(Message, namespace="transcript"):
        """The reader folded or unfolded the thinking of an answer."""

        def __init__(self, turn_id: TurnId, expanded: bool) -> None:
            super().__init__()
            self.turn_id = turn_id
            self.expanded = expanded

    class FileChosen(Message, namespace="transcript"):
        """The reader wants to see a file of a prompt."""

        def __init__(self, turn_id: TurnId, number: int) -> None:
            super().__init__()
            self.turn_id = turn_id
            self.number = number
            """Its place among the lines that name files."""

    class CopyRequested(Message, namespace="transcript"):
        """The reader asked for a code block."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CardChosen(Message, namespace="transcript"):
        """The reader clicked on what a card offers, even if messages have come below it."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    class MessageActionChosen(Message, namespace="transcript"):
        """The reader clicked on what stands in a message's head, or on the message with another button: it is selected
        then, and wants a menu."""

        def __init__(self, turn_id: TurnId, action: str) -> None:
            super().__init__()
            self.turn_id = turn_id
            self.action = action
            """Id in the table of actions."""

    class Emptied(Message, namespace="transcript"):
        """Nothing is shown any more, or something is for the first time."""

        def __init__(self, is_empty: bool) -> None:
            super().__init__()
            self.is_empty = is_empty

    class NewText(Message, namespace="transcript"):
        """Whether there is text below the view that the reader has not seen."""

        def __init__(self, is_new: bool) -> None:
            super().__init__()
            self.is_new = is_new

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._pointed = -1
        """Index of the entry below the mouse."""
        self._pressed_at = Offset()

    @property
    def selected_role(self) -> str:
        """The role of the selected message: "user", "answer", or "" when none is selected."""
        return self.document.entries[self._marked].role if self._marked >= 0 else ""

    def toggle_thinking(self, turn_id: TurnId = None) -> bool:
        """Fold or unfold the thinking of an answer; None does it to all, unfolding unless all are unfolded. False when
        there is none, and none to come."""
        if turn_id is not None:
            return self._toggle(*self._answer(turn_id))
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

    def toggle_fold(self, turn_id: TurnId) -> bool:
        """Fold or unfold what can be of a message: the thinking of an answer, a long prompt. False when there is
        nothing, and none to come."""
        index = self._index(turn_id)
        self.document.lay_out(index)
        return self._toggle(index, self.document.entries[index])

    def select_previous(self) -> None:
        """Select the message before the selected one; the last one when none is."""
        self._select(-1)

    def select_next(self) -> None:
        """Select the message after the selected one; after the last one the selection is cleared."""
        self._select(1)

    def show_message(self, turn_id: TurnId) -> None:
        """Select a message and bring it into view."""
        index = self._index(turn_id)
        self._mark(index)
        self._reveal(index)

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
        self.post_message(self.NewText(self.has_new_text))

    def on_click(self, event: events.Click) -> None:
        """Fold, copy a code block, choose from a card, act on a message, or select it."""
        index, row, line = self.document.line(round(self.scroll_y) + event.y)
        entry = self.document.entries[index] if index >= 0 else None
        if event.button == 3 and self._has_actions:
            if entry is not None and entry.role in ("user", "answer"):
                self._mark(index)
                self.focus()
                self.post_message(self.MessageActionChosen(entry.turn_id, "message_menu"))
        elif entry is not None and (action := self._message_action_at(event)):
            self.post_message(self.MessageActionChosen(entry.turn_id, action))
        elif entry is not None and line.action == "head" and (way := head_actions.way_at(line, event.x - MARGIN)):
            self.post_message(self.MessageActionChosen(entry.turn_id, way))
        elif entry is not None and line.action in ("thinking", "fold"):
            self._toggle(index, entry)
        elif entry is not None and line.action == "file":
            number = sum(entry.line(above).action == "file" for above in range(row))
            self.post_message(self.FileChosen(entry.turn_id, number))
        elif isinstance(entry, AnswerEntry) and line.action == "copy" and self._is_at_copy(event):
            number = sum(entry.line(above).action == "copy" for above in range(row))
            blocks = entry.code_blocks()
            if number < len(blocks):
                self.post_message(self.CopyRequested(blocks[number].text))
        elif isinstance(entry, CardEntry):
            shown = _choice_at(line.runs, event.x - MARGIN) if line.action == "choice" else ""
            for choice in entry.record.choices:
                if choice.shown == shown:
                    self.post_message(self.CardChosen(choice.action))
        elif self._has_actions and self._is_click(event):
            self._mark(index if entry is not None and entry.role != "notice" and index != self._marked else -1)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A click, or the beginning of a selection of text."""
        self._pressed_at = event.screen_offset

    def _is_click(self, event: events.Click) -> bool:
        """Nothing was selected with it, neither text nor the bar taken hold of."""
        is_at_bar = event.x == self.size.width - 1 and self.virtual_size.height > self.size.height
        return event.chain == 1 and event.screen_offset == self._pressed_at and not is_at_bar

    @property
    def _has_actions(self) -> bool:
        """Whoever shows this transcript does something with messages."""
        return hasattr(self, "action_message_copy")

    def _is_at_copy(self, event: events.Click) -> bool:
        return event.x >= self.size.width - 2 - width_of(copy_label())

    # The words at the end of a head ---------------------------------------------------------------------------------

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """What can be done with the message below the mouse is offered."""
        row = round(self.scroll_y) + event.y
        self._point(self.document.line(row)[0])

    def on_leave(self) -> None:
        """Nothing is offered any more."""
        self._point(-1)

    def _point(self, index: int) -> None:
        if index == self._pointed:
            return
        before, self._pointed = self._action_rows(), index
        top, height = round(self.scroll_y), self.size.height
        rows = sorted({*before, *self._action_rows()})
        self.repaint_some([row - top for row in rows if top <= row < top + height])

    def tails(self) -> dict[int, Sequence[Run]]:
        """What can be done with the message below the mouse and with the selected one."""
        return {row: head_actions.words(actions) for row, actions in self._action_rows().items()}

    def _action_rows(self) -> dict[int, tuple[str, ...]]:
        """Actions by the row that has them: the head of a message, or while that is above the view its last row."""
        if not self._has_actions or (self._marked < 0 and self._pointed < 0):
            return {}
        found, document, top = {}, self.document, round(self.scroll_y)
        for index in {self._marked, self._pointed} - {-1}:
            head = document.start(index) + 1
            row = head if head >= top else document.start(index + 1) - 1
            found[row] = head_actions.offered(document.entries[index])
        return found

    def _message_action_at(self, event: events.Click) -> str:
        row = round(self.scroll_y) + event.y
        actions = self._action_rows().get(row, ())
        tail, width = head_actions.words(actions), self.size.width - 1
        used = MARGIN + width_of(self.document.line(row)[2].text)
        if not tail or not has_room(used, tail, width):
            return ""
        return head_actions.hit(actions, event.x - (width - width_of_runs(tail)))

    # ----------------------------------------------------------------------------------------------------------------

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

    def _toggle(self, index: int, entry: Entry) -> bool:
        has_folds = entry.toggle()
        if self.document.is_laid_out(index):
            was_following, self.following = self.following, False
            self.entry_changed(index, 0, is_new=False)
            if round(self.scroll_y) >= self.document.start(index + 1):  # it was folded from the middle of it
                self.scroll_to(y=self.document.start(index), animate=False)
            self.following = was_following and self.document.height <= round(self.scroll_y) + self.size.height
        if isinstance(entry, AnswerEntry):
            self.post_message(self.ThinkingToggled(entry.turn_id, bool(entry.expanded)))
        return has_folds

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
