"""A number that is typed: read strictly, within the range of its field, with a sentence on what is wrong."""

from __future__ import annotations

import math
from typing import Any, get_type_hints

import msgspec
from textual.widgets import Input

from tui.app.widgets.line_input import LineInput
from tui.config.expected import expected
from tui.words import tr

Number = int | float


class NumberInput(LineInput):
    """One line for a field of a record; range and kind come from the field's type. Group commas are taken, and for
    whole numbers "32k"."""

    DEFAULT_CSS = """
    NumberInput {
        width: 9;
        background: $surface;
        padding: 0 1 !important;
        &.-invalid { color: $text-error; }
    }
    """

    def __init__(self, record: type[msgspec.Struct], field: str, value: Number, *, id: str | None = None) -> None:
        super().__init__(compact=True, id=id or field)
        self._hint: Any = get_type_hints(record, include_extras=True)[field]
        self._is_whole = isinstance(msgspec.inspect.type_info(self._hint), msgspec.inspect.IntType)
        self.field = field
        self.show(value)

    def show(self, value: Number) -> None:
        """Take another value, without a message."""
        with self.prevent(Input.Changed):
            self.value = str(value)
        self.set_class(False, "-invalid")

    @property
    def number(self) -> Number | None:
        """The value; None while what stands there is none."""
        value = self._written
        if value is None:
            return None
        try:
            converted: Number = msgspec.convert(value, self._hint)
        except msgspec.ValidationError:
            return None
        return converted

    @property
    def complaint(self) -> str:
        """What is wrong with what stands there, and what to write; empty when nothing is."""
        if self.number is not None:
            return ""
        return tr("Enter {expected}.", expected=expected(self._hint, self._written))

    @property
    def _written(self) -> Number | None:
        """What stands there, whatever the field takes; None where it is no number."""
        return _parse(self.value, whole=self._is_whole)


def _parse(text: str, *, whole: bool) -> Number | None:
    text = text.strip().casefold()
    if not whole and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    text = text.replace(",", "").replace(" ", "").replace("_", "")
    factor = 1024 if whole and text.endswith("k") and text[:-1] else 1
    try:
        value = float(text) if not whole else int(text.removesuffix("k") if factor > 1 else text) * factor
    except ValueError:
        return None
    return value if whole or math.isfinite(value) else None
