"""A number that is typed: read strictly, within the range of its field, with a sentence on what is wrong."""

from __future__ import annotations

import math
from typing import Any, get_type_hints

import msgspec
from textual.widgets import Input

from tui.app.widgets.line_input import LineInput
from tui.words import tr

Number = int | float
_UNBOUNDED = 2**31 - 1
"""A limit that is only there because llama.cpp counts with 32 bits is worth a word only to who is beyond it."""


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
        self._kind: Any = msgspec.inspect.type_info(self._hint)
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
        return "" if self.number is not None else expected(self._kind, self._written)

    @property
    def _written(self) -> Number | None:
        """What stands there, whatever the field takes; None where it is no number."""
        return _parse(self.value, whole=isinstance(self._kind, msgspec.inspect.IntType))


def expected(kind: Any, written: Number | None = None) -> str:
    """What to write into a field, for somebody who wrote `written`: "Write a whole number of 1 or more."."""
    is_whole = isinstance(kind, msgspec.inspect.IntType)
    low = kind.ge if kind.ge is not None else kind.gt
    if low is None:
        return tr("Write a whole number.") if is_whole else tr("Write a number.")
    if kind.le is None or (kind.le >= _UNBOUNDED and (written is None or written <= kind.le)):
        return (
            tr("Write a whole number of {low} or more.", low=_shown(low))
            if is_whole
            else tr("Write a number of {low} or more.", low=_shown(low))
        )
    low, high = _shown(low), _shown(kind.le)
    if kind.gt is not None:
        return (
            tr("Write a whole number above {low}, at most {high}.", low=low, high=high)
            if is_whole
            else tr("Write a number above {low}, at most {high}.", low=low, high=high)
        )
    return (
        tr("Write a whole number from {low} to {high}.", low=low, high=high)
        if is_whole
        else tr("Write a number from {low} to {high}.", low=low, high=high)
    )


def _shown(limit: Number) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


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
