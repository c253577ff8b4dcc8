"""What leads through dialogs about the folders that models are looked for in: one more, or one less."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tui.app.screens.flows import Flows, flow
from tui.base import format
from tui.base.userpath import typed_path
from tui.session.interface import Session
from tui.words import tr


class FolderFlows:
    """`pick` opens the picker, which shows what came of it."""

    def __init__(self, controller: Session, flows: Flows, pick: Callable[[], object]) -> None:
        self.flows = flows
        self._controller, self._pick = controller, pick

    @flow("dialog")
    async def action_add_folder(self) -> None:
        """Look for models in another folder too, which is asked for until it is one, and then choose one of all."""
        from tui.app.screens.text_edit import LineEditScreen

        hint, written = tr("Models are looked for in this folder and its subfolders."), ""
        while True:
            dialog = LineEditScreen(
                tr("Add folder"), written, self.flows.keymap, placeholder="~/models", hint=hint, save=tr("Add")
            )
            if (answer := await self.flows.ask(dialog)) is None:
                return
            if (folder := await asyncio.to_thread(_folder, answer)) is not None:
                break
            hint, written = tr("There is no such folder."), answer
        await asyncio.shield(
            self._controller.change_remembered(
                lambda state: {"folders": tuple(dict.fromkeys((*state.folders, str(folder))))}
            )
        )
        self._pick()

    @flow("dialog")
    async def action_remove_folder(self) -> None:
        """No longer look for models in a folder that was added here. What is in it stays."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        added = self._controller.state.state.folders
        if not added:
            told = tr("No folder was added in llmtui. Those in settings.toml are removed there ([models] folders).")
            self.flows.tell(told)
            return
        choices = [Choice(id=folder, label=format.path(Path(folder))) for folder in added]
        question = tr("Which folder should no longer be searched? Its files stay.")
        chosen = await self.flows.ask(ChoiceScreen(tr("Remove folder"), choices, self.flows.keymap, question=question))
        if chosen is None:
            return
        await asyncio.shield(
            self._controller.change_remembered(
                lambda state: {"folders": tuple(folder for folder in state.folders if folder != chosen)}
            )
        )
        self.flows.tell(tr("{folder} is no longer searched.", folder=format.path(Path(chosen))))


def _folder(written: str) -> Path | None:
    """The folder that is meant; None where there is none, or it is closed to us. Blocking: it may be on a network."""
    try:
        folder = typed_path(written).absolute()
        return folder if folder.is_dir() else None
    except (OSError, ValueError):  # with a zero byte, which no name has
        return None
