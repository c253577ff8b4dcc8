"""The line that is typed in wherever a dialog asks for one."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input

from tui.base.text import clean, pasted
from tui.words import trn

LONGEST_PASTE = 10_000
"""Characters that a line takes at once; no name or path is longer, and each key paints all of it again."""


class LineInput(Input):
    """Textual's input without a blinking cursor, which would paint while nobody types, and with nothing in it that a
    terminal would obey: what is pasted, and the title that is to be changed, may come from anywhere. Its place on the
    screen does not depend on what stands in it, so that a key does not lay out the whole dialog."""

    virtual_size = Reactive(Size(0, 0), layout=False)
    """How long the text is: what the cursor scrolls through."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """What stands there."""
        return clean(value).replace("\n", " ")

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.paste(event.text)

    def paste(self, text: str) -> None:
        """Put all of its lines, as one, where the cursor is, in place of what is selected."""
        line = " ".join(pasted(text).strip("\n").split("\n"))
        if len(line) > LONGEST_PASTE:
            told = trn(
                "Only the first {n} character was pasted.", "Only the first {n} characters were pasted.", LONGEST_PASTE
            )
            self.notify(told, severity="warning", markup=False)
        self.replace(line[:LONGEST_PASTE], *self.selection)
