"""A text area whose lines are right after each change of its size."""

from __future__ import annotations

from textual.widgets import TextArea


class WrappedArea(TextArea):
    """Textual wraps the lines anew when the area has another size. When as many rows come of it as before, it leaves
    what may have been painted in between, whose ends are cut off: the words there would be lost."""

    def on_resize(self) -> None:
        """Paint all of it again."""
        self.refresh()
