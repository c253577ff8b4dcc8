"""The choice of a draft model: automatic, none, or one of those that go with the model, which are looked for while the
line is on the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from textual import work

from tui.app.widgets.choice_line import ChoiceLine
from tui.base import format
from tui.config.loadtable import value_words
from tui.models.library import LibraryModel
from tui.planning.draftload import AUTO, OFF
from tui.words import tr

Drafts = Callable[[], Awaitable[Sequence[LibraryModel]]]
"""Gives the models that could be the draft model, the smallest first."""


class DraftLine(ChoiceLine):
    """One of "auto", "off" and the paths of models. Tells `ChoiceLine.Changed` too once they are known."""

    def __init__(self, drafts: Drafts | None, *, id: str) -> None:
        super().__init__([(value, value_words(value)) for value in (AUTO, OFF)], AUTO, id=id)
        self._drafts = drafts
        self._found: Sequence[LibraryModel] | None = None

    def on_mount(self) -> None:
        """Look for them."""
        if self._drafts is not None:
            self._look(self._drafts)

    @work(exclusive=True)
    async def _look(self, drafts: Drafts) -> None:
        self._found = await drafts()
        self.offer([(str(draft.path), draft.info.name) for draft in self._found])
        self.post_message(self.Changed(self, self.value))

    def note(self, draft_bytes: int) -> str | None:
        """What to say beside it: what the chosen one takes, or what there is; None while that is not known."""
        if draft_bytes:
            return tr("takes {size}", size=format.size(draft_bytes))
        if self._found is None:
            return None
        return tr("{name} can guess ahead", name=self._found[0].info.name) if self._found else tr("no suitable model")
