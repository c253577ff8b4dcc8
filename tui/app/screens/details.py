"""All about one model: what its file says, what it will do here, where it lies, and its sum when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.widgets.detail_lines import DetailLines, as_text
from tui.app.widgets.wrapped import Wrapped
from tui.base.oserrors import os_reason
from tui.config import paths
from tui.models.detail_words import DetailGroup, DetailRow, groups
from tui.models.details import ModelDetails, as_learned, read_details
from tui.models.filesums import FileSums
from tui.models.modelfile import ModelFileError
from tui.protocol.messages import Loaded
from tui.words import tr

_STEP = 0.01
"""Of a file: how much is summed between two times that it is told."""


class DetailsScreen(Dialog[None]):
    """Of the model at `path`. `here` is what is known of it on this machine, shown first; `loaded` what the engine says
    of it, where it is loaded; `copy` takes what is to be copied, and tells about it."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "details.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#facts"

    def __init__(
        self,
        path: Path,
        keymap: Keymap,
        *,
        sums: FileSums | None = None,
        here: Sequence[DetailRow] = (),
        loaded: Loaded | None = None,
        copy: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(keymap, "details", title=tr("Model details"))
        self._path, self._loaded, self._copy = path, loaded, copy
        self._sums = sums or FileSums(paths.sums_file())
        self._here = tuple(here)
        self._details: ModelDetails | None = None
        self._sha256: dict[str, str] = {}
        self._is_left = False

    def compose_body(self) -> ComposeResult:
        """One long text."""
        with VerticalScroll(id="facts"):
            yield Static(Wrapped(tr("Reading the file…")), markup=False)

    def on_mount(self) -> None:
        """Read the file."""
        self._read()

    def on_unmount(self) -> None:
        """Stop what still reads."""
        self._is_left = True

    @property
    def groups(self) -> tuple[DetailGroup, ...]:
        """What is shown; nothing until the file is read."""
        if self._details is None:
            return ()
        told = groups(self._details, self._sha256)
        return (DetailGroup(title=tr("On this machine"), rows=self._here), *told) if self._here else told

    @work(exclusive=True, group="details")
    async def _read(self) -> None:
        try:
            found = await asyncio.to_thread(read_details, self._path)
            self._sha256 = await asyncio.to_thread(
                lambda: {str(path): known for path in found.paths if (known := self._sums.known(path))}
            )
        except ModelFileError as error:
            self.query_one("#facts Static", Static).update(Wrapped(error.reason))
        else:
            self._details = as_learned(found, self._loaded)
            self._show()

    def _show(self) -> None:
        if self.is_mounted and not self._is_left:
            self.query_one("#facts Static", Static).update(DetailLines(self.groups))

    def action_details_sum(self) -> None:
        """Compute the SHA-256 of all files that it is not known of."""
        if self._details is None or all(str(path) in self._sha256 for path in self._details.paths):
            self.app.bell()
            return
        self._sum(self._details.paths)

    @work(exclusive=True, group="sum")
    async def _sum(self, files: Sequence[Path]) -> None:
        loop = asyncio.get_running_loop()
        for path in files:
            told = -_STEP

            def progress(done: float, path: Path = path) -> None:
                nonlocal told
                if done - told >= _STEP:
                    told = done
                    loop.call_soon_threadsafe(self._tell_sum, path, tr("computing, {percent}", percent=f"{done:.0%}"))

            try:
                found = await asyncio.to_thread(self._sums.compute, path, progress, lambda: self._is_left)
            except OSError as error:
                found = tr("it cannot be read: {reason}", reason=os_reason(error))
            self._tell_sum(path, found)

    def _tell_sum(self, path: Path, text: str) -> None:
        self._sha256[str(path)] = text
        self._show()

    async def action_details_copy(self) -> None:
        """Copy everything that is shown."""
        if self._copy is not None and self.groups:
            await self._copy(as_text(self.groups))
