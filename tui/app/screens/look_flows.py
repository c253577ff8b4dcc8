"""How the app looks and which language it speaks: chosen from lists, and remembered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tui.app.screens.flows import Flows, flow
from tui.config.language import AUTO, language_for
from tui.config.settings import Settings
from tui.session.interface import Session
from tui.words import LANGUAGES, tr

if TYPE_CHECKING:
    from tui.app.screens.main import MainScreen


class LookFlows:
    """For the whole app, by way of its main screen."""

    def __init__(self, controller: Session, settings: Settings, flows: Flows, screen: MainScreen) -> None:
        self.flows = flows
        self._controller, self._settings, self._screen = controller, settings, screen

    @flow("dialog")
    async def action_language(self) -> None:
        """Choose the language of the interface."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        configured = self._settings.ui.language
        choices = [
            Choice(id=AUTO, label=tr("Automatic"), note=tr("as LANG sets")),
            *(Choice(id=language, label=name) for language, name in LANGUAGES.items()),
        ]
        current = self._controller.state.state.language or configured
        chosen = await self.flows.ask(ChoiceScreen(tr("Language"), choices, self.flows.keymap, current=current))
        if chosen is None:
            return
        if self._screen.speak(language_for(chosen, configured, os.environ)):
            self._controller.remember(language=chosen)
        else:
            self.flows.tell(tr("This language is not installed. Run `make install` in llmtui's folder."), bad=True)

    @flow("dialog")
    async def action_theme(self) -> None:
        """Choose a theme while seeing each of them."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        app = self._screen.app
        choices = [
            Choice(id=name, label=name, note=tr("dark") if theme.dark else tr("light"))
            for name, theme in sorted(app.available_themes.items(), key=lambda item: (not item[1].dark, item[0]))
        ]

        def preview(name: str) -> None:
            app.theme = name

        chosen = await self.flows.ask(
            ChoiceScreen(tr("Theme"), choices, self.flows.keymap, current=app.theme, on_highlight=preview)
        )
        if chosen is not None:
            app.theme = chosen
            self._controller.remember(theme=chosen)
