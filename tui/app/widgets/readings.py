"""Live figures as the sidebar and the status line get them, and how they are written: numbers that keep their width,
and bars whose colour says whether it still fits."""

from __future__ import annotations

import msgspec
from textual.message import Message

from tui.app.widgets.lines import LineWidget, right
from tui.base import format
from tui.machine.readings import GpuSample, HostSample, NpuSample
from tui.protocol.records import Placed
from tui.session.speed import SpeedNow
from tui.words import mark, tr

TIGHT = 0.85
FULL = 0.95
"""From these shares on, a bar is amber and red."""
NOT_AVAILABLE = mark("n/a")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All that is shown of one moment. A new figure of the machine is a row of `tui.machine.figures.FIGURES`; one of
    another kind a field of one of these records and a row of the sidebar."""

    speed: SpeedNow = SpeedNow()
    context: tuple[int, int] = (0, 0)
    """Tokens in the context, and its size; 0 for no model."""
    n_prompt: int = 0
    """Of the tokens in the context, those of the prompt of the last answer; 0 when that is not known."""
    n_system: int = 0
    """Of those, what the system prompt takes; 0 without one."""
    n_files: int = 0
    """Of those, what files take that prompts are about; 0 without any."""
    placed: tuple[Placed, ...] = ()
    """What the loaded model takes, place by place; empty for no model, and where the engine does not tell."""
    host: HostSample | None = None
    """Memory, CPU and swap; None before the first reading."""
    gpus: tuple[GpuSample, ...] = ()
    """None for a machine without one."""
    npus: tuple[NpuSample, ...] = ()
    """NPUs and other accelerators."""


class Readings(LineWidget):
    """A widget that shows live figures. While it is hidden it gets none of the machine's."""

    class Shown(Message):
        """It has come into view, and what it shows may be old."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.figures = Figures()
        self._is_stale = False

    @property
    def is_in_view(self) -> bool:
        """It is shown, and no other screen hides its own; a dialog leaves it to be seen."""
        shown = self.app.screen
        return self.display and (shown is self.screen or shown.is_modal)

    def on_show(self) -> None:
        """Ask for what it has missed."""
        self.post_message(self.Shown())

    def show(self, figures: Figures) -> None:
        """Show these in place of what was shown."""
        self.figures = figures
        self._changed()

    def show_at_once(self, figures: Figures) -> None:
        """The same where no more of them are on their way: without a turn through the queue of messages."""
        self.figures = figures
        if self.is_mounted and not self._is_stale:
            self.update_rows()

    def _changed(self) -> None:
        # The readings of one second come one after the other: they are put into rows once, when all are there.
        if self.is_mounted and not self._is_stale:
            self._is_stale = True
            self.call_next(self._catch_up)

    def _catch_up(self) -> None:
        self._is_stale = False
        self.update_rows()


def share(used: float | None, total: float | None) -> float | None:
    """Between 0 and 1; None when either is unknown or there is nothing to share."""
    return None if used is None or not total else min(1.0, max(0.0, used / total))


def level(part: float | None) -> str:
    """The style that says whether it fits: "good", "tight", "full"; "muted" for the unknown."""
    if part is None:
        return "muted"
    return "full" if part >= FULL else "tight" if part >= TIGHT else "good"


def percent(part: float | None) -> str:
    """Four cells: " 15%", "100%", " n/a"."""
    return right(tr(NOT_AVAILABLE), 4) if part is None else f"{100 * part:3.0f}%"


def gib(n_bytes: float | None) -> str:
    """GiB with one digit behind the point and no unit: "13.9"."""
    return tr(NOT_AVAILABLE) if n_bytes is None else f"{n_bytes / 2**30:,.1f}"


def gib_of(used: float | None, total: float | None) -> str:
    """Used and total as one text, "13.9 / 31.2 GiB"; the unknown is "n/a", nothing there "none"."""
    if total == 0:
        return tr("none")
    if used is None and total is None:
        return tr(NOT_AVAILABLE)
    return f"{gib(used)} / {gib(total)} GiB"


def tokens_per_second(tps: float) -> str:
    """Eleven cells: " 31.4 tok/s", "412.3 tok/s", "12.3k tok/s", "    – tok/s" for none."""
    return f"{format.speed(tps):>5} tok/s"


def bar(part: float | None, width: int) -> tuple[str, str]:
    """The filled and the empty part of a bar, told apart without colours too; anything above zero shows at least one
    cell."""
    filled = 0 if not part else max(1, round(part * width))
    return "━" * filled, "─" * (width - filled)
