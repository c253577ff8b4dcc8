"""Files that are imported in tests."""

from __future__ import annotations

from pathlib import Path

from tui.chat.conversation import WholeConversation
from tui.chat.export import ImportProblem
from tui.chat.foreign.reading import read


def only(file: Path) -> WholeConversation:
    """The one conversation in a file. Raises ImportProblem."""
    [outcome] = read(file).outcomes()
    if outcome.whole is None:
        raise ImportProblem(outcome.why)
    return outcome.whole
