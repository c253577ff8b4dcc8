"""Lines to read: the engine's log, or what is wrong with the user's files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.wrapped_area import WrappedArea
from tui.base.text import clean
from tui.words import tr, trn


class LogScreen(Dialog[None]):
    """Shows the end first, unless told otherwise; long lines are wrapped. Text can be marked with the mouse.
    Without a `title` it is the engine's log.

    `copy` takes what is to be copied, and tells about it; without it, the terminal's clipboard is used.
    """

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "log_view.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "TextArea"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home,ctrl+home", "start", "First line", show=False),
        Binding("end,ctrl+end", "end", "Last line", show=False),
    ]

    def __init__(
        self,
        lines: Sequence[str],
        keymap: Keymap,
        *,
        title: str = "",
        from_start: bool = False,
        copy: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(keymap, "log", title=title or tr("Engine log"))
        self._lines, self._copy, self._from_start = tuple(lines), copy, from_start
        self._is_at_end, self._last_row = not from_start, 0

    def compose_body(self) -> ComposeResult:
        """The lines."""
        text = clean("\n".join(self._lines)) or tr("There is nothing yet.")
        area = WrappedArea(
            text, read_only=True, show_cursor=False, soft_wrap=True, highlight_cursor_line=False, compact=True
        )
        area.cursor_blink = False
        for key in ("home", "end", "ctrl+home", "ctrl+end"):
            area._bindings.key_to_bindings.pop(key, None)
        self.give_way(area, "log_copy")
        yield area

    def on_mount(self) -> None:
        """Go to the end."""
        self.watch(self.query_one(TextArea), "scroll_y", self._scrolled, init=False)
        if not self._from_start:
            self.call_after_refresh(self.action_end)

    def on_resize(self) -> None:
        """Who reads the end goes on to, however the lines are wrapped now."""
        if self._is_at_end:
            self.call_after_refresh(self.action_end)

    def _scrolled(self) -> None:
        area = self.query_one(TextArea)
        if area.scroll_y >= area.max_scroll_y:
            self._is_at_end = True
        elif area.max_scroll_y == self._last_row:  # scrolled by somebody, not by another size
            self._is_at_end = False
        self._last_row = area.max_scroll_y

    def action_start(self) -> None:
        """Go to the first line."""
        self.query_one(TextArea).scroll_home(animate=False)

    def action_end(self) -> None:
        """Go to the last line."""
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)
        area.scroll_end(animate=False)

    async def action_log_copy(self) -> None:
        """Copy what is marked, else everything."""
        text = self.query_one(TextArea).selected_text or "\n".join(self._lines)
        if self._copy is not None:
            await self._copy(text)
            return
        self.app.copy_to_clipboard(text)
        told = trn(
            "Sent {n} character to the terminal's clipboard.",
            "Sent {n} characters to the terminal's clipboard.",
            len(text),
        )
        self.notify(told, markup=False)
