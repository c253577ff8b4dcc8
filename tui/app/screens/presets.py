"""The list of presets: take one, save the open conversation's settings as one, rename, delete, make one the default.
Where they are kept is not known here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.preset_phrases import NO_PRESET, summary
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.dialog import ListDialog, matches
from tui.app.screens.text_edit import LineEditScreen
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import RowList, column
from tui.app.widgets.wrapped import Wrapped
from tui.base.oserrors import os_reason
from tui.base.text import clean
from tui.config.presets import Preset
from tui.config.problems import ConfigProblem
from tui.words import tr, trn

_NAME = 22


class Listed(msgspec.Struct, frozen=True):
    """A row: a preset, or none."""

    preset: Preset | None

    @property
    def name(self) -> str:
        """Of the preset; empty for none."""
        return self.preset.name if self.preset else ""


class PresetsScreen(ListDialog[Listed]):
    """Gives what was chosen. Changes are made at once, through the functions that are given, which may raise OSError
    and ValueError: `load()` gives all presets and what is wrong with their files, `save(name)` puts the open
    conversation's settings there, `rename(before, after)`, `delete(name)`, `use(name)` for new conversations.
    `current` is the preset of the open conversation, `default()` that of new ones."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "conversations.tcss", "presets.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        load: Callable[[], Awaitable[tuple[Sequence[Preset], Sequence[ConfigProblem]]]],
        save: Callable[[str], Awaitable[object]],
        rename: Callable[[str, str], Awaitable[object]],
        delete: Callable[[str], Awaitable[object]],
        use: Callable[[str], Awaitable[object]],
        keymap: Keymap,
        *,
        current: str,
        default: Callable[[], str],
    ) -> None:
        super().__init__(keymap, "presets", title=tr("Presets"))
        self._load, self._save, self._rename, self._delete, self._use = load, save, rename, delete, use
        self._current, self._default = current, default
        self._all: Sequence[Preset] | None = None

    def compose_body(self) -> ComposeResult:
        """Filter, list, and a line for what is told."""
        what = ("take", "save", "rename", "delete", "default")
        yield from self.filter_line(tr("Type to filter"), *(f"preset_{one}" for one in what))
        yield RowList[Listed](self._paint, header=_header)
        yield Static("", id="told", markup=False)

    def on_mount(self) -> None:
        """Ask for the list."""
        self.rows.show((), hint=tr("Reading…"))
        self._read(self._current)

    @work(exclusive=True, group="read")
    async def _read(self, highlighted: str) -> None:
        self._all, problems = await self._load()
        self._refilter(highlighted)
        if problems:
            first = problems[0]
            self._tell(str(msgspec.structs.replace(first, file=first.file and Path(first.file.name))), bad=True)

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self._refilter(self.rows.item.name if self.rows.item else "")

    def _refilter(self, highlighted: str) -> None:
        if self._all is None:
            return
        words = self.words
        found = [Listed(one) for one in self._all if matches(words, f"{one.name} {summary(one)}".casefold())]
        shown = found if words else [Listed(None), *found]
        at = next((one for one in shown if one.name == highlighted), None)
        self.rows.show(shown, at, hint=tr("Nothing matches. Fewer words find more."))
        self.show_count(trn("{n} preset", "{n} presets", len(found)) if found else "")

    def _paint(self, one: Listed, width: int) -> Row:
        mark = "✓ " if one.name == self._current else "  "
        star = "★ " if one.name == self._default() else "  "
        name = one.name or tr(NO_PRESET)
        told = summary(one.preset) if one.preset else tr("as your settings say")
        row = (
            (mark, "good"),
            (star, "key"),
            (column(name, _name_width(width)), "strong" if one.name == self._current else ""),
        )
        return (*row, ("  " + column(told, max(0, width - _name_width(width) - 6)), "muted"))

    def _tell(self, text: str, *, bad: bool = False) -> None:
        told = self.query_one("#told", Static)
        told.set_class(bad, "-bad")
        told.update(Wrapped(clean(text)))

    async def _try(self, change: Awaitable[object], done: str, highlighted: str) -> None:
        try:
            await change
        except FileExistsError:
            self._tell(tr("There is a preset of that name: take another name."), bad=True)
        except (OSError, ValueError) as error:
            reason = os_reason(error) if isinstance(error, OSError) else str(error)
            self._tell(tr("That did not work: {reason}", reason=reason), bad=True)
        else:
            self._tell(done)
            self._read(highlighted)

    # What is done -----------------------------------------------------------------------------------------------------

    @on(RowList.Chosen)
    def action_preset_take(self) -> None:
        """Take the highlighted one."""
        if self.rows.item is not None:
            self.dismiss(self.rows.item)

    def _meant(self) -> str:
        """The name of the highlighted preset; empty, and said so, where there is none."""
        one: Listed | None = self.rows.item
        if one is None or not one.name:
            self._tell(tr("No preset is highlighted."))
            return ""
        return one.name

    @work(group="change")
    async def action_preset_save(self) -> None:
        """Save what the open conversation is asked with under a name."""
        name = await self._named(tr("Save as preset"), self._current)
        if not name:
            return
        if any(one.name == name for one in self._all or ()):
            question = tr("Replace the preset “{name}”?", name=name)
            dialog = ConfirmScreen(question, self.keymap, detail="", yes=tr("Replace"), no=tr("Keep"))
            if not await self.app.push_screen_wait(dialog):
                return
        self._current = name
        await self._try(self._save(name), tr("Saved."), name)

    async def _named(self, title: str, before: str) -> str:
        hint = tr("System prompt, sampling, thinking, format and model of this conversation.") if not before else ""
        given: str | None = await self.app.push_screen_wait(LineEditScreen(title, before, self.keymap, hint=hint))
        return given or ""

    @work(group="change")
    async def action_preset_rename(self) -> None:
        """Give the highlighted one another name."""
        if before := self._meant():
            after = await self._named(tr("Rename preset"), before)
            if after and after != before:
                self._current = after if self._current == before else self._current
                await self._try(self._rename(before, after), tr("Renamed."), after)

    @work(group="change")
    async def action_preset_delete(self) -> None:
        """Delete the highlighted one, after asking."""
        if name := self._meant():
            question = tr("Delete the preset “{name}”?", name=name)
            detail = tr("Conversations keep what they took from it.")
            dialog = ConfirmScreen(question, self.keymap, detail=detail, yes=tr("Delete"), no=tr("Keep"))
            if await self.app.push_screen_wait(dialog):
                await self._try(self._delete(name), tr("Deleted."), "")

    @work(group="change")
    async def action_preset_default(self) -> None:
        """Give it to new conversations."""
        if (one := self.rows.item) is not None:
            told = tr("New conversations begin without a preset.")
            told = tr("New conversations begin with it.") if one.name else told
            await self._try(self._use(one.name), told, one.name)


def _header(width: int) -> Row:
    n_name = _name_width(width)
    text = "    " + column(tr("NAME"), n_name) + "  " + column(tr("WHAT IT SETS"), max(0, width - n_name - 6))
    return ((text, "muted"),)


def _name_width(width: int) -> int:
    return min(_NAME, width // 3)
