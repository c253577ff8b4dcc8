"""Finding models: one line searches both hubs while one types; without words, what suits this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from tui.app.bindings import Keymap
from tui.app.screens.dialog import ListDialog
from tui.app.screens.find_table import Entry, FindColumns, Heading, Suited, details
from tui.app.widgets.details_pane import DetailsPane, with_details
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.base.text import clean
from tui.hubs.known_hubs import HUBS
from tui.hubs.records import FoundRepo, HubName, Sort
from tui.hubs.reference import Reference
from tui.planning.now import MemoryNow
from tui.session.finding import Finding, Results, Wanted, meant
from tui.words import mark, tr, trn

_SORTS: tuple[Sort, ...] = ("downloads", "likes", "updated")
_NEAR_THE_END = 3
"""Rows from the end from which on more is asked for."""
_PLACEHOLDER = mark("Search, or paste a repository or its address")


class FindScreen(ListDialog[Reference]):
    """Gives the repository to open. `wanted` is what was looked for before; `suited` is shown while nothing is typed.
    `more_suited` gives what can be told of it later, or None.
    Typing is never waited for: the hubs answer in threads, and only the newest question counts."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "find.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        finding: Finding,
        memory: MemoryNow,
        keymap: Keymap,
        *,
        suited: Sequence[Suited] = (),
        more_suited: Callable[[], Awaitable[Sequence[Suited] | None]] | None = None,
        wanted: Wanted = Wanted(),  # noqa: B008
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        super().__init__(keymap, "find", title=tr("Find models"))
        self._finding, self._memory, self._now = finding, memory, now
        self.suited = tuple(suited)
        """What suits this machine, as it is known now."""
        self._more_suited = more_suited
        self.wanted = wanted
        """What is looked for."""
        self._results = Results(wanted=wanted)
        self._is_asking = False
        self._may_pause = False
        """The search may still wait for more to be typed."""

    def compose_body(self) -> ComposeResult:
        """Line, table, details."""
        yield from self.filter_line(tr(_PLACEHOLDER), *(f"find_{what}" for what in ("open", "hub", "sort")))
        yield with_details(
            RowList[Entry](
                self._paint,
                header=lambda width: FindColumns(width, self.wanted.sort).header,
                is_heading=lambda entry: isinstance(entry, Heading),
            )
        )

    def on_mount(self) -> None:
        """Show what is known, then ask."""
        line = self.query_one("#filter", Input)
        line.value = self.wanted.text
        line.cursor_position = len(line.value)
        if not line.value:
            self._ask(pause=False)
        if self._more_suited is not None:
            self._take_suited(self._more_suited)

    @work(exclusive=True, group="suited")
    async def _take_suited(self, more: Callable[[], Awaitable[Sequence[Suited] | None]]) -> None:
        found = await more()
        if found is not None and self.is_mounted:
            best = next((one for one in self.suited if one.is_best), None)
            is_at_best = self.rows.item is best
            self.suited = tuple(found)
            self._show(keep=not is_at_best)

    # Asking -----------------------------------------------------------------------------------------------------------

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        text = " ".join(event.value.split())
        if text != self._results.wanted.text or not self._results.repos:
            self._want(msgspec.structs.replace(self.wanted, text=text))

    def _want(self, wanted: Wanted, *, pause: bool = True) -> None:
        self.wanted = wanted
        self._ask(pause=pause)

    def _ask(self, *, pause: bool = True) -> None:
        self._is_asking, self._may_pause = True, pause
        self._results = Results(wanted=self.wanted)
        self._show()
        if (found := self._meant()) is None or found.hub is None:
            self._search(pause)
        else:  # an address is not searched for
            self.workers.cancel_group(self, "search")
            self._is_asking = False
            self._show()

    @work(exclusive=True, group="search")
    async def _search(self, pause: bool) -> None:
        answers = self._finding.search(self.wanted) if pause else self._finding.search(self.wanted, pause_s=0)
        async with aclosing(answers):
            async for results in answers:
                self._take(results)

    @work(exclusive=True, group="search")
    async def _search_on(self) -> None:
        async with aclosing(self._finding.more(self._results)) as answers:
            async for results in answers:
                self._take(results)

    def _take(self, results: Results) -> None:
        if self.is_mounted and results.wanted == self.wanted:
            self._results, self._is_asking = results, not results.is_whole
            self._show(keep=True)

    def _meant(self) -> Reference | None:
        """The repository whose name or address was typed or pasted."""
        return meant(self.wanted.text)

    # Showing ----------------------------------------------------------------------------------------------------------

    def _show(self, *, keep: bool = False) -> None:
        if len(self.query("RowList, #filter, #details Static")) < 3:  # the screen is going
            return
        entries: list[Entry] = []
        if (reference := self._meant()) is not None:
            entries.append(reference)
        elif not self.wanted.text and self.suited:
            has_speed = any(one.decode for one in self.suited)
            entries += [
                Heading(title=tr("For this machine"), is_suited=True, has_speed=has_speed),
                *self.suited,
            ]
            if self._results.repos:
                entries.append(Heading(title=tr("On the hubs")))
        entries += self._results.repos
        before = self.rows.item
        highlighted = before if keep or before in entries else None
        if highlighted is None and not self.wanted.text:
            highlighted = next((one for one in self.suited if one.is_best), None)
        self.rows.show(entries, highlighted, hint=self._hint())
        n = len(self._results.repos)
        count = trn("{n} repository", "{n} repositories", n) if n else ""
        note = tr("asking…") if self._is_asking else ""
        where = HUBS[self.wanted.hub].title if self.wanted.hub else ""
        self.show_count(count, "  ".join(filter(None, (note, where))))

    def _hint(self) -> str:
        """What stands in an empty list."""
        if self._is_asking:
            return tr("Asking the hubs…")
        if self._results.failures:
            return self._troubles()
        return tr("Nothing found. Fewer or other words find more.")

    def _troubles(self) -> str:
        told = "\n".join(dict.fromkeys(clean(str(failure)) for failure in self._results.failures))
        if self._results.is_offline:
            return tr("{reasons}\nWhat is on this machine works without a network.", reasons=told)
        return told

    def _paint(self, entry: Entry, width: int) -> Row:
        columns = FindColumns(width, self.wanted.sort)
        match entry:
            case Heading():
                return columns.heading(entry)
            case Suited():
                return columns.suited(entry)
            case FoundRepo():
                return columns.found(entry, self._memory, self._now())
            case Reference(name=name, label=label):
                text = tr("Open {repository}", repository=f"{name}:{label}" if label else name)
                return ((column(text, width), "strong"),)

    @on(RowList.Highlighted)
    def _show_details(self) -> None:
        rows = self.rows
        entry = rows.item
        content = details(entry, self._memory, self._now())
        if self._results.failures and rows.items:
            content = Content("\n").join((Content.styled(self._troubles(), "$text-warning"), content))
        self.query_one(DetailsPane).show(content, entry)
        near_end = isinstance(entry, FoundRepo) and entry in self._results.repos[-_NEAR_THE_END:]
        if near_end and self._results.next and not self._is_asking:
            self._is_asking = True
            self._search_on()

    # What a person does -----------------------------------------------------------------------------------------------

    def action_find_hub(self) -> None:
        """Both, then each alone."""
        places: tuple[HubName | None, ...] = (None, *HUBS)
        self._want(
            msgspec.structs.replace(self.wanted, hub=places[(places.index(self.wanted.hub) + 1) % len(places)]),
            pause=False,
        )

    def action_find_sort(self) -> None:
        """By the next figure."""
        at = _SORTS.index(self.wanted.sort)
        self._want(msgspec.structs.replace(self.wanted, sort=_SORTS[(at + 1) % len(_SORTS)]), pause=False)

    @on(RowList.Chosen)
    def action_find_open(self) -> None:
        """Open the highlighted one. Before there is one, ask at once rather than wait for more to be typed."""
        match self.rows.item:
            case Suited(suggestion=suggestion):
                info = suggestion.info
                self.dismiss(Reference(name=f"Qwen/{info.name}-GGUF", label=info.quant))
            case FoundRepo() as repo:
                self.dismiss(Reference(name=repo.id.name, hub=repo.id.hub, revision=repo.id.revision))
            case Reference() as reference:
                self.dismiss(reference)
            case _ if self._is_asking and self._may_pause:
                self._ask(pause=False)
            case _:
                self.app.bell()
