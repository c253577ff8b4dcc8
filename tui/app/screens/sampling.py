"""Sampling settings: how the next token is chosen, and how long an answer may get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.bias_input import BiasInput
from tui.app.widgets.form import Form, FormRow
from tui.app.widgets.line_input import LineInput
from tui.app.widgets.number_input import NumberInput
from tui.config.biastext import bias_text
from tui.config.sampling import Source
from tui.config.samplingtable import SAMPLING_TABLE
from tui.config.settings import ChosenLoad, SamplingSettings, SamplingValues
from tui.protocol.records import PartialSampling, SamplingValue
from tui.words import mark, tr

_ROWS: tuple[tuple[str, str, type[msgspec.Struct], str], ...] = (
    *((row.label, row.name, SamplingValues, row.note) for row in SAMPLING_TABLE),
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
        self,
        own: Mapping[str, SamplingValue],
        keymap: Keymap,
        *,
        defaults: Mapping[str, tuple[SamplingValue, Source]],
    ) -> None:
        super().__init__(keymap, "form", title=tr("Sampling"))
        self._defaults = defaults
        self._own = dict(own)
        """What the conversation would have for itself if it was saved now."""

    def compose_body(self) -> ComposeResult:
        """The form and its buttons."""
        with Form():
            for label, field, record, note in _ROWS:
                value = self._own.get(field, self._defaults[field][0])
                line = BiasInput(field, value) if isinstance(value, dict) else NumberInput(record, field, value)
                self.give_way(line, "form_save", "form_reset")
                yield FormRow(tr(label), line, note=tr(note), id=f"row-{field}")
        yield self.button_row("form_save", "form_reset", "dialog_close")

    def on_mount(self) -> None:
        """Tell where the values come from."""
        self._tell()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        """A value that is written is the conversation's own, unless it is the default."""
        line = event.input
        if isinstance(line, NumberInput | BiasInput) and (value := _written(line)) is not None:
            self._own.pop(line.field, None)
            if value != self._defaults[line.field][0]:
                self._own[line.field] = value
        self._tell()

    @property
    def _lines(self) -> Iterator[NumberInput | BiasInput]:
        return (line for line in self.query(LineInput) if isinstance(line, NumberInput | BiasInput))

    def _tell(self) -> None:
        by_field = {line.field: line for line in self._lines}
        for row, (_, field, _, note) in zip(self.query(FormRow), _ROWS, strict=True):
            line, (default, source) = by_field[field], self._defaults[field]
            line.set_class(bool(line.complaint), "-invalid")
            if field in self._own:
                row.tell(line.complaint, tr(_OWN[source], default=_shown(default)))
            else:
                row.tell(line.complaint, " · ".join(tr(text) for text in (note, _FROM.get(source)) if text))

    @on(Input.Submitted)
    def action_form_save(self) -> None:
        """Give the values, unless one is wrong: then go there."""
        wrong = next((line for line in self._lines if line.complaint), None)
        if wrong is not None:
            wrong.focus()
            return
        own = dict(self._own)
        limits = {name: own.pop(name, None) for name in ("max_tokens", "thinking_budget")}
        sampling = msgspec.convert(own, PartialSampling) if own else None
        self.dismiss(msgspec.convert({"sampling": sampling, **limits}, SamplingChoice))

    def action_form_reset(self) -> None:
        """Go back to the defaults; nothing is saved yet."""
        self._own.clear()
        for _, field, _, _ in _ROWS:
            default = self._defaults[field][0]
            if isinstance(default, dict):
                self.query_one(f"#{field}", BiasInput).show(default)
            else:
                self.query_one(f"#{field}", NumberInput).show(default)
        self._tell()


def _written(line: NumberInput | BiasInput) -> SamplingValue | None:
    """What stands there; None while that is no value."""
    return line.biases if isinstance(line, BiasInput) else line.number


def _shown(value: SamplingValue) -> str:
    return (bias_text(value) or "{}") if isinstance(value, dict) else f"{value:g}"
