"""The prompts of all conversations: find one that was sent before, and take it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.moments import when
from tui.app.screens.dialog import ListDialog
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.base.text import one_line
from tui.chat.prompt_rows import SaidBefore
from tui.chat.store import StoreError
from tui.words import tr, trn

_TIME = 12
_TITLE = 26
_MOST_CHARS = 400
"""Of a prompt, so much is shown at most."""


class PromptsScreen(ListDialog[str]):
    """Gives the text that was chosen, or None. `look` finds prompts by words, and may raise `StoreError`."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "palette.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        look: Callable[[Sequence[str]], Awaitable[Sequence[SaidBefore]]],
        keymap: Keymap,
        *,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        super().__init__(keymap, "list", title=tr("Prompts"))
        self._look, self._now = look, now

    def compose_body(self) -> ComposeResult:
        """What is looked for, and the prompts."""
        yield from self.filter_line(tr("Words of the prompt"), "list_choose")
        yield RowList[SaidBefore](self._paint, choose_at_once=True)

    def on_mount(self) -> None:
        """Show the newest."""
        self.rows.show((), hint=tr("Reading…"))
        self._find()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self._find()

    @work(exclusive=True, group="read")
    async def _find(self) -> None:
        words = self.words
        try:
            found = await self._look(words)
        except StoreError as error:
            self.rows.show((), hint=str(error))
            return
        hint = tr("No prompt has these words.") if words else tr("No prompts yet: they are kept as you chat.")
        self.rows.show(found, hint=hint)
        self.show_count(trn("{n} prompt", "{n} prompts", len(found)))

    def _paint(self, one: SaidBefore, width: int) -> Row:
        n_title = _TITLE if width >= 80 else 0
        n_time = _TIME if width >= 44 else 0
        text = column(one_line(one.text[:_MOST_CHARS]), width - n_title - n_time)
        title = "  " + column(one.title, n_title - 2) if n_title else ""
        time = "  " + column(when(one.said_at, self._now()), n_time - 2) if n_time else ""
        return ((text, ""), (title, "muted"), (time, "muted"))

    @on(RowList.Chosen)
    def action_list_choose(self) -> None:
        """Take the highlighted one."""
        one: SaidBefore | None = self.rows.item
        if one is not None:
            self.dismiss(one.text)
