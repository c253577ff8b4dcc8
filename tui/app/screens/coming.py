"""A load on its way from what somebody wants to what is asked of the engine. Decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tui.config.settings import ChosenLoad
from tui.session.loads import LoadRequest

if TYPE_CHECKING:
    from tui.models.library import LibraryModel
    from tui.planning.verdict import Verdict


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """A load that is being settled."""

    model: LibraryModel
    choice: ChosenLoad
    given: frozenset[str] = frozenset()
    """Fields of `choice` that somebody gave, here or before: they are not changed without a question."""
    is_new: bool = False
    """The user chose it in the app just now: it is to be remembered."""

    def request(self, verdict: Verdict, *, load_first: bool, model_draft: str) -> LoadRequest:
        """The load, now that it is decided on. `verdict` says whether sliding windows get a full cache, `model_draft`
        what "auto" of that setting comes to."""
        return LoadRequest(
            path=self.model.path,
            choice=self.choice,
            remember=self.is_new,
            load_first=load_first,
            swa_full="on" if verdict.plan.swa_full else "off",
            model_draft=model_draft,
        )

    def with_choice(self, choice: ChosenLoad, model: LibraryModel | None = None) -> Coming:
        """What the user has decided."""
        return Coming(model=model or self.model, choice=choice, given=frozenset(choice.__struct_fields__), is_new=True)
