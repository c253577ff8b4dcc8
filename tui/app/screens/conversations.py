"""The list of conversations: find, open, rename, export and delete them. Where they are kept is not known here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.moments import when
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.dialog import ListDialog, matches
from tui.app.widgets.line_input import LineInput
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.app.widgets.wrapped import Wrapped
from tui.base.oserrors import os_reason
from tui.base.text import clean
from tui.chat.conversation import UNTITLED
from tui.chat.export import Kind
from tui.chat.store import StoreError, Summary
from tui.config.keymap import display_keys
from tui.words import mark, tr, trn

_TIME, _COUNT = 12, 6
_UNREADABLE = mark("The conversations cannot be read.")


def exports() -> tuple[Choice, ...]:
    """The kinds of files that a conversation can be written to."""
    return (
        Choice(id="markdown", label="Markdown", note=tr("to read"), key="m"),
        Choice(id="json", label="JSON", note=tr("to keep and to import again"), key="j"),
    )


class ConversationsScreen(ListDialog[str]):
    """Gives the id of the conversation to open. Changes are made at once, through the functions that are given:

    `load()` gives all conversations, `rename(id, title)`, `delete(id)`, and `export(id, kind)`, which gives what is
    told: the file that was written. They may raise `StoreError`, and `export` OSError, which is told. `current` is the
    one that is open; `unread()` says after `load` why there may be others that it could not give.
    """

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "conversations.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        load: Callable[[], Awaitable[Sequence[Summary]]],
        rename: Callable[[str, str], Awaitable[None]],
        delete: Callable[[str], Awaitable[None]],
        export: Callable[[str, Kind], Awaitable[object]],
        keymap: Keymap,
        *,
        current: str = "",
        unread: Callable[[], StoreError | None] = lambda: None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        super().__init__(keymap, "conversations", title=tr("Conversations"))
        self._load, self._rename, self._delete, self._export = load, rename, delete, export
        self._current, self._unread, self._now = current, unread, now
        self._all: Sequence[Summary] | None = None
        self._renaming: Summary | None = None

    def compose_body(self) -> ComposeResult:
        """Filter, list, and the line in which a title is changed."""
        yield from self.filter_line(
            tr("Type to filter"), *(f"conversation_{what}" for what in ("open", "rename", "export", "delete"))
        )
        yield RowList[Summary](self._paint, header=_header)
        title = LineInput(id="new-title", compact=True, select_on_focus=False)
        self.give_way(title)
        yield title
        yield Static("", id="told", markup=False)

    def on_mount(self) -> None:
        """Ask for the list."""
        self.rows.show((), hint=tr("Reading…"))
        self._read()

    @work(exclusive=True, group="read")
    async def _read(self, keep: Summary | None = None) -> None:
        try:
            self._all = await self._load()
        except StoreError as error:
            self.rows.show((), hint=tr(_UNREADABLE))
            self._tell(str(error), bad=True)
        else:
            self._refilter(keep)
            if (why := self._unread()) is not None:
                self._tell(str(why), bad=True)

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self._refilter(self.rows.item)

    def _refilter(self, keep: Summary | None = None) -> None:
        if self._all is None:
            return
        words = self.words
        found = [one for one in self._all if matches(words, _title(one).casefold())]
        wanted = keep.id if keep else self._current
        highlighted = next((one for one in found if one.id == wanted), None)
        hint = tr("No conversations yet: they are kept as you chat.")
        if self._all:
            hint = tr("Nothing matches. Fewer words find more.")
        elif self._unread() is not None:
            hint = tr(_UNREADABLE)
        self.rows.show(found, highlighted, hint=hint)
        self.show_count(_count(len(found), len(self._all)))

    def _paint(self, one: Summary, width: int) -> Row:
        n_count = _COUNT if width >= 44 else 0
        n_title = width - _TIME - 2 - n_count
        model = Path(one.model_path).stem if one.model_path else ""
        n_model = 28 if n_title >= 66 else 0
        row: list[tuple[str, str]] = [
            (column(_title(one), n_title - n_model), "strong" if one.id == self._current else "")
        ]
        if n_model:
            row.append(("  " + column(model, n_model - 2), "muted"))
        if n_count:
            row.append((column(f"{one.n_turns:,}", n_count, right=True), "muted"))
        return (*row, ("  " + column(when(one.updated_at, self._now()), _TIME), "muted"))

    def _tell(self, text: str, *, bad: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(bad, "-bad")
        told.update(Wrapped(clean(text)))

    # What is done -----------------------------------------------------------------------------------------------------

    @on(RowList.Chosen)
    def action_conversation_open(self) -> None:
        """Open the highlighted one."""
        if self._renaming is None and (one := self._meant()) is not None:
            self.dismiss(one.id)

    def _meant(self) -> Summary | None:
        """The highlighted one; None, and said so, where there is none."""
        one: Summary | None = self.rows.item
        if one is None:
            is_read = self._all is not None
            self._tell(tr("No conversation is highlighted.") if is_read else tr("They are still being read."))
        return one

    def action_conversation_rename(self) -> None:
        """Write another title below the list."""
        one = self._meant()
        if one is None:
            return
        self._renaming = one
        self.add_class("-renaming")
        close = display_keys(self.keymap.get("dialog_close", ()), limit=1)
        both = tr("Enter saves the new title, {key} keeps the old one.", key=close)
        self._tell(both if close else tr("Enter saves the new title."))
        line = self.query_one("#new-title", Input)
        line.value = one.title
        line.cursor_position = len(one.title)
        line.focus()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a title is written, nothing is done to the list."""
        if self._renaming is not None and action.startswith(("conversation_", "move")):
            return False
        return super().check_action(action, parameters)

    @on(Input.Submitted, "#new-title")
    def _title_written(self, event: Input.Submitted) -> None:
        if self._renaming is not None and not event.value.strip():
            self._tell(tr("Write something."), bad=True)
        elif self._renaming is not None:
            self._save_title(self._renaming, event.value.strip())
            self._stop_renaming()

    @work(group="change")
    async def _save_title(self, one: Summary, title: str) -> None:
        if title != one.title and await self._try(self._rename(one.id, title), tr("Renamed.")):
            self._read(one)

    def _stop_renaming(self) -> None:
        self._renaming = None
        self.remove_class("-renaming")
        self._tell("")
        self.query_one("#filter").focus()
        self.refresh_bindings()

    @work(group="change")
    async def action_conversation_delete(self) -> None:
        """Delete the highlighted one, after asking."""
        one = self._meant()
        if one is None:
            return
        question = tr("Delete “{title}”?", title=_title(one))
        detail = trn("{n} message. This cannot be undone.", "{n} messages. This cannot be undone.", one.n_turns)
        if not await self.app.push_screen_wait(
            ConfirmScreen(question, self.keymap, detail=detail, yes=tr("Delete"), no=tr("Keep"))
        ):
            return
        if await self._try(self._delete(one.id), tr("Deleted.")):
            self._read(self._highlighted_without(one.id))

    def _highlighted_without(self, conversation_id: str) -> Summary | None:
        """The highlighted one; if it is this, which is gone, the next one, or else the one before."""
        items: list[Summary] = list(self.rows.items)
        at = next((place for place, one in enumerate(items) if one is self.rows.item), len(items))
        near = [*items[at:], *reversed(items[:at])]
        return next((one for one in near if one.id != conversation_id), None)

    @work(group="change")
    async def action_conversation_export(self) -> None:
        """Write the highlighted one to a file, as Markdown or JSON."""
        one = self._meant()
        if one is None:
            return
        kind: str | None = await self.app.push_screen_wait(ChoiceScreen(tr("Export as"), exports(), self.keymap))
        if kind is None:
            return
        try:
            file = await self._export(one.id, "json" if kind == "json" else "markdown")
        except (StoreError, OSError) as error:
            self._tell(
                tr(
                    "It could not be exported: {reason}",
                    reason=os_reason(error) if isinstance(error, OSError) else error,
                ),
                bad=True,
            )
        else:
            self._tell(tr("Exported to {file}", file=file))

    async def _try(self, change: Awaitable[None], done: str) -> bool:
        """Whether the list is another one now: what cannot be written yet is seen all the same. What came of it is
        told."""
        try:
            await change
        except StoreError as error:
            self._tell(str(error), bad=True)
            return error.is_retried
        self._tell(done)
        return True

    def action_dialog_close(self) -> None:
        """Leave the title as it was, or close the dialog."""
        if self._renaming is not None:
            self._stop_renaming()
        else:
            self.dismiss(None)


def _title(one: Summary) -> str:
    return one.title.strip() or tr(UNTITLED)


def _count(n_shown: int, n_all: int) -> str:
    if not n_all:
        return ""
    if n_shown == n_all:
        return trn("{n} conversation", "{n} conversations", n_all)
    return trn("{n_shown} of {n} conversation", "{n_shown} of {n} conversations", n_all, n_shown=f"{n_shown:,}")


def _header(width: int) -> Row:
    n_count = _COUNT if width >= 44 else 0
    n_title = width - _TIME - 2 - n_count
    n_model = 28 if n_title >= 66 else 0
    text = column(tr("TITLE"), n_title - n_model)
    if n_model:
        text += "  " + column(tr("MODEL"), n_model - 2)
    if n_count:
        text += column(tr("MSGS"), n_count, right=True)
    return ((text + "  " + column(tr("LAST USED"), _TIME), "muted"),)
