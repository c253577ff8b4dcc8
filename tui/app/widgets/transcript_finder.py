"""Finding text in the conversation that is shown: going from hit to hit, counting them, and lighting those in view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tui.app.widgets.transcript_entries import Entry, TurnId
from tui.app.widgets.transcript_reader import TranscriptReader
from tui.app.widgets.transcript_search import TextSearch, is_folded, unfold


class TranscriptFinder(TranscriptReader):
    """While nothing is looked for, this costs nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "end_find", "End the search", show=False)]

    class Found(Message, namespace="transcript"):
        """Another hit was gone to, or there are others now: it is the `number`th of `n`, from 1; 0 while none is."""

        def __init__(self, number: int, n: int) -> None:
            super().__init__()
            self.number, self.n = number, n

    class FindEnded(Message, namespace="transcript"):
        """Nothing is looked for any more."""

    @property
    def is_finding(self) -> bool:
        """Something is looked for."""
        return self.search is not None

    def find(self, words: Sequence[str], turn_id: TurnId = None) -> None:
        """Look for any of these words. Goes to the first hit of the message `turn_id`, or from where the reader is."""
        self.search = TextSearch(words)
        self.forget_strips()
        self.refresh_bindings()
        entries = self.document.entries
        start = self._index_of(turn_id)
        first = 0
        if start < 0:
            start = max(0, self.document.at(round(self.scroll_y)))
            first = self._first_in_view(start)
        if first >= 0 and start < len(entries) and self._go_to(start, first):
            return
        for index in (*range(start + 1, len(entries)), *reversed(range(min(start + 1, len(entries))))):
            if self._go_to(index, 0 if index > start else -1):
                return
        self._tell()
        self.repaint_rows()

    def find_next(self, step: int = 1) -> None:
        """Go to the next hit, or to the one before with -1; from the last one to the first."""
        if self.search is None or self.search.current is None:
            return
        entry, number = self.search.current
        entries = self.document.entries
        if entry not in entries:  # it was taken away
            self.find(self.search.words)
            return
        index = entries.index(entry)
        if 0 <= number + step < self.search.count(entry):
            self._go_to(index, number + step)
            return
        n = len(entries)
        for away in range(1, n + 1):
            if self._go_to((index + step * away) % n, 0 if step > 0 else -1):
                return

    def end_find(self) -> None:
        """Nothing is looked for any more; what was unfolded stays so."""
        if self.search is not None:
            self.search = None
            self.forget_strips()
            self.repaint_rows()
            self.refresh_bindings()
            self.post_message(self.FindEnded())

    action_end_find = end_find

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is done with hits is there only while there are some."""
        if action in ("end_find", "find_next", "find_previous"):
            return self.search is not None
        return super().check_action(action, parameters)

    def _first_in_view(self, index: int) -> int:
        """Which of the hits of the entry at the top is the first that is not above it; -1 where none is."""
        entries, top = self.document.entries, round(self.scroll_y)
        if self.search is None or not index < len(entries) or not entries[index].parts:
            return 0
        if self.search.is_in_folded(entries[index]):
            return 0
        start = self.document.start(index)
        rows = self.search.spans(entries[index]).items()
        return min((span[2] for row, spans in rows if start + row >= top for span in spans), default=-1)

    def _index_of(self, turn_id: TurnId) -> int:
        entries = self.document.entries
        return next((at for at, entry in enumerate(entries) if turn_id is not None and entry.turn_id == turn_id), -1)

    def _go_to(self, index: int, number: int) -> bool:
        """Go to a hit of an entry, to its last one with -1; False where it has none."""
        search, entry = self.search, self.document.entries[index]
        if search is None or not search.count(entry):
            return False
        self.document.lay_out(index)
        if is_folded(entry) and search.is_in_folded(entry):
            unfold(entry)
            self.document.measure(index)
            self.refresh_bindings()
        n = search.count(entry)
        if not n:  # it stands in marks of Markdown or in an address, which are not shown
            return False
        number = number % n if number < 0 else min(number, n - 1)
        search.current = entry, number
        rows = sorted(row for row, spans in search.spans(entry).items() if any(span[2] == number for span in spans))
        self._bring_into_view(index, rows[0])
        self._tell()
        return True

    def _bring_into_view(self, index: int, local: int) -> None:
        y, height = round(self.scroll_y), self.size.height
        row = self.document.start(index) + local
        if not y < row < y + height - 1:
            self.following = False
            self._lay_out_view()
            self.scroll_to(y=max(0, row - height // 3), animate=False)
            # Entries that came into view may be higher than was thought.
            row = self.document.start(index) + local
            if not round(self.scroll_y) < row < round(self.scroll_y) + height - 1:
                self.scroll_to(y=max(0, row - height // 3), animate=False)
        self.forget_strips()
        self._lay_out_view()
        self.repaint_rows()

    def _tell(self) -> None:
        search = self.search
        if search is None:
            return
        before = n = 0
        current: Entry | None = search.current[0] if search.current else None
        for entry in self.document.entries:
            if entry is current:
                before = n
            n += search.count(entry)
        number = before + search.current[1] + 1 if search.current else 0
        self.post_message(self.Found(min(number, n), n))
