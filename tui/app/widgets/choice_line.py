"""A choice among a few values in one line, as radio buttons; where they do not fit, only the chosen one is shown."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.base.text import one_line

_GAP = 2


class ChoiceLine(LineWidget, can_focus=True):
    """One of `options`, which are pairs of a value and what it is called."""

    DEFAULT_CSS = """
    ChoiceLine { width: 1fr; height: 1; pointer: pointer; }
    """

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, choice_line: ChoiceLine, value: str) -> None:
            super().__init__()
            self.choice_line, self.value = choice_line, value

        @property
        def control(self) -> ChoiceLine:
            """The line."""
            return self.choice_line

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._options = [(option, one_line(label)) for option, label in options]
        self._at = 0
        self.show(value)

    @property
    def value(self) -> str:
        """What is chosen."""
        return self._options[self._at][0]

    def show(self, value: str) -> None:
        """Choose it, without a message; a value that is no option is added to them."""
        if value not in (option for option, _ in self._options):
            self._options.append((value, one_line(value)))
        self._at = next(at for at, (option, _) in enumerate(self._options) if option == value)
        self.update_rows()

    def offer(self, options: Sequence[tuple[str, str]]) -> None:
        """Offer these too; the name of one that is there already changes."""
        names = dict(self._options) | {option: one_line(label) for option, label in options}
        self._options = list(names.items())
        self.update_rows()

    def less(self) -> None:
        """The option before."""
        self._choose(max(0, self._at - 1))

    def more(self) -> None:
        """The option after."""
        self._choose(min(len(self._options) - 1, self._at + 1))

    def least(self) -> None:
        """The first option."""
        self._choose(0)

    def most(self) -> None:
        """The last option."""
        self._choose(len(self._options) - 1)

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """All options, or the chosen one between arrows."""
        on = "key" if self.has_focus else "strong"
        if self._full_width > width:
            count = f" {self._at + 1}/{len(self._options)}"
            label = shorten(self._options[self._at][1], width - 4 - width_of(count))
            arrow = "key" if self.has_focus else "muted"
            return [(("◀ ", arrow), (label, on), (" ▶", arrow), (count, "muted"))]
        row: list[tuple[str, str]] = []
        for at, (_, label) in enumerate(self._options):
            if row:
                row.append((" " * _GAP, ""))
            row.append((f"(●) {label}" if at == self._at else f"( ) {label}", on if at == self._at else "muted"))
        return [tuple(row)]

    def on_click(self, event: events.Click) -> None:
        """Choose the option below the mouse; of arrows, the one before or after."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        if self._full_width > self.size.width:
            self.less() if offset.x < 2 else self.more()
            return
        start = 0
        for at, (_, label) in enumerate(self._options):
            if start <= offset.x < start + 4 + width_of(label):
                self._choose(at)
                return
            start += 4 + width_of(label) + _GAP

    @property
    def _full_width(self) -> int:
        return sum(4 + width_of(label) for _, label in self._options) + _GAP * (len(self._options) - 1)

    def _choose(self, at: int) -> None:
        if at != self._at and not self.is_disabled:
            self._at = at
            self.update_rows()
            self.post_message(self.Changed(self, self.value))
