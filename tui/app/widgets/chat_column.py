"""The column with transcript and prompt."""

from __future__ import annotations

from textual import events
from textual.containers import Vertical

from tui.app.widgets.transcript import Transcript


class ChatColumn(Vertical):
    """Where the transcript is narrower than the column, the wheel scrolls it from beside it too."""

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the transcript."""
        self._scroll(event, self.app.scroll_sensitivity_y)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the transcript."""
        self._scroll(event, -self.app.scroll_sensitivity_y)

    def _scroll(self, event: events.MouseEvent, by: float) -> None:
        event.stop()
        self.query_one(Transcript).scroll_relative(y=by, animate=False)
