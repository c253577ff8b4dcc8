"""What a person copies, wherever in the app: made harmless, sent to the clipboard, and said where it went."""

from __future__ import annotations

from typing import Any

from textual.app import App

from tui.app import phrases
from tui.app.notices import tell
from tui.app.terminal_input import TerminalDriver
from tui.base import text as lines
from tui.base.text import clean
from tui.config.settings import UiSettings


class Copier:
    """Copies for one app, the way that the settings say."""

    def __init__(self, app: App[Any], settings: UiSettings) -> None:
        self._app, self._settings = app, settings

    async def copy(self, text: str, source: str = "") -> None:
        """Copy `text`, without what a terminal would obey when it is pasted there, and say which way it went and what
        was left out. `source` is what the text was taken from, when that was cleaned already."""
        from tui.app.clipboard import CopyError, copy

        n_harmful = lines.n_harmful(source or text)
        text = clean(text)
        self._app._clipboard = text  # what ctrl+v puts in; Textual sets it only where it copies by itself
        try:
            result = await copy(text, self._settings.clipboard, write_terminal=self.write_to_terminal)
        except CopyError as error:
            tell(self._app, str(error), bad=True)
        else:
            told = phrases.copied(len(text), result.place, result.detail)
            tell(self._app, phrases.with_harmless(told, n_harmful), bad=bool(n_harmful))

    def write_to_terminal(self, sequence: str) -> None:
        """Send what is not to be seen, past the screen."""
        driver = self._app._driver
        if isinstance(driver, TerminalDriver):
            driver.send(sequence)  # which is not dropped with the frames
        elif driver is not None:
            driver.write(sequence)
