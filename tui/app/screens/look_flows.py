"""How the app looks and which language it speaks: what is shown beside the chat, theme and language, all remembered."""

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


class LookFlows:
    """For the whole app, by way of its main screen."""

    def __init__(
        self, controller: Session, settings: Settings, flows: Flows, screen: MainScreen, look: Callable[[], None]
    ) -> None:
        """`look` is called when the conversations at the left may be seen, or not any more."""
        self.flows = flows
        self._controller, self._settings, self._screen, self._look = controller, settings, screen, look

    def action_toggle_sidebar(self) -> None:
        """Show or hide the sidebar, and remember it."""
        hidden = not self._screen.has_class("-no-sidebar")
        self._screen.set_class(hidden, "-no-sidebar")
        self._controller.remember(sidebar=not hidden)

    def action_toggle_conversations(self) -> None:
        """Show or hide the conversations at the left, and remember it."""
        from tui.app.screens.main import BROAD_COLUMNS

        if not self._screen.has_class("-broad"):
            self.flows.tell(
                tr(
                    "The list needs {n} columns or more. The dialog{key} opens at any width.",
                    n=BROAD_COLUMNS,
                    key=hint(self.flows.keymap, "conversations"),
                )
            )
            return
        hidden = not self._screen.has_class("-no-conversations")
        self._screen.set_class(hidden, "-no-conversations")
        self._controller.remember(conversation_list=not hidden)
        self._look()

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
