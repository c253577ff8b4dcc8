"""All that is known of one message: where it comes from, how fast it came, what it was made with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.detail_lines import DetailLines, as_text
from tui.models.detail_words import DetailGroup
from tui.words import tr


class MessageDetailsScreen(Dialog[None]):
    """Shows the groups; `copy` takes what is to be copied, and tells about it."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "message_details.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#facts"

    def __init__(self, groups: Sequence[DetailGroup], keymap: Keymap, copy: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(keymap, "details", title=tr("Message details"))
        self._groups, self._copy = tuple(groups), copy

    def compose_body(self) -> ComposeResult:
        """One long text."""
        with VerticalScroll(id="facts"):
            yield Static(DetailLines(self._groups))

    async def action_details_copy(self) -> None:
        """Copy everything that is shown."""
        await self._copy(as_text(self._groups))
