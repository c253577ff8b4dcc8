"""One row of the main screen while something is fetched: what, how far, how fast. A click shows all downloads."""

from __future__ import annotations

from textual.message import Message

from tui.app import hub_phrases
from tui.app.widgets.lines import LineWidget, Row
from tui.downloads.records import Download


class DownloadLine(LineWidget):
    """Hidden while nothing is fetched. Whoever tells it says so once a second at most."""

    DEFAULT_CSS = """
    DownloadLine {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $background;
        pointer: pointer;
    }
    """
    COMPONENT_CLASSES = set()  # noqa: RUF012

    class Clicked(Message):
        """Somebody wants to know more."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.display = False
        self._download: Download | None = None
        self._n_waiting = 0
        self._key = ""

    def show(self, download: Download | None, n_waiting: int, key: str) -> None:
        """Tell of this one, of those that wait behind it, and of the key that shows all; None for nothing."""
        self._download, self._n_waiting, self._key = download, n_waiting, key
        self.display = download is not None
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The one row."""
        if self._download is None:
            return []
        return [hub_phrases.progress_line(self._download, self._n_waiting, self._key, width)]

    def on_click(self) -> None:
        """Tell the screen."""
        self.post_message(self.Clicked())
