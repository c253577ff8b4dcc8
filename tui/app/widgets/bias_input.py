"""A line for the biases of tokens, in the words of settings.toml."""

from __future__ import annotations

from collections.abc import Mapping

from textual.widgets import Input

from tui.app.widgets.line_input import LineInput
from tui.config.biastext import BiasError, bias_text, read_biases


class BiasInput(LineInput):
    """Texts of tokens and what is added to their logits; empty for none."""

    DEFAULT_CSS = """
    BiasInput {
        width: 1fr;
        background: $surface;
        padding: 0 1 !important;
        &.-invalid { color: $text-error; }
    }
    """

    def __init__(self, field: str, value: Mapping[str, float]) -> None:
        super().__init__(compact=True, id=field)
        self.field = field
        self.show(value)

    def show(self, value: Mapping[str, float]) -> None:
        """Take another value, without a message."""
        with self.prevent(Input.Changed):
            self.value = bias_text(value)
        self.set_class(False, "-invalid")

    @property
    def biases(self) -> dict[str, float] | None:
        """The value; None while what stands there is none."""
        try:
            return read_biases(self.value)
        except BiasError:
            return None

    @property
    def complaint(self) -> str:
        """What is wrong with what stands there, and what to write; empty when nothing is."""
        try:
            read_biases(self.value)
        except BiasError as error:
            return str(error)
        return ""
