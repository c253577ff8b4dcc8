"""The model picker: what is on this machine, filtered while one types, with what it takes to load each model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.markdown.text import width_of
from tui.app.notices import tell
from tui.app.screens import picker_delete, picker_words
from tui.app.screens.choice import ChoiceScreen
from tui.app.screens.dialog import ListDialog, matches
from tui.app.screens.model_records import ModelRecords, no_records, nothing_measured
from tui.app.screens.picker_details import Entry, GivenPath, Heading, details, haystack, here, legend, same_entry
from tui.app.screens.picker_filter import PickerFilter
from tui.app.screens.picker_table import JUDGED, SORT_KEYS, Facts, Sort, TableColumns, in_order
from tui.app.widgets.details_pane import DetailsPane, with_details
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.base.text import clean
from tui.config.actions import BY_ID
from tui.config.settings import ChosenLoad
from tui.config.state import is_text, with_favourite
from tui.measure.forecast import Forecast, forecast
from tui.models.detail_words import DetailRow
from tui.models.library import BrokenFile, Library, LibraryModel, OtherFile, inspect
from tui.models.modelfile import ModelFileError
from tui.planning.exact import Confirmed
from tui.planning.guardrail import ALL_SETTINGS, PLACEMENT, LoadPermission, may_load
from tui.planning.now import MemoryNow
from tui.protocol.records import Device
from tui.words import tr

_LOOK_EVERY_S = 2.0
"""How soon what changed on the disk is seen."""
_TELL_EVERY_S = 0.4
"""How often what the first scan has found so far is shown."""


class PickedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen. With `settings_first` the load settings are to be shown before it is loaded."""

    model: LibraryModel
    settings_first: bool

    @property
    def path(self) -> Path:
        """What llama.cpp wants."""
        return self.model.path


class PickerScreen(ListDialog[PickedModel]):
    """Give it `scan`, which blocks and is run in a thread, and what is free. It is seen before the scan is done.

    `load_for` gives the settings that a model would be loaded with, for the column "NEEDS"; `folders` are named when
    nothing was found; `current` is the path of the model that is loaded; `library` is shown until the scan is done, and
    what `records` gives when it comes; without one, what `so_far` gives of the scan that runs. `favourites` are paths;
    `keep_favourite` hears of each that becomes one or is one no longer. `keep_sort` hears how the table is to be sorted
    from now on. `measured` says, after a while, whether `records` tell more by then. With `deletes` the key that loads
    deletes. `details_of` gives a screen with all that is known of a model, of which the rows are what it will do here.
    `find` is called, and the picker closed, when somebody wants a model that is not here.
    """

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "picker.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        scan: Callable[[], Library],
        memory: MemoryNow,
        keymap: Keymap,
        *,
        devices: Sequence[Device] = (),
        load_for: Callable[[Path], ChosenLoad] = lambda _: ChosenLoad(),
        current: Path | None = None,
        folders: Sequence[Path] = (),
        library: Library | None = None,
        so_far: Callable[[], Library] = Library,
        records: Callable[[], Awaitable[ModelRecords]] = no_records,
        measured: Callable[[], Awaitable[bool]] = nothing_measured,
        favourites: Sequence[str] = (),
        keep_favourite: Callable[[str, bool], object] = lambda _path, _is_one: None,
        sort: Sort = Sort(),  # noqa: B008 - frozen
        keep_sort: Callable[[Sort], object] = lambda _: None,
        deletes: bool = False,
        find: Callable[[], object] | None = None,
        details_of: Callable[[LibraryModel, Sequence[DetailRow]], Screen[None]] | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        super().__init__(keymap, "picker", title=tr("Delete model") if deletes else tr("Models"))
        self._deletes, self._find, self._details_of = deletes, find, details_of
        if deletes:
            self.key_titles["picker_load"] = BY_ID["picker_delete"].title
        self._scan, self._memory, self._devices, self._load_for = scan, memory, tuple(devices), load_for
        self._current, self._folders = current, tuple(folders)
        self.library = library
        """What is shown; None until the first scan is done."""
        self._is_scanning = False
        self._found: list[tuple[str, Entry]] = []
        """Everything with the text that the filter looks at."""
        self._permissions: dict[Path, LoadPermission] = {}
        self._forecasts: dict[Path, Forecast | None] = {}  # of those in `_permissions`
        self._ask_records, self._records, self._now = records, ModelRecords(), now
        self._measured = measured
        self._favourites, self._keep_favourite = tuple(favourites), keep_favourite
        self._sort, self._keep_sort = sort, keep_sort
        self._only = PickerFilter()
        self._so_far = so_far
        self._is_unsorted = False
        """Something was found out that may change the order."""
        self._is_growing = False
        """What is shown is what was found so far, in the order in which it was found: nothing moves."""
        self._is_missed = asyncio.Event()
        """Of a model that was to be shown it is not known whether it fits."""

    def compose_body(self) -> ComposeResult:
        """Filter, table, details."""
        what = ("load", "settings", "rescan", "favourite", "sort", "reverse", "find", "details", "filter", "delete")
        yield from self.filter_line(tr("Type to filter, or paste a path"), *(f"picker_{one}" for one in what))
        yield with_details(
            RowList[Entry](
                self._paint,
                header=lambda width: self._columns(width).header,
                is_heading=lambda entry: isinstance(entry, Heading),
            )
        )
        yield Static(legend(), id="legend", markup=False)

    def on_mount(self) -> None:
        """Show what is known, then look."""
        if self.library is not None:
            self._take(self.library)
        self.action_picker_rescan()
        self._take_records()
        self.set_interval(_LOOK_EVERY_S, self._notice_changes)

    @work(exclusive=True, group="records")
    async def _take_records(self) -> None:
        await self._read_records()
        if await self._measured():
            await self._read_records()

    async def _read_records(self) -> None:
        self._records = await self._ask_records()
        known = [model for model in (self.library.models if self.library else ()) if model.path in self._permissions]
        self._forecasts = {model.path: self._forecast(model) for model in known}
        if self._is_whole:
            self._refilter()

    # The library ------------------------------------------------------------------------------------------------------

    def action_picker_rescan(self) -> None:
        """Look at the folders again."""
        if not self._is_scanning:
            self._is_scanning = True
            self._look()
            self._refilter()

    @work(exclusive=True, group="scan")
    async def _look(self) -> None:
        timer = self.set_interval(_TELL_EVERY_S, self._take_so_far) if self.library is None else None
        try:
            library = await asyncio.to_thread(self._scan)
        finally:
            self._is_scanning = False
            if timer is not None:
                timer.stop()
        if self._is_whole:
            self._take(library)

    @work(exclusive=True, group="changes")
    async def _notice_changes(self) -> None:
        """Look again when something has changed on the disk, without a word, and nobody has asked for it meanwhile."""
        library = self.library
        if library is not None and not await asyncio.to_thread(lambda: library.is_up_to_date) and not self._is_scanning:
            self._is_scanning = True
            self._look()

    def _take_so_far(self) -> None:
        """Show what the first scan has found by now: on a slow disk a thousand headers take long."""
        library = self._so_far()
        if self._is_scanning and self._is_whole and library.models:
            self._take(library, is_growing=True)

    def _take(self, library: Library, *, is_growing: bool = False) -> None:
        before = {model.path: model for model in self.library.models} if self.library else {}
        now = {model.path: model for model in library.models}
        was_growing, self._is_growing = self._is_growing, is_growing
        if self._found and was_growing == is_growing and self.library and self.library.has_same(library):
            self.library = library
            self._show_how_many()
            return
        is_same = {path for path, model in now.items() if before.get(path) == model}
        self._permissions = {path: known for path, known in self._permissions.items() if path in is_same}
        self.library = library
        entries: list[LibraryModel | OtherFile | BrokenFile] = [*library.models, *library.other, *library.broken]
        self._found = [(haystack(entry), entry) for entry in entries]
        if was_growing and not is_growing and [self.rows.item] == list(self.rows.items[:1]):
            self.rows.show(())  # nobody has chosen yet what is highlighted
        self._refilter()
        self._judge()

    @on(Input.Changed, "#filter")
    def _refilter(self) -> None:
        """Show what has all the words; keep the highlighted entry if it is among them."""
        self._is_unsorted = False
        words = self.words
        found = [entry for text, entry in self._found if matches(words, text)]
        passes = self._only.passes if self._only.is_on else lambda _model, _facts: True
        shown = [entry for entry in found if isinstance(entry, LibraryModel) and passes(entry, self._facts(entry))]
        models = shown if self._is_growing else in_order(shown, self._facts, self._sort)
        entries: list[Entry] = [*models]
        for heading, kind in ((tr("No chat models"), OtherFile), (tr("Cannot be loaded"), BrokenFile)):
            group = [entry for entry in found if isinstance(entry, kind)]
            if group and not self._only.is_on:
                entries += [Heading(title=heading), *group]
        if given := picker_words.given_path(self.query_one("#filter", Input).value):
            entries.insert(0, GivenPath(path=given))
        highlighted = same_entry(self.rows.item, entries)
        if highlighted is None or isinstance(entries[0], GivenPath):
            highlighted = next((one for one in models if one.path == self._current and not words), None)
        self.rows.show(entries, highlighted, hint=self._empty_hint())
        self._show_how_many()

    def _show_how_many(self) -> None:
        n_all = len(self.library.models) if self.library else 0
        n_shown = sum(isinstance(one, LibraryModel) for one in self.rows.items)
        self.show_count(picker_words.count(n_shown, n_all), tr("looking…") if self._is_scanning else self._only.words)

    def _empty_hint(self) -> str:
        if self.library is None or (self._is_scanning and not self._found):
            return tr("Looking for models…")
        if not self._found:
            return picker_words.nothing_found(self._folders, self.keymap)
        if self._only.is_on and self._next_to_judge() is not None:
            return tr("Checking what fits…")
        return picker_words.nothing_matches(self._only.words, self.keymap)

    # The table --------------------------------------------------------------------------------------------------------

    def _paint(self, entry: Entry, width: int) -> Row:
        match entry:
            case Heading(title=title):
                return ((f"── {title} ──", "muted"),)
            case GivenPath(path=path):
                label = tr("Load this file: ")
                return ((label, "key"), (column(str(path), width - width_of(label)), ""))
            case OtherFile(name=name, reason=reason) | BrokenFile(name=name, reason=reason):
                columns = max(12, min(40, width // 2))
                bad = "full" if isinstance(entry, BrokenFile) else "muted"
                return ((column(name, columns), "muted"), ("  ", ""), (column(reason, width - columns - 2), bad))
        if entry.path not in self._permissions:
            self._is_missed.set()  # it is found out of those that are seen
        return self._columns(width).row(entry, self._facts(entry), self._now())

    def _columns(self, width: int) -> TableColumns:
        return TableColumns(width, self._sort, empty=self._records.lacking)

    def _facts(self, model: LibraryModel) -> Facts:
        """What is known of it now; whether it fits is not found out for that."""
        return Facts(
            permission=self._permissions.get(model.path),
            speed=self._forecasts.get(model.path),
            used=self._records.used.get(str(model.path), 0.0),
            is_current=model.path == self._current,
            is_favourite=str(model.path) in self._favourites,
        )

    def _forecast(self, model: LibraryModel) -> Forecast | None:
        plan, n_threads = self._permissions[model.path].outcome.plan, self._load_for(model.path).n_threads
        return forecast(model.info, plan, self._records.speeds, n_threads=n_threads)

    @property
    def _is_whole(self) -> bool:
        """All is there to show something in. While the screen is taken down, what a thread found still comes."""
        return len(self.query("RowList, #filter, #details Static")) == 3

    def _next_to_judge(self) -> LibraryModel | None:
        rows = self.rows
        needed = self.library.models if self.library and self._needs_all_judged else ()
        seen = (rows.item, *rows.seen, *needed)
        return next((one for one in seen if isinstance(one, LibraryModel) and one.path not in self._permissions), None)

    @property
    def _needs_all_judged(self) -> bool:
        return self._sort.key in JUDGED or self._only.fits

    @work(exclusive=True, group="judge")
    async def _judge(self) -> None:
        """Find out what fits, by the formula alone: a dry run of each file would take too long. Where all layers are
        asked for and do not fit on the GPU, it shows how many do."""
        while self._is_whole:
            if (model := self._next_to_judge()) is None:
                if self._is_unsorted:
                    self._refilter()
                self._is_missed.clear()
                await self._is_missed.wait()
                continue
            choice = self._load_for(model.path)
            by_formula = Confirmed(None, model.path, model.info, self._devices, self._memory)
            chosen = ALL_SETTINGS - PLACEMENT if choice.n_gpu_layers < 0 else ALL_SETTINGS
            self._permissions[model.path] = await may_load(by_formula, choice, chosen=chosen, worst="tight")
            self._forecasts[model.path] = self._forecast(model)
            self._is_unsorted = self._needs_all_judged
            if self._is_whole:
                self.rows.update_rows()
                if self.rows.item is model:
                    self._show_details()

    @on(RowList.Highlighted)
    def _show_details(self) -> None:
        entry = self.rows.item
        facts = self._facts(entry) if isinstance(entry, LibraryModel) else Facts()
        content = details(entry, facts) if entry is not None else Content("")
        self.query_one(DetailsPane).show(content, self._subject, is_bad=isinstance(entry, OtherFile | BrokenFile))

    @property
    def _subject(self) -> object:
        """What the details are of. Where there is no entry, that is whether one may still be found."""
        return self._is_scanning if self.rows.item is None else self.rows.item

    def _remark(self, content: Content, *, is_bad: bool = True) -> None:
        self.query_one(DetailsPane).remark(content, self._subject, is_bad=is_bad)

    # Order ------------------------------------------------------------------------------------------------------------

    @on(RowList.HeadClicked)
    def _sort_by_head(self, event: RowList.HeadClicked) -> None:
        """By the column that was clicked, and by another click the other way round."""
        key = self._columns(event.width).at(event.x)
        if key == self._sort.key:
            self.action_picker_reverse()
        elif key is not None:
            self._sort_by(Sort(key=key))

    def action_picker_sort(self) -> None:
        """Sort by the next column that something is known for."""
        keys = [key for key in SORT_KEYS if key not in self._records.lacking]
        self._sort_by(Sort(key=keys[(keys.index(self._sort.key) + 1) % len(keys)]))

    def action_picker_reverse(self) -> None:
        """Sort the other way round."""
        self._sort_by(msgspec.structs.replace(self._sort, is_reversed=not self._sort.is_reversed))

    def _sort_by(self, sort: Sort) -> None:
        self._sort = sort
        self._keep_sort(sort)
        self._is_missed.set()  # for some columns all have to be judged
        self._refilter()

    def action_picker_favourite(self) -> None:
        """List the highlighted model first from now on, or no longer."""
        model = self.rows.item
        if not isinstance(model, LibraryModel) or not is_text(str(model.path)):
            self.app.bell()
            return
        path = str(model.path)
        is_one = path not in self._favourites
        self._favourites = with_favourite(self._favourites, path, is_one=is_one)
        self._keep_favourite(path, is_one)
        self._refilter()

    def action_picker_find(self) -> None:
        """Search the hubs instead."""
        if self._find is not None:
            self.dismiss(None)
            self._find()

    @work(exclusive=True, group="menu")
    async def action_picker_filter(self) -> None:
        """Choose which models are shown."""
        choices = self._only.choices()
        if choice := await self.app.push_screen_wait(ChoiceScreen(tr("Filter"), choices, self.keymap)):
            self._only = self._only.with_choice(choice)
            self._is_missed.set()
            self._refilter()

    def action_picker_details(self) -> None:
        """Show all that is known of the highlighted model."""
        if isinstance(model := self.rows.item, LibraryModel) and self._details_of is not None:
            self.app.push_screen(self._details_of(model, here(self._facts(model))))
        else:
            self.app.bell()

    # Deleting ---------------------------------------------------------------------------------------------------------

    @work(exclusive=True, group="menu")
    async def action_picker_delete(self) -> None:
        """Delete the highlighted model, after a question."""
        model = self.rows.item
        if not isinstance(model, LibraryModel):
            self.app.bell()
            return
        removal = await picker_delete.planned(model)
        if removal.refused is not None:
            self._remark(Content.styled(clean(str(removal.refused)), "$text-warning"))
            return
        asked = picker_delete.question(removal, self.keymap, is_loaded=model.path == self._current)
        if not await self.app.push_screen_wait(asked):
            return
        deleted = await picker_delete.carried_out(removal)
        tell(self.app, deleted.told, bad=not deleted.is_done)
        self.action_picker_rescan()

    # Choosing ---------------------------------------------------------------------------------------------------------

    @on(RowList.Chosen)
    def action_picker_load(self) -> None:
        """Load the highlighted model with the settings that are remembered of it."""
        if self._deletes:
            self.action_picker_delete()
            return
        self._choose(settings_first=False)

    def action_picker_settings(self) -> None:
        """Show the load settings first."""
        self._choose(settings_first=True)

    def _choose(self, *, settings_first: bool) -> None:
        match self.rows.item:
            case LibraryModel() as model:
                self.dismiss(PickedModel(model=model, settings_first=settings_first))
            case GivenPath(path=path):
                self._open(path, settings_first)
            case OtherFile() | BrokenFile():
                self.app.bell()
            case _:
                none, reading = tr("Nothing here is a model."), tr("The folders are still being scanned.")
                self._remark(Content(reading if self._is_scanning else none), is_bad=False)

    @work(exclusive=True, group="open")
    async def _open(self, path: Path, settings_first: bool) -> None:
        """Look at a file that was named, and choose it if it is a model."""
        try:
            model = await asyncio.to_thread(inspect, path)
        except ModelFileError as error:
            self._remark(Content.assemble((clean(f"{error.path.name}: "), "bold"), (error.reason, "$text-error")))
        else:
            self.dismiss(PickedModel(model=model, settings_first=settings_first))
