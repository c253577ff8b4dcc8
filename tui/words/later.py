"""Texts that are kept or sent: they are worded when somebody reads them, in the language of that moment. Apart from
`translate.py`, because importing records takes time that `--help` does not have."""

from __future__ import annotations

import msgspec

from tui.words.translate import tr


class Later(msgspec.Struct, frozen=True):
    """An English text of the catalogue with what fills its fields. `str()` words it in the language in use."""

    text: str
    fields: tuple[tuple[str, str | Later], ...] = ()

    def __str__(self) -> str:
        return tr(self.text, **{name: str(value) for name, value in self.fields})

    @property
    def english(self) -> str:
        """For programs."""
        told = {name: value.english if isinstance(value, Later) else value for name, value in self.fields}
        return self.text.format(**told) if told else self.text


def later(text: str, **fields: str | Later) -> Later:
    """As `tr`, to be looked up when it is shown. Numbers come written as they are to be shown."""
    return Later(text, tuple(fields.items()))
