"""Sampling settings: how the next token is chosen, and how long an answer may get."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Input

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.form import Form, FormRow
from tui.app.widgets.number_input import Number, NumberInput
from tui.config.settings import LoadDefaults, SamplingSettings, SamplingValues
from tui.engine.records import Sampling

_ROWS: tuple[tuple[str, str, type[msgspec.Struct], str], ...] = (
    ("Temperature", "temperature", SamplingValues, "0 always takes the likeliest"),
    ("Top k", "top_k", SamplingValues, "0 takes all"),
    ("Top p", "top_p", SamplingValues, "1 takes all"),
    ("Min p", "min_p", SamplingValues, "0 takes all"),
    ("Repeat penalty", "repeat_penalty", SamplingValues, "1 is off"),
    ("Presence", "presence_penalty", SamplingValues, "penalty, 0 is off"),
    ("Frequency", "frequency_penalty", SamplingValues, "penalty, 0 is off"),
    ("Penalties reach", "penalty_last_n", SamplingValues, "tokens back, -1 is all"),
    ("Seed", "seed", LoadDefaults, "-1 is that of the load settings"),
    ("Most tokens", "max_tokens", SamplingSettings, "an answer, 0 is no limit"),
)
"""Label, field, the record whose field of that name says the range, note."""


class SamplingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen."""

    sampling: Sampling
    max_tokens: int
    """Tokens of an answer at most; 0 is no limit."""


class SamplingScreen(Dialog[SamplingChoice]):
    """`defaults` are those of the model and mode in use: "Defaults" goes back to them; values that differ are told."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "sampling.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#temperature"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Field before", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
    ]

    def __init__(
        self,
        sampling: Sampling,
        max_tokens: int,
        keymap: Keymap,
        *,
        defaults: Sampling,
        default_max_tokens: int = 0,
    ) -> None:
        super().__init__(keymap, "form", title="Sampling")
        self._values = _as_numbers(sampling, max_tokens)
        self._defaults = _as_numbers(defaults, default_max_tokens)

    def compose_body(self) -> ComposeResult:
        """The form and its buttons."""
        with Form():
            for label, field, record, note in _ROWS:
                number = NumberInput(record, field, self._values[field])
                self.give_way(number, "form_save", "form_reset")
                yield FormRow(label, number, note=note)
        with Horizontal(id="buttons"):
            for label, button in (("Save", "form_save"), ("Defaults", "form_reset"), ("Cancel", "dialog_close")):
                yield Button(label, compact=True, action=f"screen.{button}", id=f"button-{button}")

    def on_mount(self) -> None:
        """Tell about values that are not the defaults."""
        self._check()

    @on(Input.Changed)
    def _check(self) -> None:
        notes = {field: note for _, field, _, note in _ROWS}
        for row in self.query(FormRow):
            number = row.query_one(NumberInput)
            number.set_class(bool(number.complaint), "-invalid")
            default = self._defaults[number.field]
            note = notes[number.field]
            row.tell(number.complaint, note if number.number == default else f"{note} · default {default:g}")

    @on(Input.Submitted)
    def action_form_save(self) -> None:
        """Give the values, unless one is wrong: then go there."""
        numbers = {number.field: number for number in self.query(NumberInput)}
        wrong = next((number for number in numbers.values() if number.complaint), None)
        if wrong is not None:
            wrong.focus()
            return
        values = {field: number.number for field, number in numbers.items()}
        max_tokens = values.pop("max_tokens")
        self.dismiss(SamplingChoice(sampling=msgspec.convert(values, Sampling), max_tokens=int(max_tokens or 0)))

    def action_form_reset(self) -> None:
        """Go back to the defaults; nothing is saved yet."""
        for number in self.query(NumberInput):
            number.show(self._defaults[number.field])
        self._check()


def _as_numbers(sampling: Sampling, max_tokens: int) -> dict[str, Number]:
    return {**msgspec.structs.asdict(sampling), "max_tokens": max_tokens}
