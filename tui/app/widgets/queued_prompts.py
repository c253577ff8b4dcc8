"""The prompts that wait, above the input: what they wait for, and their first lines."""

from __future__ import annotations

from collections.abc import Sequence

from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.base.text import one_line

MOST_ROWS = 4


class QueuedPrompts(LineWidget):
    """As tall as what it shows, and not there when nothing waits."""

    DEFAULT_CSS = """
    QueuedPrompts {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $background;
        display: none;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._texts: tuple[str, ...] = ()
        self._state = ""

    def show(self, texts: Sequence[str], state: str) -> None:
        """Show the texts, the one that is sent first at the top, under a line about them. On a low screen, or when they
        are many, the newest are seen, one of which the key takes back."""
        self._texts, self._state = tuple(texts), state
        most = MOST_ROWS if self.app.size.height >= 20 else 2
        height = 1 + min(len(texts), most)
        if self.display != bool(texts) or self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
            self.display = bool(texts)
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """A line on what they wait for, then one for each."""
        shown = list(enumerate(self._texts, start=1))[-max(1, height - 1) :]
        rows: list[Row] = [((shorten(self._state, width), "muted"),)]
        for number, text in shown:
            mark = f"{number} "
            rows.append(((mark, "faint"), (shorten(one_line(text[:1000]), width - len(mark)), "")))
        return rows
