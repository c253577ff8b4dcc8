"""A slider of one line: a value between two ends, moved over sensible steps with keys or the mouse."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from textual import events
from textual.geometry import clamp
from textual.message import Message

from tui.app.widgets.lines import LineWidget, Row


class Slider(LineWidget, can_focus=True):
    """Shows where `value` lies among the `steps`, which have equal distances on the screen. A value between two steps
    is possible: the next move goes to the step beside it. It takes the width that it is given and shows no number, so
    that nothing moves but the knob."""

    DEFAULT_CSS = """
    Slider { width: 1fr; height: 1; pointer: pointer; }
    """

    class Changed(Message):
        """The value was moved with keys or the mouse."""

        def __init__(self, slider: Slider, value: int) -> None:
            super().__init__()
            self.slider, self.value = slider, value

        @property
        def control(self) -> Slider:
            """The slider."""
            return self.slider

    def __init__(self, steps: Sequence[int], value: int, *, id: str | None = None) -> None:
        """`steps` ascend; there is at least one."""
        super().__init__(id=id)
        self.steps = tuple(steps)
        self.value = value

    def show(self, value: int) -> None:
        """Take another value, without a message."""
        self.value = value
        self.update_rows()

    def less(self) -> None:
        """The next step below."""
        self._move(self.steps[max(0, bisect_left(self.steps, self.value) - 1)])

    def more(self) -> None:
        """The next step above."""
        self._move(self.steps[min(len(self.steps) - 1, bisect_right(self.steps, self.value))])

    def least(self) -> None:
        """The first step."""
        self._move(self.steps[0])

    def most(self) -> None:
        """The last step."""
        self._move(self.steps[-1])

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """Arrows at the ends, and the knob between them."""
        track = max(1, width - 2)
        if self.is_disabled:
            return [(("─" * width, "faint"),)]
        knob = round(self._share() * (track - 1))
        style = "key" if self.has_focus else "muted"
        return [
            (
                ("◀", style),
                ("━" * knob, style),
                ("●", "key" if self.has_focus else "strong"),
                ("─" * (track - knob - 1), "faint"),
                ("▶", style),
            )
        ]

    def watch_disabled(self, disabled: bool) -> None:
        """Look dead."""
        super().watch_disabled(disabled)
        self.update_rows()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take the knob to the mouse."""
        event.stop()
        self.capture_mouse()
        self._move_to(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag it."""
        if self.app.mouse_captured is self:
            self._move_to(event)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        event.stop()
        self.release_mouse()

    def _move_to(self, event: events.MouseEvent) -> None:
        x = event.x - self.gutter.left
        if not self.is_disabled:
            share = clamp((x - 1) / max(1, self.size.width - 3), 0.0, 1.0)
            self._move(self.steps[round(share * (len(self.steps) - 1))])

    def _move(self, value: int) -> None:
        if value != self.value and not self.is_disabled:
            self.show(value)
            self.post_message(self.Changed(self, value))

    def _share(self) -> float:
        """Where the value lies, from 0 to 1."""
        last = len(self.steps) - 1
        if last < 1 or self.value >= self.steps[-1]:
            return 1.0
        upper = bisect_right(self.steps, self.value)
        if upper == 0:
            return 0.0
        low, high = self.steps[upper - 1], self.steps[upper]
        return (upper - 1 + (self.value - low) / (high - low)) / last
