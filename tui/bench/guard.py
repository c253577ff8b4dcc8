"""The guardrail of the bench: a load that would leave too little memory is refused, with the options that would make it
fit, and `--fit` takes the fastest placement there is room for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.config.load import engine_settings, from_engine
from tui.config.options import BenchOptions
from tui.engines.plans import DryRunPlanner
from tui.measure.bench_plan import BenchJob, tokens_needed
from tui.measure.report import Test
from tui.planning import verdict_words
from tui.planning.exact import Confirmed
from tui.planning.guardrail import may_load, no_others
from tui.planning.loadcheck import obstacle
from tui.planning.now import MemoryNow
from tui.protocol.records import Device
from tui.shell.load_guard import options_of
from tui.words import tr


class NotMeasured(Exception):
    """The load is refused; the message says why, and what would do."""


class TooLittleMemory(NotMeasured):
    """It would leave too little memory; `--force` measures it anyway."""


class CannotBeLoaded(NotMeasured):
    """The settings do not go with the model, however much memory there is."""


def others_to_measure() -> str:
    """What to do about a model that is not to be loaded at all."""
    return tr("llmtui --bench without a name takes a model that can be measured.")


async def settle(
    options: BenchOptions,
    job: BenchJob,
    tests: Sequence[Test],
    devices: Sequence[Device],
    memory: MemoryNow,
    planner: DryRunPlanner | None = None,
) -> BenchJob:
    """The job as it is to be measured: with `--fit` placed where it is fastest, its context as it is. Raises
    `TooLittleMemory` unless it leaves the reserve, or `--force` was given, and `CannotBeLoaded` in any case where it
    cannot be."""
    if wrong := obstacle(job.model.info, job.settings):
        raise CannotBeLoaded(wrong)
    choice = from_engine(job.settings)
    n_parallel = job.settings.n_parallel
    confirmed = Confirmed(planner, job.model.path, job.model.info, devices, memory, n_parallel)
    if options.fit and (found := await confirmed.auto_fit(choice, may_cut=False)):
        choice = found.choice
        settings = msgspec.structs.replace(engine_settings(choice, devices)[0], n_parallel=n_parallel)
        job = msgspec.structs.replace(job, settings=settings)
    if options.force:
        return job
    permission = await may_load(confirmed, choice, others=no_others)
    if permission.is_given:
        return job
    helping = options_of(
        remedy
        for remedy in permission.remedies
        if remedy.choice.n_ctx == choice.n_ctx or remedy.choice.n_ctx >= tokens_needed(tests)
    )
    would = (
        tr("What would fit: {options}. --force measures it anyway.", options=helping)
        if helping
        else tr("No option makes it fit. --force measures it anyway.")
    )
    raise TooLittleMemory(f"{verdict_words.sentence(permission.verdict)}\n{would}")
