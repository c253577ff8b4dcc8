"""How a search for the fastest settings begins, and what is kept of it. Both front ends search so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad, TuneSettings
from tui.config.state import TunedLoad
from tui.engines.interface import Engine
from tui.measure.machine import this_machine
from tui.measure.tune import TuneOutcome, TuneProgress, Tuner
from tui.measure.tune_candidates import Candidates, changes
from tui.measure.tuned import kind_of
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning.exact import Confirmed
from tui.planning.guardrail import may_load
from tui.protocol.records import Device


def to_keep(found: TuneOutcome, info: ModelInfo, since: ChosenLoad | None = None) -> TunedLoad | None:
    """What is to be remembered: what is other than in `since`, the settings that the search was to begin with, even if
    they did not fit. None where nothing is surely faster."""
    if not found.is_better or found.gain is None:
        return None
    changed = changes(since or found.start, found.best)
    changed.pop("n_ctx", None)  # cut to what the model was trained with, as every load is
    return TunedLoad(
        machine=this_machine().hardware,
        kind=kind_of(info),
        backend=found.start.backend,
        n_ctx=found.start.n_ctx,
        percent=found.gain.percent,
        low=found.gain.low,
        high=found.gain.high,
        load=msgspec.convert(changed, dict[str, bool | int | str]),
    )


async def tuner_for(
    engine: Engine,
    model: LibraryModel,
    start: ChosenLoad,
    devices: Sequence[Device],
    confirmed: Confirmed,
    settings: TuneSettings,
    *,
    on_progress: Callable[[TuneProgress], None],
    force: bool = False,
) -> Tuner:
    """A search that begins with `start`, or with what fits in its place. With `force`, memory that is kept free is used
    as well."""
    if model.info.n_ctx_train:
        start = msgspec.structs.replace(start, n_ctx=min(start.n_ctx or model.info.n_ctx_train, model.info.n_ctx_train))

    async def fits(choice: ChosenLoad) -> bool:
        permission = await may_load(confirmed, choice)
        return permission.is_given or (force and not permission.verdict.obstacle)

    fit = await confirmed.auto_fit(start, may_cut=False)
    if fit and not await fits(start):
        start = fit.choice
    has_gpu = fit is not None and bool(engine_settings(fit.choice, devices)[0].devices)
    candidates = Candidates(
        model.info,
        devices,
        fastest_fit=fit.choice if fit is not None and has_gpu else None,
        cache_types=settings.cache_types,
    )
    return Tuner(
        engine, model.path, start, devices, candidates, fits, budget_s=settings.seconds, on_progress=on_progress
    )
