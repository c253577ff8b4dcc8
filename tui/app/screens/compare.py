"""Two answers to one prompt beside each other, or one above the other where that is too narrow, each with what it was
made with and how fast it came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widgets import Static

from tui.app.bindings import Keymap
from tui.app.screens.conversation_view import record
from tui.app.screens.dialog import Dialog
from tui.app.widgets.transcript import Transcript
from tui.app.widgets.wrapped import Wrapped
from tui.base import format
from tui.base.text import clean, one_line
from tui.chat.conversation import Turn
from tui.chat.store import StoreError
from tui.words import mark, tr

_PROMPT_CHARS = 400
_BESIDE = 100
"""Columns from which on the answers stand beside each other, as the style sheet has it."""
_STACKED = {
    "compare_keep_left": mark("Keep upper"),
    "compare_keep_right": mark("Keep lower"),
    "compare_left": mark("Change upper"),
    "compare_right": mark("Change lower"),
}
"""What the actions are called where one answer stands above the other."""


class CompareScreen(Dialog[str]):
    """Gives the id of the answer to go on with, or None. `read` gives a message by its id, and may raise
    `StoreError`."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "compare.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#left Transcript"

    def __init__(
        self,
        prompt: str,
        alike: Sequence[str],
        pair: tuple[int, int],
        read: Callable[[str], Awaitable[Turn]],
        keymap: Keymap,
    ) -> None:
        """`alike` are the ids of all answers to the prompt, `pair` the places in it of the two that are shown first."""
        super().__init__(keymap, "compare", title=tr("Compare answers"))
        self._prompt, self._alike, self._pair, self._read = prompt, tuple(alike), list(pair), read

    def compose_body(self) -> ComposeResult:
        """The prompt, and two columns."""
        yield Static(Wrapped(clean(one_line(self._prompt[:_PROMPT_CHARS]))), id="prompt", markup=False)
        with Container(id="columns"):
            for side in ("left", "right"):
                with Vertical(id=side, classes="column"):
                    yield Static("", classes="head", markup=False)
                    transcript = Transcript()
                    self.give_way(transcript, "compare_left", "compare_right")
                    yield transcript

    def on_mount(self) -> None:
        """Read both."""
        for side in (0, 1):
            self._show(side)

    def on_resize(self, event: events.Resize) -> None:
        """Call the answers by where they stand."""
        self.key_titles = _STACKED if event.size.width < _BESIDE else {}
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Other answers are there to be chosen where there are more than two."""
        if action in ("compare_left", "compare_right") and len(self._alike) < 3:
            return False
        return super().check_action(action, parameters)

    @work(group="read")
    async def _show(self, side: int) -> None:
        number = self._pair[side]
        column = self.query_one("#right" if side else "#left", Vertical)
        head, transcript = column.query_one(Static), column.query_one(Transcript)
        try:
            turn = await self._read(self._alike[number])
        except StoreError as error:
            head.update(Wrapped(str(error)))
            transcript.clear()
            return
        if number == self._pair[side]:  # another may have been chosen meanwhile
            head.update(Wrapped(clean(_head(turn, number, len(self._alike)))))
            transcript.load([record(turn)], from_start=True)

    def _other(self, side: int) -> None:
        """The next answer on this side that is not on the other."""
        taken = self._pair[1 - side]
        number = (self._pair[side] + 1) % len(self._alike)
        self._pair[side] = number if number != taken else (number + 1) % len(self._alike)
        self._show(side)

    def action_compare_left(self) -> None:
        """Another answer at the left."""
        self._other(0)

    def action_compare_right(self) -> None:
        """Another answer at the right."""
        self._other(1)

    def action_compare_keep_left(self) -> None:
        """Go on with the left one."""
        self.dismiss(self._alike[self._pair[0]])

    def action_compare_keep_right(self) -> None:
        """Go on with the right one."""
        self.dismiss(self._alike[self._pair[1]])


def _head(turn: Turn, number: int, total: int) -> str:
    """Such as "2/3 · Qwen3-4B · 31.4 tok/s · Vulkan0"."""
    parts = [f"{number + 1}/{total}", turn.model or tr("Assistant")]
    timings = turn.timings
    if timings is not None and timings.decode_tps:
        parts.append(f"{format.speed(timings.decode_tps)} tok/s")
    if timings is not None and timings.n_decode:
        parts.append(tr("{n} tok in {time}", n=f"{timings.n_decode:,}", time=format.duration(timings.decode_s)))
    return " · ".join([*parts, *turn.backend])
