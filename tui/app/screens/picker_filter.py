"""Which models the picker shows, beside the words that are typed: those that fit, those that think, mixtures of
experts. What is chosen holds together, and is asked for in a menu of its own."""

from __future__ import annotations

import msgspec

from tui.app.screens.choice import Choice
from tui.app.screens.picker_table import Facts
from tui.models.library import LibraryModel
from tui.words import mark, tr

ALL = "all"
_TITLES = {
    "fits": mark("fits in memory"),
    "thinks": mark("can think"),
    "experts": mark("mixture of experts"),
}
_LETTERS = {"fits": "f", "thinks": "t", "experts": "m", ALL: "a"}


class PickerFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must be to be shown; all that is true."""

    fits: bool = False
    """It can be loaded, even if little memory would be left. What is not judged yet does not."""
    thinks: bool = False
    experts: bool = False

    @property
    def is_on(self) -> bool:
        """Whether it hides anything."""
        return self != PickerFilter()

    def passes(self, model: LibraryModel, facts: Facts) -> bool:
        """Whether a model is shown."""
        if self.fits and (facts.permission is None or facts.permission.fit == "no"):
            return False
        return (not self.thinks or model.info.can_think) and (not self.experts or model.info.is_moe)

    def with_choice(self, choice: str) -> PickerFilter:
        """After an entry of the menu was chosen."""
        if choice == ALL:
            return PickerFilter()
        return msgspec.structs.replace(self, **{choice: not getattr(self, choice)})

    @property
    def words(self) -> str:
        """What it shows, in the language in use; "" for everything."""
        return " · ".join(tr(title) for key, title in _TITLES.items() if getattr(self, key))

    def choices(self) -> list[Choice]:
        """The menu."""
        chosen = tr("chosen")
        found = [
            Choice(id=key, label=tr(title), key=_LETTERS[key], note=chosen if getattr(self, key) else "")
            for key, title in _TITLES.items()
        ]
        return [*found, Choice(id=ALL, label=tr("all models"), key=_LETTERS[ALL])]
