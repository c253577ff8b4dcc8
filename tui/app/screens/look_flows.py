"""How the app looks and which language it speaks: chosen, and remembered."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.app.phrases import hint
from tui.app.screens.flows import Flows, flow
from tui.config.language import AUTO, language_for
from tui.config.settings import Settings
from tui.session.interface import Session
from tui.words import LANGUAGES, tr

if TYPE_CHECKING:
    from tui.app.screens.main import MainScreen

BROAD_COLUMNS = 160
"""From here on the conversations stand at the left, and lines of the chat are no longer than can be read well."""


class LookFlows:
    """For the whole app, by way of its main screen."""

    def __init__(
        self,
        controller: Session,
        settings: Settings,
        flows: Flows,
        screen: MainScreen,
        on_list: Callable[[], object],
    ) -> None:
        """`on_list` is called when the conversations at the left are shown or hidden."""
        self.flows = flows
        self._controller, self._settings, self._screen, self._on_list = controller, settings, screen, on_list

    def action_toggle_sidebar(self) -> None:
        """Show or hide the sidebar, and remember it."""
        self._controller.remember(sidebar=not self._toggle("-no-sidebar"))

    def action_toggle_conversations(self) -> None:
        """Show or hide the conversations at the left, and remember it."""
        if self._screen.has_class("-broad"):
            self._controller.remember(conversation_list=not self._toggle("-no-conversations"))
            self._on_list()
        else:
            self.flows.tell(
                tr(
                    "The list needs {n} columns or more. The dialog{key} opens at any width.",
                    n=BROAD_COLUMNS,
                    key=hint(self.flows.keymap, "conversations"),
                )
            )

    def _toggle(self, hidden: str) -> bool:
        """Put this class on the screen, or take it away; whether it is there now."""
        self._screen.set_class(not self._screen.has_class(hidden), hidden)
        return self._screen.has_class(hidden)

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
