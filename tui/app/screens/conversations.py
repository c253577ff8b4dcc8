"""The list of conversations: find, open, rename, tag, pin, archive, export and delete them. Where they are kept is not
known here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import ClassVar, Literal, Protocol

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.conversation_rows import (
    ORDERS,
    ConversationRows,
    Entry,
    FoundMessage,
    Order,
    entries,
    ordered,
    place,
    title_of,
)
from tui.app.screens.dialog import CANCEL, ListDialog
from tui.app.widgets.line_input import LineInput
from tui.app.widgets.row_list import RowList
from tui.app.widgets.wrapped import Wrapped
from tui.base.oserrors import os_reason
from tui.base.text import clean
from tui.chat.export import ENDINGS, Kind
from tui.chat.place import Place, place_of, tags_of
from tui.chat.search.found import Found, together
from tui.chat.search.query import Hit, pattern
from tui.chat.search.searcher import Results
from tui.chat.search.wanted import Wanted, wanted
from tui.chat.store import StoreError, Summary
from tui.config.keymap import display_keys
from tui.words import mark, tr, trn

_UNREADABLE = mark("The conversations cannot be read.")
_WITH_FILTERS = 64
"""Columns from which on the line to type in has room for the names of what narrows a search."""
_ACTIONS = ("open", "pin", "rename", "tag", "archive", "sort", "export", "delete")


def exports() -> tuple[Choice, ...]:
    """The kinds of files that a conversation can be written to."""
    return (
        Choice(id="markdown", label="Markdown", note=tr("for reading"), key="m"),
        Choice(id="html", label="HTML", note=tr("one file for any browser"), key="h"),
        Choice(id="json", label="JSON", note=tr("for keeping and importing again"), key="j"),
    )


class Shelf(Protocol):
    """The conversations, as the list needs them. Changes are made at once. All may raise `StoreError`, and `export`
    OSError, which is told."""

    @property
    def unread(self) -> StoreError | None:
        """Why there may be conversations that `list` could not give."""

    @property
    def note(self) -> str:
        """What is to be said of searching: how far its index is, or why there is none."""

    async def list(self) -> Sequence[Summary]:
        """All of them, the one used last first."""

    def search(self, wanted: Wanted) -> AsyncGenerator[Results]:
        """What is found, more and more of it."""

    async def rename(self, conversation_id: str, title: str) -> None:
        """Give one another title."""

    async def place(self, conversation_id: str, where: Place) -> None:
        """Pin, archive or tag one."""

    async def delete(self, conversation_id: str) -> None:
        """Delete one."""

    async def export(self, conversation_id: str, kind: Kind) -> object:
        """Write one to a file, which is given as it is told."""


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown."""

    conversation_id: str
    turn_id: str = ""
    """A message of it in which something was found."""
    words: tuple[str, ...] = ()
    """What was looked for."""


class ConversationsScreen(ListDialog[Picked]):
    """Gives the conversation to open, and where. `current` is the one that is open; `keep_order` hears what the list is
    sorted by from now on."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "conversations.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        shelf: Shelf,
        keymap: Keymap,
        *,
        current: str = "",
        order: Order = "used",
        keep_order: Callable[[Order], None] = lambda _: None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        super().__init__(keymap, "conversations", title=tr("Conversations"))
        self._shelf, self._current, self._now = shelf, current, now
        self._order, self._keep_order = order, keep_order
        self._all: Sequence[Summary] | None = None
        self._wanted = Wanted()
        self._hits: tuple[Hit, ...] = ()
        self._is_searching = self._has_more = False
        self._pattern = pattern(())
        self._is_moved = False
        """A person has moved in the list since something was typed."""
        self._editing: tuple[Literal["title", "tags"], Summary] | None = None

    def compose_body(self) -> ComposeResult:
        """Filter, list, and the line in which a title or tags are changed."""
        yield from self.filter_line(
            tr("Search titles and messages")
            if self.app.size.width < _WITH_FILTERS
            else tr("Search titles and messages (model: after: tag:)"),
            *(f"conversation_{what}" for what in _ACTIONS),
        )
        yield RowList[Entry](
            lambda entry, width: self._columns(width).row(entry, is_open=entry.conversation.id == self._current),
            header=lambda width: self._columns(width).header,
        )
        line = LineInput(id="new-title", compact=True, select_on_focus=False)
        self.give_way(line)
        yield line
        yield Static("", id="told", markup=False)

    def _columns(self, width: int) -> ConversationRows:
        return ConversationRows(width, self._now(), self._pattern, self._order)

    def on_mount(self) -> None:
        """Ask for the list."""
        self.rows.show((), hint=tr("Reading…"))
        self._read()

    # Finding ----------------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="read")
    async def _read(self, keep: Summary | None = None) -> None:
        try:
            self._all = await self._shelf.list()
        except StoreError as error:
            self.rows.show((), hint=tr(_UNREADABLE))
            self._tell(str(error), bad=True)
        else:
            self._show((keep.id, "") if keep else None)
            if (why := self._shelf.unread) is not None:
                self._tell(str(why), bad=True)

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        before, self._wanted = self._wanted, wanted(event.value, self._now())
        if self._wanted == before:
            return
        self._is_moved, self._has_more = False, False
        self._pattern = pattern(self._wanted.words)
        # What was found before stays until more is known, as far as it has what is typed now.
        words = [word.casefold() for word in self._wanted.words]
        is_narrower = msgspec.structs.replace(before, words=()) == msgspec.structs.replace(self._wanted, words=())
        self._hits = tuple(
            hit
            for hit in self._hits
            if words and is_narrower and all(word in hit.snippet.text.casefold() for word in words)
        )
        unclear = ", ".join(self._wanted.unclear)
        self._tell(
            tr("Not understood: {filters}. Write after:2026-11-01 or before:7d.", filters=unclear) if unclear else ""
        )
        self._is_searching = bool(words)
        self._search()
        self._show(None)

    @work(exclusive=True, group="search")
    async def _search(self) -> None:
        """Look through the messages; the next key ends it."""
        if not self._wanted.words:
            return
        try:
            async with aclosing(self._shelf.search(self._wanted)) as answers:
                async for results in answers:
                    if not self.is_mounted or results.wanted != self._wanted:
                        return
                    if results.hits or results.is_whole:
                        self._hits, self._is_searching = results.hits, not results.is_whole
                        self._has_more = results.has_more
                        self._show(place(self.rows.item) if self._is_moved else None)
        except StoreError as error:
            self._is_searching = False
            self._tell(str(error), bad=True)
        else:
            if note := self._shelf.note:
                self._tell(note)

    def _show(self, keep: tuple[str, str] | None) -> None:
        """What is known now. `keep` names the entry to highlight; the best or the open one without."""
        if self._all is None or not self.query("RowList, #filter"):
            return
        found = together(self._all, self._wanted, self._hits)
        if not self._wanted.words:
            found = ordered(found, self._order)
            keep = keep or (self._current, "")
        shown = entries(found)
        highlighted = next((entry for entry in shown if place(entry) == keep), None)
        if highlighted is None and keep is not None:
            highlighted = next((entry for entry in shown if place(entry)[0] == keep[0]), None)
        self.rows.show(shown, highlighted, hint=self._hint())
        note = tr("searching…") if self._is_searching else tr(ORDERS[self._order]) if self._order != "used" else ""
        self.show_count(self._count(found), note)

    def _hint(self) -> str:
        """What stands in an empty list."""
        if self._is_searching:
            return tr("Searching…")
        if self._all:
            return tr("Nothing matches. Fewer words find more.")
        if self._shelf.unread is not None:
            return tr(_UNREADABLE)
        return tr("No conversations yet: they are kept as you chat.")

    def _count(self, found: Sequence[Found]) -> str:
        n_all = len(self._all or ())
        n_shown = len(found)
        if not n_all:
            return ""
        if n_shown == n_all and not self._has_more:
            return trn("{n} conversation", "{n} conversations", n_all)
        shown = f"{n_shown:,}{'+' * self._has_more}"
        return trn("{n_shown} of {n} conversation", "{n_shown} of {n} conversations", n_all, n_shown=shown)

    def action_move(self, by: int) -> None:
        """Move in the list, and stay there while more is found."""
        self._is_moved = True
        super().action_move(by)

    def action_move_page(self, by: int) -> None:
        """As `action_move`."""
        self._is_moved = True
        super().action_move_page(by)

    def action_conversation_sort(self) -> None:
        """By the next thing; what is found by words stays the best first."""
        orders = list(ORDERS)
        self._order = orders[(orders.index(self._order) + 1) % len(orders)]
        self._keep_order(self._order)
        self._show(place(self.rows.item))
        self._tell(tr("Sorted: {order}.", order=tr(ORDERS[self._order])))

    def _tell(self, text: str, *, bad: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(bad, "-bad")
        told.update(Wrapped(clean(text)))

    # What is done -----------------------------------------------------------------------------------------------------

    @on(RowList.Chosen)
    def action_conversation_open(self) -> None:
        """Open the highlighted one, at the message that is highlighted or that goes best with the words."""
        if self._editing is not None or (one := self._meant()) is None:
            return
        entry = self.rows.item
        hit = entry.hit if isinstance(entry, FoundMessage) else next(iter(entry.hits), None) if entry else None
        words = self._wanted.words if hit is not None else ()
        self.dismiss(Picked(conversation_id=one.id, turn_id=hit.turn_id if hit else "", words=words))

    def _meant(self) -> Summary | None:
        """The highlighted conversation; None, and said so, where there is none."""
        entry: Entry | None = self.rows.item
        if entry is None:
            is_read = self._all is not None
            self._tell(tr("No conversation is highlighted.") if is_read else tr("They are still loading."))
            return None
        return entry.conversation

    def action_conversation_rename(self) -> None:
        """Write another title below the list."""
        if (one := self._meant()) is not None:
            self._edit("title", one, one.title)

    def action_conversation_tag(self) -> None:
        """Write its tags below the list."""
        if (one := self._meant()) is not None:
            self._edit("tags", one, " ".join(one.tags))

    def _edit(self, what: Literal["title", "tags"], one: Summary, text: str) -> None:
        self._editing = what, one
        self.key_titles["dialog_close"] = CANCEL
        self.add_class("-renaming")
        close = display_keys(self.keymap.get("dialog_close", ()), limit=1)
        if what == "title":
            both = tr("Enter saves the new title, {key} keeps the old one.", key=close)
            told = both if close else tr("Enter saves the new title.")
        else:
            told = tr("Tags, with blanks between them. Enter saves them; tag:NAME finds what has one.")
        self._tell(told)
        line = self.query_one("#new-title", Input)
        line.value = text
        line.cursor_position = len(text)
        line.focus()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a title is written, nothing is done to the list."""
        if self._editing is not None and action.startswith(("conversation_", "move")):
            return False
        return super().check_action(action, parameters)

    @on(Input.Submitted, "#new-title")
    def _written(self, event: Input.Submitted) -> None:
        match self._editing:
            case ("title", _) if not event.value.strip():
                self._tell(tr("Enter something."), bad=True)
            case ("title", one):
                self._stop_editing()
                self._save_title(one, event.value.strip())
            case ("tags", one):
                self._stop_editing()
                self._save_place(one, msgspec.structs.replace(place_of(one), tags=tags_of(event.value)), tr("Tagged."))

    @work(group="change")
    async def _save_title(self, one: Summary, title: str) -> None:
        if title != one.title and await self._try(self._shelf.rename(one.id, title), tr("Renamed.")):
            self._read(one)

    @work(group="change")
    async def _save_place(self, one: Summary, where: Place, done: str) -> None:
        leaves = where.is_archived != one.is_archived and not self._wanted.words
        keep = self._highlighted_without(one.id) if leaves else one
        if where != place_of(one) and await self._try(self._shelf.place(one.id, where), done):
            self._read(keep)

    def _stop_editing(self) -> None:
        self._editing = None
        self.key_titles.pop("dialog_close")
        self.remove_class("-renaming")
        self._tell("")
        self.query_one("#filter").focus()
        self.refresh_bindings()

    def action_conversation_pin(self) -> None:
        """List it first, or no longer."""
        if (one := self._meant()) is not None:
            done = tr("No longer pinned.") if one.is_pinned else tr("Pinned.")
            self._save_place(one, msgspec.structs.replace(place_of(one), is_pinned=not one.is_pinned), done)

    def action_conversation_archive(self) -> None:
        """Take it out of the list, or back into it."""
        if (one := self._meant()) is not None:
            back, away = tr("Back in the list."), tr("Archived: is:archived shows it, and words find it.")
            where = msgspec.structs.replace(place_of(one), is_archived=not one.is_archived)
            self._save_place(one, where, back if one.is_archived else away)

    @work(group="change")
    async def action_conversation_delete(self) -> None:
        """Delete the highlighted one, after asking."""
        one = self._meant()
        if one is None:
            return
        question = tr("Delete “{title}”?", title=title_of(one))
        detail = trn("{n} message. This cannot be undone.", "{n} messages. This cannot be undone.", one.n_turns)
        if not await self.app.push_screen_wait(
            ConfirmScreen(question, self.keymap, detail=detail, yes=tr("Delete"), no=tr("Keep"))
        ):
            return
        if await self._try(self._shelf.delete(one.id), tr("Deleted.")):
            self._hits = tuple(hit for hit in self._hits if hit.conversation_id != one.id)
            self._read(self._highlighted_without(one.id))

    def _highlighted_without(self, conversation_id: str) -> Summary | None:
        """The highlighted one; if it is this, which is gone, the next one, or else the one before."""
        items: list[Entry] = list(self.rows.items)
        at = next((number for number, entry in enumerate(items) if entry is self.rows.item), len(items))
        near = [entry.conversation for entry in (*items[at:], *reversed(items[:at]))]
        return next((one for one in near if one.id != conversation_id), None)

    @work(group="change")
    async def action_conversation_export(self) -> None:
        """Write the highlighted one to a file, as Markdown or JSON."""
        one = self._meant()
        if one is None:
            return
        chosen = await self.app.push_screen_wait(ChoiceScreen(tr("Export as"), exports(), self.keymap))
        kind = next((kind for kind in ENDINGS if kind == chosen), None)
        if kind is None:
            return
        try:
            file = await self._shelf.export(one.id, kind)
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
        """Leave title or tags as they were, or close the dialog."""
        if self._editing is not None:
            self._stop_editing()
        else:
            self.dismiss(None)
