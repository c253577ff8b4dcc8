"""One repository: its variants with what each would mean on this machine, the recommended one marked; enter fetches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import ClassVar, Literal

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.app import hub_phrases
from tui.app.bindings import Keymap
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.dialog import ListDialog
from tui.app.screens.repository_rows import Known, Row_, VariantColumns, details
from tui.app.widgets.details_pane import DetailsPane, with_details
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.base import format
from tui.base.text import clean
from tui.hubs.interface import HubError
from tui.hubs.known_hubs import HUBS, page_of
from tui.hubs.records import RemoteFile, Variant
from tui.hubs.reference import Reference
from tui.models.library import LibraryModel
from tui.planning.recommending import Recommendation, recommended
from tui.session.events import AnySessionEvent, DownloadsChanged
from tui.session.fetching import ACTIVE, KEPT_FREE, Fetching, free_for, path_of
from tui.session.finding import Finding, Judge, OpenedRepo, Prospect, on_machine
from tui.words import tr, trn


class Picked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done next."""

    what: Literal["load", "downloads"]
    path: str = ""
    """For "load": what llama.cpp wants."""


class RepositoryScreen(ListDialog[Picked]):
    """Gives what is to be done that needs another screen: load what is here, or look at the downloads.

    `library` gives the models of this machine, `listen` the session's events, `copy` copies an address.
    `measured` says, after a while, whether the `judge` can tell more of speeds by then.
    """

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "find.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = ""

    def __init__(
        self,
        reference: Reference,
        finding: Finding,
        judge: Judge,
        fetching: Fetching,
        keymap: Keymap,
        *,
        library: Sequence[LibraryModel] = (),
        listen: Callable[[Callable[[AnySessionEvent], None]], Callable[[], None]],
        copy: Callable[[str], Awaitable[object]],
        measured: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        super().__init__(keymap, "repository", title=reference.name)
        self._reference, self._finding, self._judge, self._fetching = reference, finding, judge, fetching
        self._library, self._listen, self._copy, self._measured = tuple(library), listen, copy, measured
        self._opened: OpenedRepo | None = None
        self._judged: tuple[Prospect, ...] = ()
        self._best: Recommendation | None = None
        self.is_settled = False
        """All is judged, or why it could not be is said."""
        self._trouble = ""
        """Why nothing is known of the repository, or of its headers."""
        self._room: int | None = None
        self._exact: set[str] = set()
        """Labels whose own header was asked for."""
        self._end: Callable[[], None] = lambda: None

    def compose_body(self) -> ComposeResult:
        """What it is, table, details."""
        yield Static("", id="about", markup=False)
        yield with_details(
            RowList[Row_](
                self._paint,
                header=lambda width: self._columns(width).header,
                is_heading=lambda row: isinstance(row, str),
            )
        )

    def on_mount(self) -> None:
        """Ask the hub."""
        self._end = self._listen(self._hear)
        self.rows.show((), hint=tr("Asking the hub…"))
        self._look()

    def on_unmount(self) -> None:
        """Nothing is to be heard any more."""
        self._end()

    # Looking ----------------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        self._room = await self._fetching.room()
        try:
            self._opened = opened = await self._finding.open(self._reference)
        except HubError as error:
            self._trouble, self.is_settled = str(error), True
            self._show()
            return
        self._judged = tuple(Prospect(variant=variant) for variant in opened.content.variants)
        self._trouble = str(opened.trouble) if opened.trouble else ""
        self._show()
        await self._judge_all(opened)
        if self._measured is not None and await self._measured():
            await self._judge_all(opened)

    async def _judge_all(self, opened: OpenedRepo) -> None:
        try:
            async with aclosing(self._judge.all(opened)) as steps:
                async for judged in steps:
                    self._judged = judged
                    self._update()
        except HubError as error:
            self._trouble = str(error)
        self._best = recommended(self._judged)
        self.is_settled = True
        self._show()

    @work(exclusive=True, group="exact")
    async def _look_closer(self, variant: Variant) -> None:
        """The highlighted one by its own header: it may be mixed in another way than its size tells."""
        if self._opened is None:
            return
        try:
            exact = await self._judge.one(self._opened, variant)
        except HubError:
            return  # the others' header serves; a file that is broken says so when it was fetched
        self._judged = tuple(exact if one.variant is variant else one for one in self._judged)
        self._update()

    def _hear(self, event: AnySessionEvent) -> None:
        if isinstance(event, DownloadsChanged):
            self._update()

    # Showing ----------------------------------------------------------------------------------------------------------

    @property
    def _is_whole(self) -> bool:
        return len(self.query("RowList, #about, #details Static")) == 3

    def _show(self) -> None:
        """All of it again; the meant, or else the recommended one is highlighted."""
        if not self._is_whole:
            return
        content = self._opened.content if self._opened else None
        rows: list[Row_] = [one.variant for one in self._judged]
        if content is not None and content.projectors:
            rows += [tr("Projectors: for pictures and sound, with a model"), *content.projectors]
        hint = self._trouble or tr("There is nothing here that can be loaded.")
        self.rows.show(rows, self._wanted(), hint=clean(hint))
        self.query_one("#about", Static).update(self._about())
        self._show_details()

    def _wanted(self) -> Variant | None:
        before = self.rows.item
        wanted = self._opened.meant.label if self._opened and self._opened.meant else ""
        label = wanted or (self._best.label if self._best else "")
        variants = [one.variant for one in self._judged]
        if isinstance(before, Variant) and before is not variants[0]:
            return next((one for one in variants if one.label == before.label), None)
        return next((one for one in variants if one.label == label), None)

    def _update(self) -> None:
        if self._is_whole:
            self.rows.update_rows()
            self._show_details()

    def _about(self) -> str:
        if self._opened is None:
            return ""
        repo = self._opened.repo
        told = [HUBS[repo.id.hub].title]
        if repo.found.n_params:
            told.append(format.params(repo.found.n_params))
        told.append(trn("{n} variant", "{n} variants", len(self._judged)))
        if repo.found.licence:
            told.append(tr("Licence: {licence}", licence=clean(repo.found.licence)))
        if repo.found.is_gated:
            told.append(tr("gated"))
        return " · ".join(told)

    def _known(self, variant: Variant) -> Known:
        judged = next((one for one in self._judged if one.variant is variant), Prospect(variant=variant))
        return Known(
            judged=judged,
            download=self._fetching.known(variant),
            here=on_machine(variant, self._library),
            best=self._best if self._best and self._best.label == variant.label else None,
        )

    def _columns(self, width: int) -> VariantColumns:
        return VariantColumns(width, has_speed=any(one.decode for one in self._judged))

    def _paint(self, row: Row_, width: int) -> Row:
        columns = self._columns(width)
        match row:
            case Variant():
                return columns.variant(self._known(row))
            case RemoteFile():
                return columns.projector(row)
            case heading:
                return ((column(f"── {heading} ──", width), "muted"),)

    @on(RowList.Highlighted)
    def _highlighted(self) -> None:
        variant = self.rows.item
        self._show_details()
        if isinstance(variant, Variant) and self._best and variant.label not in self._exact:
            self._exact.add(variant.label)
            self._look_closer(variant)

    def _show_details(self) -> None:
        row = self.rows.item
        content = Content("")
        if isinstance(row, Variant):
            content = details(self._known(row), self._room, self._fetching.bytes_per_s)
            if self._trouble:
                content = Content("\n").join((content, Content.styled(clean(self._trouble), "$text-warning")))
        elif isinstance(row, RemoteFile):
            content = Content(tr("llmtui does not load projectors: it is a chat for text."))
        self.query_one(DetailsPane).show(content, row)

    # What a person does -----------------------------------------------------------------------------------------------

    @work(exclusive=True, group="copy")
    async def action_repository_copy(self) -> None:
        """Copy the address of the page."""
        repo = self._opened.repo.id if self._opened else None
        if repo is not None:
            await self._copy(page_of(repo))

    @on(RowList.Chosen)
    @work(exclusive=True, group="get")
    async def action_repository_get(self) -> None:
        """Load what is here; else go on with it, show it, or fetch it."""
        variant = self.rows.item
        if not isinstance(variant, Variant):
            self.app.bell()
            return
        self.query_one(DetailsPane).forget()
        known = self._known(variant)
        download = known.download
        if known.here is not None:
            self.dismiss(Picked(what="load", path=str(known.here.path)))
        elif download is not None and download.state == "done":
            self.dismiss(Picked(what="load", path=str(path_of(download.order))))
        elif download is not None and download.state in ACTIVE:
            self.dismiss(Picked(what="downloads"))
        elif download is not None:
            await self._fetching.resume(download.order.id)
        elif await self._is_wanted(known):
            await self._fetching.fetch(variant)
            self._update()

    async def _is_wanted(self, known: Known) -> bool:
        """There is room for it on the disk, and it can be loaded, or it is wanted all the same."""
        variant = known.judged.variant
        self._room = room = await self._fetching.room()
        if room is not None and not free_for(variant.size_bytes, room):
            words = hub_phrases.no_room(variant.size_bytes, room, KEPT_FREE)
            self.query_one(DetailsPane).remark(Content.styled(words, "$text-error"), variant)
            return False
        permission = known.judged.permission
        if permission is None or permission.fit != "no":
            return True
        question = ConfirmScreen(
            tr("Download a model that does not fit?"),
            self.keymap,
            detail=tr("This machine cannot load it right now: {size}.", size=format.size(variant.size_bytes)),
            yes=tr("Download"),
            no=tr("Cancel"),
        )
        sure: bool | None = await self.app.push_screen_wait(question)
        return bool(sure)
