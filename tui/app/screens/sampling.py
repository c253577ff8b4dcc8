"""Sampling settings: how the next token is chosen, and how long an answer may get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.form import Form, FormRow
from tui.app.widgets.number_input import Number, NumberInput
from tui.config.sampling import Source
from tui.config.settings import ChosenLoad, SamplingSettings, SamplingValues
from tui.protocol.records import PartialSampling
from tui.words import mark, tr

_ROWS: tuple[tuple[str, str, type[msgspec.Struct], str], ...] = (
    (mark("Temperature"), "temperature", SamplingValues, mark("0 is greedy")),
    (mark("Top k"), "top_k", SamplingValues, mark("0 is off")),
    (mark("Top p"), "top_p", SamplingValues, mark("1 is off")),
    (mark("Min p"), "min_p", SamplingValues, mark("0 is off")),
    (mark("Repeat penalty"), "repeat_penalty", SamplingValues, mark("1 is off")),
    (mark("Presence"), "presence_penalty", SamplingValues, mark("penalty, 0 is off")),
    (mark("Frequency"), "frequency_penalty", SamplingValues, mark("penalty, 0 is off")),
    (mark("Penalty window"), "penalty_last_n", SamplingValues, mark("tokens back, -1 is all")),
    (mark("Seed"), "seed", ChosenLoad, mark("-1 takes that of the load settings")),
    (mark("Answer limit"), "max_tokens", SamplingSettings, mark("tokens, 0 is no limit")),
    (mark("Thinking budget"), "thinking_budget", SamplingSettings, mark("tokens, 0 is no limit")),
)
"""Label, field, the record whose field of that name says the range, note."""
_FROM: dict[Source, str] = {"model": mark("from the model file"), "settings": mark("your settings")}
"""Of a default, where it is not built in."""
_OWN: dict[Source, str] = {
    "built-in": mark("this conversation, else {default}"),
    "model": mark("this conversation, else {default} (model file)"),
    "settings": mark("this conversation, else {default} (your settings)"),
}
"""Of a value that the conversation has for itself."""


class SamplingChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What the conversation is to have for itself; None follows the defaults."""

    sampling: PartialSampling | None
    max_tokens: int | None
    """Tokens of an answer at most; 0 is no limit."""
    thinking_budget: int | None
    """Tokens of a thought at most; 0 is no limit."""


class SamplingScreen(Dialog[SamplingChoice]):
    """Values by the names of the rows: `own` of the conversation; `defaults` of the model and mode in use, with their
    sources. Each row tells where its value comes from; "Defaults" leads back to the defaults."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "sampling.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#temperature"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Field before", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
    ]

    def __init__(
        self, own: Mapping[str, Number], keymap: Keymap, *, defaults: Mapping[str, tuple[Number, Source]]
    ) -> None:
        super().__init__(keymap, "form", title=tr("Sampling"))
        self._defaults = defaults
        self._own = dict(own)
        """What the conversation would have for itself if it was saved now."""

    def compose_body(self) -> ComposeResult:
        """The form and its buttons."""
        with Form():
            for label, field, record, note in _ROWS:
                number = NumberInput(record, field, self._own.get(field, self._defaults[field][0]))
                self.give_way(number, "form_save", "form_reset")
                yield FormRow(tr(label), number, note=tr(note))
        yield self.button_row("form_save", "form_reset", "dialog_close")

    def on_mount(self) -> None:
        """Tell where the values come from."""
        self._tell()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        """A value that is written is the conversation's own, unless it is the default."""
        number = event.input
        if isinstance(number, NumberInput) and number.number is not None:
            self._own.pop(number.field, None)
            if number.number != self._defaults[number.field][0]:
                self._own[number.field] = number.number
        self._tell()

    def _tell(self) -> None:
        for row, (_, field, _, note) in zip(self.query(FormRow), _ROWS, strict=True):
            number, (default, source) = row.query_one(NumberInput), self._defaults[field]
            number.set_class(bool(number.complaint), "-invalid")
            if field in self._own:
                row.tell(number.complaint, tr(_OWN[source], default=f"{default:g}"))
            else:
                row.tell(number.complaint, " · ".join(tr(text) for text in (note, _FROM.get(source)) if text))

    @on(Input.Submitted)
    def action_form_save(self) -> None:
        """Give the values, unless one is wrong: then go there."""
        wrong = next((number for number in self.query(NumberInput) if number.complaint), None)
        if wrong is not None:
            wrong.focus()
            return
        own = dict(self._own)
        max_tokens, budget = own.pop("max_tokens", None), own.pop("thinking_budget", None)
        self.dismiss(
            SamplingChoice(
                sampling=msgspec.convert(own, PartialSampling) if own else None,
                max_tokens=None if max_tokens is None else int(max_tokens),
                thinking_budget=None if budget is None else int(budget),
            )
        )

    def action_form_reset(self) -> None:
        """Go back to the defaults; nothing is saved yet."""
        self._own.clear()
        for number in self.query(NumberInput):
            number.show(self._defaults[number.field][0])
        self._tell()
