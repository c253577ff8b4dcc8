"""A host for dialogs: a small app that opens one and keeps its result, and what tests read from the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from textual.app import App
from textual.pilot import Pilot
from textual.screen import ModalScreen

from tests.conftest import until
from tui.app.stylesheet import ThriftyStylesheet
from tui.app.theming import register
from tui.config import paths
from tui.config.keymap import default_keymap
from tui.config.themes import load_themes

R = TypeVar("R")
KEYS = default_keymap()
OPEN = object()
"""The result of a dialog that is still open."""


class Host(App[None], Generic[R], inherit_bindings=False):
    """Opens `dialog` and keeps what it was dismissed with."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, dialog: ModalScreen[R], theme: str = "graphite") -> None:
        super().__init__()
        self.stylesheet = ThriftyStylesheet(variables=self.stylesheet._variables)
        self.dialog = dialog
        self.animation_level = "none"
        self.result: Any = OPEN
        register(self, load_themes(paths.builtin_themes_dir(), paths.user_themes_dir())[0])
        self.theme = theme

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self._keep)

    def _keep(self, result: R | None) -> None:
        self.result = result


class Stage(Generic[R]):
    """An open dialog and the hands on its keyboard."""

    def __init__(self, host: Host[R], pilot: Pilot[None]) -> None:
        self.host, self.pilot, self.dialog = host, pilot, host.dialog

    @property
    def result(self) -> Any:
        """What the dialog gave, `OPEN` while it is open."""
        return self.host.result

    @property
    def text(self) -> str:
        """What is on the terminal."""
        rows = self.host.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in row).rstrip() for row in rows)

    def row_of(self, text: str) -> int:
        """The first row of the terminal that has this text."""
        return next(y for y, row in enumerate(self.text.split("\n")) if text in row)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type text."""
        await self.pilot.press(*("space" if character == " " else character for character in text))

    async def click(self, text: str, times: int = 1) -> None:
        """Click on the middle of a text on the terminal."""
        y = self.row_of(text)
        x = self.text.split("\n")[y].index(text) + len(text) // 2
        for _ in range(times):
            await self.pilot.click(offset=(x, y))

    async def shows(self, *texts: str) -> None:
        """Wait until all of this can be read on the terminal."""
        await until(lambda: all(text in self.text for text in texts))

    async def closes(self) -> Any:
        """Wait for the result."""
        await until(lambda: self.result is not OPEN)
        return self.result


@asynccontextmanager
async def opened(
    dialog: ModalScreen[R], size: tuple[int, int] = (80, 24), theme: str = "graphite"
) -> AsyncIterator[Stage[R]]:
    """The dialog on a terminal of `size` columns and rows."""
    host = Host(dialog, theme)
    async with host.run_test(size=size) as pilot:
        await until(lambda: host.screen is dialog and dialog.is_mounted)
        await pilot.pause()
        yield Stage(host, pilot)
