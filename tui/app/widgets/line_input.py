"""The line that is typed in wherever a dialog asks for one."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input

from tui.lines import clean


class LineInput(Input):
    """Textual's input without a blinking cursor, which would paint while nobody types, and with nothing in it that a
    terminal would obey: what is pasted, and the title that is to be changed, may come from anywhere."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """What stands there."""
        return clean(value).replace("\n", " ")
