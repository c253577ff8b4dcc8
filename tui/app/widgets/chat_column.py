"""The column with transcript and prompt."""

from __future__ import annotations

from textual import events
from textual.containers import Vertical

from tui.app.widgets.transcript import Transcript


class ChatColumn(Vertical):
    """Beside a transcript that is narrower than the column the wheel scrolls it too."""

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the transcript."""
        event.stop()
        self.query_one(Transcript).scroll_down(animate=False)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the transcript."""
        event.stop()
        self.query_one(Transcript).scroll_up(animate=False)
