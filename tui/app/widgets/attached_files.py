"""The files that the prompt is about, above the input: name, size, tokens, and what keeps one from being sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from textual import events
from textual.message import Message

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import LineWidget, Row, shorten, spread
from tui.base.text import one_line
from tui.words import trn

MOST_ROWS = 5
_TAKE_AWAY = " ✕"

State = Literal["good", "muted", "tight", "full"]
"""It goes along; it need not; it does, and something should be known of it; it cannot."""

_URGENT: tuple[State, ...] = ("full", "tight", "good", "muted")


class AttachedRow(msgspec.Struct, frozen=True):
    """What one mention stands for."""

    name: str
    note: str
    state: State = "good"


class AttachedFiles(LineWidget):
    """As tall as what it shows, and not there when the prompt is about no file."""

    DEFAULT_CSS = """
    AttachedFiles {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $background;
        display: none;
    }
    """

    class TakenAway(Message):
        """The cross behind a file was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._files: tuple[AttachedRow, ...] = ()
        self._total: tuple[str, State] = "", "muted"

    def show(self, files: Sequence[AttachedRow], total: str = "", state: State = "muted") -> None:
        """Show these, and a line about all of them where `total` is one. On a low screen, or where they are many, those
        that want a look come first, and the others are counted."""
        self._files, self._total = tuple(files), (total, state)
        most = MOST_ROWS if self.app.size.height >= 20 else 2
        height = max(1, min(len(self._files), most) + bool(total))
        if self.display != bool(files) or self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
            self.display = bool(files)
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """A row for each file, then all of them."""
        total, state = self._total
        rows: list[Row] = [_row(file, width) for file in self._seen(height)]
        if n_more := len(self._files) - len(rows):
            rows.append(((f"  {trn('{n} more file', '{n} more files', n_more)}", "muted"),))
        return [*rows, ((shorten(total, width), state),)] if total else rows

    def _seen(self, height: int) -> tuple[AttachedRow, ...]:
        """Those that have a row."""
        n_rows = height - bool(self._total[0])
        if len(self._files) <= n_rows:
            return self._files
        return tuple(sorted(self._files, key=lambda file: _URGENT.index(file.state)))[: max(1, n_rows - 1)]

    def on_click(self, event: events.Click) -> None:
        """Take a file away."""
        offset = event.get_content_offset(self)
        seen = self._seen(self.size.height)
        if offset is not None and offset.x >= self.size.width - len(_TAKE_AWAY) and offset.y < len(seen):
            self.post_message(self.TakenAway(seen[offset.y].name))


def _row(file: AttachedRow, width: int) -> Row:
    room = width - len(_TAKE_AWAY) - 5
    note = shorten(one_line(file.note), max(0, room - 10))
    name = shorten(one_line(file.name), max(4, room - width_of(note)))
    sign = "✗ " if file.state == "full" else "@ "
    sign_style, note_style = ("key", "muted") if file.state == "good" else (file.state, file.state)
    left = (sign, sign_style), (f"{name}  ", ""), (note, note_style)
    return spread(left, ((_TAKE_AWAY, "muted"),), width)
