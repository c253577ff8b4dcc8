"""The column with transcript and prompt."""

from __future__ import annotations

from typing import Protocol

from textual import events, on
from textual.containers import Vertical

from tui.app.widgets.find_line import FindLine
from tui.app.widgets.transcript import Transcript


class Finding(Protocol):
    """What looks for text in the transcript."""

    def typed(self, text: str) -> None:
        """Look for this."""

    def entered(self) -> None:
        """It is typed."""

    def go(self, step: int) -> None:
        """To another hit."""

    def show(self, number: int, n: int) -> None:
        """The `number`th of `n` hits was gone to."""

    def end(self) -> None:
        """Nothing is looked for any more."""


class ChatColumn(Vertical):
    """Where the transcript is narrower than the column, the wheel scrolls it from beside it too. What the line tells in
    which text is typed that is looked for, and the transcript about its hits, goes to `finding`."""

    def __init__(self, finding: Finding, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._finding = finding

    @on(FindLine.Typed)
    def _find_typed(self, event: FindLine.Typed) -> None:
        self._finding.typed(event.text)

    @on(FindLine.Entered)
    def _find_entered(self) -> None:
        self._finding.entered()

    @on(FindLine.Go)
    def _find_go(self, event: FindLine.Go) -> None:
        self._finding.go(event.step)

    @on(FindLine.Left)
    @on(Transcript.FindEnded)
    @on(events.DescendantFocus, "Prompt")
    def _find_ended(self) -> None:
        self._finding.end()

    @on(Transcript.Found)
    def _found(self, event: Transcript.Found) -> None:
        self._finding.show(event.number, event.n)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the transcript."""
        self._scroll(event, self.app.scroll_sensitivity_y)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the transcript."""
        self._scroll(event, -self.app.scroll_sensitivity_y)

    def _scroll(self, event: events.MouseEvent, by: float) -> None:
        event.stop()
        self.query_one(Transcript).scroll_relative(y=by, animate=False)
