"""What is being fetched: the queue with how far each is, and what to do about one that stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.app import hub_phrases
from tui.app.bindings import Keymap
from tui.app.markdown.text import width_of
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.dialog import ListDialog
from tui.app.screens.text_edit import LineEditScreen
from tui.app.widgets.details_pane import DetailsPane, with_details
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.app.widgets.wrapped import Wrapped
from tui.base import format
from tui.base.text import clean
from tui.config.keymap import display_keys
from tui.downloads import progress_words
from tui.downloads.records import Download
from tui.hubs.known_hubs import HUBS
from tui.session.events import AnySessionEvent, DownloadsChanged
from tui.session.fetching import Fetching, path_of
from tui.words import mark, tr, trn

_STATES = {"failed": "full", "paused": "tight", "done": "good"}
_FIGURES = 34
"""Cells of a download's figures beside its bar."""


class AfterDownloads(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done next."""

    what: Literal["load", "find"]
    path: str = ""
    """For "load": what llama.cpp wants."""


class DownloadsScreen(ListDialog[AfterDownloads]):
    """Changes are made at once; what comes of them is heard of. Gives what another screen is needed for."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "find.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = ""

    def __init__(
        self,
        fetching: Fetching,
        keymap: Keymap,
        listen: Callable[[Callable[[AnySessionEvent], None]], Callable[[], None]],
    ) -> None:
        super().__init__(keymap, "downloads", title=tr("Downloads"))
        self._fetching, self._listen = fetching, listen
        self._end: Callable[[], None] = lambda: None

    def compose_body(self) -> ComposeResult:
        """List, details."""
        yield Static("", id="about", markup=False)
        yield with_details(RowList[Download](self._paint))

    def on_mount(self) -> None:
        """Show what there is, and what comes."""
        self._end = self._listen(self._hear)
        self._show()

    def on_unmount(self) -> None:
        """Nothing is to be heard any more."""
        self._end()

    def _hear(self, event: AnySessionEvent) -> None:
        if isinstance(event, DownloadsChanged):
            self._show()

    # Showing ----------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if len(self.query("RowList, #about, #details Static")) < 3:  # the screen is going
            return
        downloads = self._fetching.all
        before = self.rows.item
        same = next((one for one in downloads if before is not None and one.order.id == before.order.id), None)
        find = display_keys(self.keymap.get("download_find", ()), limit=1)
        hint = tr("Nothing is being downloaded.")
        self.rows.show(downloads, same, hint=tr("{told}\n{key} finds models.", told=hint, key=find) if find else hint)
        self.query_one("#about", Static).update(Wrapped(clean(self._about(downloads))))

    def _about(self, downloads: Sequence[Download]) -> str:
        """All together."""
        left = [one for one in downloads if one.state != "done"]
        told = []
        if left:
            n_bytes = sum(one.order.size_bytes - one.n_bytes for one in left)
            told.append(trn("{n} model in the queue", "{n} models in the queue", len(left)))
            told.append(tr("{size} to download", size=format.size(n_bytes)))
            told.append(tr("goes on while you chat, and at the next start"))
        if limit := self._fetching.limit_bytes_per_s:
            told.append(tr("at most {speed}", speed=progress_words.per_second(limit)))
        return " · ".join(told)

    def _paint(self, download: Download, width: int) -> Row:
        state = hub_phrases.state(download)
        n_figures = min(_FIGURES, width // 2)
        n_name = min(30, width - n_figures - 2)
        n_bar = width - n_name - n_figures - 4
        row: list[tuple[str, str]] = [(column(progress_words.order_name(download.order), n_name), "")]
        if n_bar >= 8:
            row += [("  ", ""), *hub_phrases.bar(progress_words.share_of(download), min(n_bar, 40))]
            n_figures = width - n_name - min(n_bar, 40) - 4
        else:
            n_figures = width - n_name - 2
        told = _as_fit(progress_words.figures(download), n_figures) if download.state == "fetching" else state
        return (*row, ("  ", ""), (column(told, n_figures), _STATES.get(download.state, "muted")))

    @on(RowList.Highlighted)
    def _show_details(self) -> None:
        download: Download | None = self.rows.item
        content = Content("")
        if download is not None:
            content = _details(download)
        is_bad = download is not None and download.problem is not None
        self.query_one(DetailsPane).show(content, download and download.order.id, is_bad=is_bad)
        paused = download is not None and download.state in ("paused", "failed")
        titles = {**self.key_titles, "download_pause": mark("Resume") if paused else mark("Pause")}
        titles["download_cancel"] = _TAKE_OFF if download is not None and download.state == "done" else _CANCEL
        if titles != self.key_titles:
            self.key_titles = titles
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done to the highlighted one is offered."""
        download: Download | None = self.rows.item if self.query("RowList") else None
        state = download.state if download else ""
        if action == "download_load":
            return state == "done"
        if action == "download_pause":
            return state not in ("", "done")
        if action in ("download_cancel", "download_up", "download_down"):
            return bool(state)
        return super().check_action(action, parameters)

    # What a person does -----------------------------------------------------------------------------------------------

    @on(RowList.Chosen)
    def action_download_load(self) -> None:
        """Load the highlighted one, if it is whole."""
        download: Download | None = self.rows.item
        if download is not None and download.state == "done":
            self.dismiss(AfterDownloads(what="load", path=str(path_of(download.order))))

    def action_download_find(self) -> None:
        """Search for more."""
        self.dismiss(AfterDownloads(what="find"))

    @work(group="change")
    async def action_download_pause(self) -> None:
        """Pause, or go on."""
        download: Download | None = self.rows.item
        if download is None or download.state == "done":
            return
        if download.state in ("paused", "failed"):
            await self._fetching.resume(download.order.id)
        else:
            await self._fetching.pause(download.order.id)

    @work(group="change")
    async def action_download_cancel(self) -> None:
        """Drop it, after a question where something of it is there; what is whole only leaves the list."""
        download: Download | None = self.rows.item
        if download is None:
            return
        if download.state == "done":
            await self._fetching.forget(download.order.id)
            return
        if download.n_bytes:
            question = ConfirmScreen(
                tr("Cancel the download of {name}?", name=progress_words.order_name(download.order)),
                self.keymap,
                detail=tr("The {size} downloaded so far will be deleted.", size=format.size(download.n_bytes)),
                yes=tr("Cancel download"),
                no=tr("Keep"),
            )
            if not await self.app.push_screen_wait(question):
                return
        await self._fetching.cancel(download.order.id)

    def action_download_up(self) -> None:
        """Earlier."""
        self._move(-1)

    def action_download_down(self) -> None:
        """Later."""
        self._move(1)

    @work(group="change")
    async def _move(self, by: int) -> None:
        if (download := self.rows.item) is not None:
            await self._fetching.move(download.order.id, by)

    @work(group="change")
    async def action_download_limit(self) -> None:
        """Ask for a limit in MiB a second."""
        now = self._fetching.limit_bytes_per_s
        hint = tr("MiB per second for all downloads together; 0 means no limit.")
        while True:
            dialog = LineEditScreen(
                tr("Limit speed"), f"{now / 2**20:g}" if now else "0", self.keymap, placeholder="5", hint=hint
            )
            answer: str | None = await self.app.push_screen_wait(dialog)
            if answer is None:
                return
            if (limit := _mib(answer)) is not None:
                break
            hint = tr("Enter a number, such as 5 or 0.5; 0 means no limit.")
        await self._fetching.limit(int(limit * 2**20))
        self._show()


_CANCEL, _TAKE_OFF = mark("Cancel download"), mark("Remove from list")


def _mib(written: str) -> float | None:
    """The number that was written; None where it is none that a limit can be."""
    try:
        limit = float(written.replace(",", "."))
    except ValueError:
        return None
    return limit if 0 <= limit < 1e6 else None


def _as_fit(told: tuple[str, ...], width: int) -> str:
    kept = list(told)
    while len(kept) > 1 and sum(width_of(text) + 3 for text in kept) - 3 > width:
        kept.pop()
    return " · ".join(kept)


def _details(download: Download) -> Content:
    order = download.order
    done = tr("{done} of {size}", done=format.size(download.n_bytes), size=format.size(order.size_bytes))
    told = [
        done,
        *(progress_words.figures(download) if download.state == "fetching" else (hub_phrases.state(download),)),
    ]
    if len(order.files) > 1:
        told.append(trn("{n} file", "{n} files", len(order.files)))
    lines = [
        Content.styled(progress_words.order_name(order), "bold"),
        Content(" · ".join(told)),
    ]
    if download.problem is not None:
        lines.append(Content.styled(clean(hub_phrases.problem(download.problem, order.repo)), "$text-error"))
    where = tr(
        "{hub} · {repository} · into {folder}",
        hub=HUBS[order.repo.hub].title,
        repository=order.repo.name,
        folder=order.folder,
    )
    lines.append(Content.styled(clean(where), "$foreground-muted"))
    return Content("\n").join(lines)
