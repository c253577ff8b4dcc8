"""The question of who quits while something runs in the background: it may go on there."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.screens.choice import Choice, ChoiceScreen
from tui.session.interface import Session
from tui.words import tr

STAY, END = "stay", "end"
"""What can be chosen."""


def leaving(session: Session, keymap: Keymap) -> ChoiceScreen:
    """Gives one of these, or None to go back."""
    question = tr("A model is being loaded.") if session.phase == "loading" else tr("An answer is being written.")
    choices = [
        Choice(id=STAY, label=tr("Let it go on"), note=tr("llmtui comes back to it"), key="g"),
        Choice(id=END, label=tr("End it"), note=tr("what is written is saved"), key="e"),
    ]
    return ChoiceScreen(tr("Quit"), choices, keymap, question=question)
