"""The guardrail: may a model be loaded with these settings, and if not, what would help? The picker, the app's question
before a load, its bench and `llmtui --bench` all ask `may_load`; `verdict_words.py` says the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from tui.config.settings import ChosenLoad
from tui.models.library import LibraryModel
from tui.planning.exact import Confirmed
from tui.planning.formula import Fit
from tui.planning.remedies import Remedy
from tui.planning.search import Fitted
from tui.planning.verdict import FITS, Verdict

ALL_SETTINGS = frozenset(ChosenLoad.__struct_fields__)
PLACEMENT = frozenset({"n_gpu_layers", "n_cpu_moe"})
"""What moves layers and experts between host and devices."""

Others = Callable[[], Awaitable[Iterable[LibraryModel]]]
"""Gives the models of this machine, among which there may be a smaller file of the one that does not fit."""


class LoadPermission(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. A load may go ahead, or go ahead with what is put in its place, or is left to a person."""

    verdict: Verdict
    """Of what was asked for."""
    is_given: bool
    """It may be loaded as it was asked for."""
    instead: Fitted | None = None
    """To be loaded in its place: the fastest load that fits, with nothing changed that somebody chose."""
    remedies: tuple[Remedy, ...] = ()
    """What would help, the fastest first; empty where nothing would, or nobody wants to know."""

    @property
    def fit(self) -> Fit:
        """For a table: "tight" also stands for a load that has to be changed before it fits."""
        return "tight" if self.instead else self.verdict.fit

    @property
    def outcome(self) -> Verdict:
        """Of what would be loaded."""
        return self.instead.verdict if self.instead else self.verdict


async def no_others() -> tuple[LibraryModel, ...]:
    """Where only the model itself is looked at."""
    return ()


async def may_load(
    confirmed: Confirmed,
    choice: ChosenLoad,
    *,
    chosen: frozenset[str] = ALL_SETTINGS,
    others: Others | None = None,
    worst: Fit = "fits",
) -> LoadPermission:
    """Whether the model of `confirmed` may be loaded with `choice`.

    A load that is no worse than `worst` may. Of another, what nobody chose (`chosen` has the names of the fields that
    somebody did) is changed to the fastest that fits, if there is such a load. Where there is none, and `others` is
    given, the answer says what would help; that may take some seconds, the rest one at most.
    """
    verdict = await confirmed.judge(choice)
    if FITS.index(verdict.fit) <= FITS.index(worst):
        return LoadPermission(verdict=verdict, is_given=True)
    if others is not None or not chosen >= PLACEMENT | {"n_ctx"}:
        # Asked for help too: llama.cpp then confirms what is near the best, which the remedies are.
        instead = await confirmed.auto_fit(choice, worst=worst, may_cut="n_ctx" not in chosen)
        if instead is not None and not chosen & _differences(choice, instead.choice):
            return LoadPermission(verdict=verdict, is_given=False, instead=instead)
    remedies = await confirmed.remedies(choice, await others()) if others is not None else ()
    return LoadPermission(verdict=verdict, is_given=False, remedies=remedies)


def _differences(one: ChosenLoad, other: ChosenLoad) -> frozenset[str]:
    return frozenset(name for name in ALL_SETTINGS if getattr(one, name) != getattr(other, name))
