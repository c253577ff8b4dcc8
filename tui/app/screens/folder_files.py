"""Which files of a folder a prompt is about: a list with sizes, of which some are chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.screens.dialog import ListDialog, matches
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.base import format
from tui.base.oserrors import os_reason
from tui.files.folders import FolderFile, FolderListing
from tui.words import tr, trn

_SIZE = 10
_BYTES_PER_TOKEN = 4
"""About, of code and English."""


class ChosenFiles(msgspec.Struct, frozen=True):
    """What was chosen."""

    names: tuple[str, ...]
    """Paths within the folder."""
    is_all: bool
    """All that there are."""


class FolderFilesScreen(ListDialog[ChosenFiles]):
    """Gives what was chosen, or None. All are at first."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "palette.tcss"]  # type: ignore[assignment]

    def __init__(self, title: str, look: Callable[[], Awaitable[FolderListing]], keymap: Keymap) -> None:
        """`look` gives what the folder has, or raises OSError."""
        super().__init__(keymap, "folder", title=title)
        self._look = look
        self._listing = FolderListing((), is_whole=True)
        self._chosen: set[str] = set()
        self._hint = tr("Reading…")

    def compose_body(self) -> ComposeResult:
        """What is looked for, and the files."""
        yield from self.filter_line(tr("Type to filter"), "folder_take", "folder_toggle", "folder_all")
        yield RowList[FolderFile](self._paint, choose_at_once=True)

    def on_mount(self) -> None:
        """Read the folder."""
        self._refilter()
        self._read()

    @work(exclusive=True, group="read")
    async def _read(self) -> None:
        try:
            self._listing = await self._look()
        except OSError as error:
            self._hint = tr("It cannot be read: {why}.", why=os_reason(error))
        else:
            self._hint = tr("No text file is in it.")
        self._chosen = {file.name for file in self._listing.files}
        self._refilter()

    @on(Input.Changed, "#filter")
    def _refilter(self) -> None:
        found = [file for file in self._listing.files if matches(self.words, file.name.casefold())]
        self.rows.show(found, self.rows.item, hint=self._hint if not self._listing.files else tr("Nothing matches."))
        self._count()

    def _count(self) -> None:
        files = self._listing.files
        if not files:
            return
        n_bytes = sum(file.n_bytes for file in files if file.name in self._chosen)
        n_tokens = n_bytes // _BYTES_PER_TOKEN
        told = [
            trn("{n_chosen} of {n} file", "{n_chosen} of {n} files", len(files), n_chosen=f"{len(self._chosen):,}"),
            format.size(n_bytes),
            trn("≈ {n} token", "≈ {n} tokens", n_tokens),
        ]
        self.show_count(" · ".join(told), "" if self._listing.is_whole else tr("the first ones of very many"))

    def _paint(self, file: FolderFile, width: int) -> Row:
        is_chosen = file.name in self._chosen
        name = column(file.name, width - 2 - _SIZE)
        size = column(format.size(file.n_bytes), _SIZE, right=True)
        return (("✓ " if is_chosen else "  ", "good"), (name, "" if is_chosen else "muted"), (size, "muted"))

    @on(RowList.Chosen)
    def action_folder_toggle(self) -> None:
        """Choose the highlighted one, or leave it out."""
        if (file := self.rows.item) is not None:
            self._chosen ^= {file.name}
            self.rows.update_rows()
            self._count()

    def action_folder_all(self) -> None:
        """Choose all that are shown, or none of them."""
        shown = {file.name for file in self.rows.items}
        self._chosen = self._chosen - shown if shown <= self._chosen else self._chosen | shown
        self.rows.update_rows()
        self._count()

    def action_folder_take(self) -> None:
        """Give what is chosen."""
        names = tuple(file.name for file in self._listing.files if file.name in self._chosen)
        if names:
            self.dismiss(ChosenFiles(names, is_all=len(names) == len(self._listing.files)))
