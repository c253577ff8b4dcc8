"""`llmtui --bench`: from options to figures on stdout and an exit code; talk, progress and errors go to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.base.terminal_style import page, takes_colours
from tui.bench import picture, render
from tui.bench.guard import CannotBeLoaded, NotMeasured, TooLittleMemory, others_to_measure, settle
from tui.bench.history import FOR_EYES, NoBaseline, Past, show_history
from tui.bench.kinds import kind_of
from tui.bench.progress import describe
from tui.bench.tune import tune
from tui.config import paths
from tui.config.load import engine_settings, merge_load
from tui.config.options import BenchOptions
from tui.config.problems import ConfigProblem
from tui.config.settings import ChosenLoad, Settings, load_settings
from tui.config.state import StateStore
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.measure.answers import for_answers
from tui.measure.bench_plan import BenchJob, context_for, tokens_needed
from tui.measure.chart import row_names
from tui.measure.condition import MachineProbe
from tui.measure.report import Comparison, ModelFacts, RefusedJob, Test
from tui.measure.runner import Failure, Progress, Runner
from tui.models.library import LibraryModel
from tui.models.modelfile import ModelFileError
from tui.protocol.death import EngineDied
from tui.protocol.messages import not_granted
from tui.protocol.records import Device
from tui.shell import signals
from tui.shell.encoding import for_encoding
from tui.shell.load_guard import no_such_device, read_memory
from tui.shell.pick import NoModelFound, Pick, every_model, pick
from tui.shell.progress_line import ProgressLine
from tui.shell.trouble import complain, death_report, error_sentence, say
from tui.words import tr

_EXAMPLE = "llmtui --bench model.gguf"


class UsageError(Exception):
    """The options ask for what cannot be on this machine; the message says what can."""


def bench(options: BenchOptions) -> ExitCode:
    """Measure, print the report to stdout, and say how it went."""
    paths.put_in_order()
    if options.history:
        return show_history(options.output)
    options = msgspec.structs.replace(options, output=options.output or render.default_format(sys.stdout))
    try:
        if options.kind != "tune":
            picture.check(options.output, options.baseline, kind_of(options).plan.tests, sys.stdout)
    except picture.CannotDraw as error:
        return _fail(ExitCode.USAGE, str(error))
    settings, problems = load_settings(options.settings_file, software_vulkan=options.software_vulkan)
    state = StateStore()
    problems += state.read()
    _report(problems)
    try:
        past = Past(options)
    except NoBaseline as error:
        return _fail(ExitCode.USAGE, str(error))
    try:
        picks = _picks(options, settings, state)
    except NoModelFound as error:
        return _fail(ExitCode.MODEL, str(error))
    except ModelFileError as error:
        return _fail(ExitCode.MODEL, tr("{file}: {reason}", file=error.path, reason=error.reason))
    for picked in picks:
        if picked.reason:
            size = format.size(picked.model.info.size_bytes)
            told = tr("Measuring {file}: {why}, {size}.", file=picked.model.path, why=tr(picked.reason), size=size)
            print(page([told]), file=sys.stderr)
    if options.kind == "tune":
        return tune(options, picks[0].model, settings, state)
    return signals.run(_Bench(options, [picked.model for picked in picks], settings, past).run())


def _picks(options: BenchOptions, settings: Settings, state: StateStore) -> Sequence[Pick]:
    if options.every_model:
        picks, left_out = every_model(settings, state.state, _EXAMPLE)
        if left_out:
            say(left_out)
        return picks
    named: Sequence[Path | None] = options.models or (None,)
    return [pick(path, settings, state.state, _EXAMPLE) for path in named]


class _Bench:
    """One run of the command: what is to be measured is settled first, then measured, then printed."""

    def __init__(self, options: BenchOptions, models: Sequence[LibraryModel], settings: Settings, past: Past) -> None:
        self._options, self._models, self._settings, self._past = options, models, settings, past
        self._kind = kind_of(options)
        self._line = ProgressLine(sys.stderr)
        self._refused: list[RefusedJob] = []
        self._runner: Runner | None = None
        self._jobs: list[BenchJob] = []
        self._energy_note = ""

    @property
    def _is_one(self) -> bool:
        """Whether there is one row only: what is wrong with it is then said, not shown."""
        return len(self._models) * max(1, len(self._options.backends)) == 1

    async def run(self) -> ExitCode:
        """Measure and print; how it went."""
        code, message = ExitCode.FINE, ""
        environment = engine_environment(software=self._settings.engine.software_vulkan)
        planner = DryRunPlanner(env=environment)
        try:
            async with LocalEngine(env=environment) as engine, contextlib.AsyncExitStack() as stack:
                hello = await engine.start()
                self._jobs = await self._settle(hello.devices, planner)
                await planner.close()
                self._check_baseline()
                if self._jobs:
                    probe = stack.enter_context(contextlib.closing(MachineProbe.of(engine)))
                    plan = msgspec.structs.replace(self._kind.plan, jobs=tuple(self._jobs))
                    known = await asyncio.to_thread(self._past.speeds)
                    self._runner = Runner(engine, plan, self._show, probe, known)
                    await self._runner.run()
                    self._energy_note = probe.energy_note
                else:
                    code, message = ExitCode.MODEL, tr("nothing could be measured; the rows say why.")
        except asyncio.CancelledError:
            # `signals.run` cancels this task. The engine is gone already; what was measured by then is shown.
            code, message = ExitCode.INTERRUPTED, tr("interrupted.")
        except (UsageError, picture.CannotDraw) as error:
            code, message = ExitCode.USAGE, str(error)
        except NotMeasured as error:
            code, message = ExitCode.MODEL, tr("not measured. {reason}", reason=error)
        except EngineDied as died:
            code, message = ExitCode.ENGINE, death_report(died.death)
        finally:
            await planner.close()
            self._line.clear()
        if code == ExitCode.USAGE:
            return _fail(code, message)
        for failure in self._runner.failures if self._runner else ():
            code, message = self._failed(failure, code, message)
        outcome = ExitCode.FINE
        try:
            outcome = self._finish()
        except picture.CannotDraw as error:
            code, message = code or ExitCode.MODEL, f"{message} {error}".strip()
        return _fail(code, message) if message else code or outcome

    def _show(self, progress: Progress) -> None:
        self._line.put(describe(progress))

    def _failed(self, failure: Failure, code: ExitCode, message: str) -> tuple[ExitCode, str]:
        """What a job that ended before its time does to the exit code and to what is said."""
        job, report = self._jobs[failure.job], self._runner.report_of(failure.job) if self._runner else None
        if isinstance(failure.error, EngineDied):
            how, sentence = ExitCode.ENGINE, death_report(failure.error.death)
        else:
            how = ExitCode.ENGINE if report else ExitCode.MODEL
            sentence = error_sentence(job.model.path, failure.error.info, others_to_measure())
        if not self._is_one:
            self._refuse(job.model, format.backend(job.settings.devices), sentence)
            sentence = tr("not everything could be measured; the rows say why.")
        return (code, message) if message else (how, sentence)

    async def _settle(self, devices: Sequence[Device], planner: DryRunPlanner) -> list[BenchJob]:
        """The jobs that there is room for; the others are rows with the reason. Raises `UsageError`, and
        `NotMeasured` where there is but one."""
        memory = await read_memory(devices, self._settings.memory)
        jobs = []
        for model in self._models:
            for backend in self._options.backends or (None,):
                load = self._options.load if backend is None else {**self._options.load, "backend": backend}
                job = make_job(model, {**self._kind.load, **load}, self._settings.load, devices, self._kind.room)
                settings = msgspec.structs.replace(job.settings, n_parallel=self._kind.n_parallel)
                job = msgspec.structs.replace(job, settings=settings)
                try:
                    _has_room(job, self._kind.room)
                    try:
                        job = await settle(self._options, job, self._kind.room, devices, memory, planner)
                    except TooLittleMemory:
                        from tui.host.client import make_room

                        if not (name := await make_room()):
                            raise
                        say(tr("{model}, which was loaded in the background, is unloaded to make room.", model=name))
                        memory = await read_memory(devices, self._settings.memory)
                        job = await settle(self._options, job, self._kind.room, devices, memory, planner)
                except NotMeasured as error:
                    if self._is_one:
                        raise
                    self._refuse(model, format.backend(job.settings.devices), str(error))
                else:
                    job, problems = for_answers(job, self._settings, self._options.chat_format)
                    _report(problems)
                    jobs.append(job)
        return jobs

    def _check_baseline(self) -> None:
        if self._options.baseline:
            rows = [
                (ModelFacts.of(job.model.info), str(job.model.path), format.backend(job.settings.devices))
                for job in self._jobs
            ]
            rows += [(row.model, row.path, row.backend) for row in self._refused if row.model]
            picture.check_baseline(self._options.baseline, row_names(rows))

    def _refuse(self, model: LibraryModel, backend: str, reason: str) -> None:
        row = RefusedJob(model=ModelFacts.of(model.info), path=str(model.path), backend=backend, reason=reason)
        self._refused.append(row)

    def _finish(self) -> ExitCode:
        """Print what was measured and how it compares, and keep it, also when whoever reads stdout has left."""
        comparison = self._runner.comparison if self._runner else Comparison()
        comparison = Comparison(
            reports=tuple(
                report for report in comparison.reports if report.results or report.parallel or report.speculation
            ),
            refused=tuple(self._refused),
        )
        try:
            self._print(comparison)
            return self._past.compare(comparison, self._options.output)
        finally:
            self._past.keep(comparison)

    def _print(self, comparison: Comparison) -> None:
        if not comparison.reports and (self._is_one or not comparison.refused):
            return
        output, baseline = self._options.output, self._options.baseline
        if output in picture.PICTURES:
            shown = picture.picture(output, comparison, baseline, sys.stdout)
        else:
            made = self._kind.formats[output](comparison)
            shown = made if isinstance(made, str) else page(made, colours=takes_colours(sys.stdout))
            if output == "table" and (chart := picture.below_table(comparison, baseline, sys.stdout)):
                shown = f"{shown}\n{chart}"
        if shown:
            put(shown if isinstance(shown, bytes) else for_encoding(shown, sys.stdout.encoding))
        if output not in FOR_EYES:
            for row in comparison.refused:
                say(render.refusal(row))
            for sentence in dict.fromkeys(text for report in comparison.reports for text in not_granted(report.loaded)):
                say(tr(sentence))
        if self._energy_note and any(result.j_per_token for row in comparison.reports for result in row.results):
            say(self._energy_note)


def make_job(
    model: LibraryModel,
    load: Mapping[str, object],
    defaults: ChosenLoad,
    devices: Sequence[Device],
    tests: Sequence[Test],
) -> BenchJob:
    """How to load a model on a machine with these devices. The context is as large as the largest test, unless the
    command line (`load`) says more. Raises `UsageError`."""
    choice, problems = merge_load(defaults, None, load)
    if "backend" in load and (missing := no_such_device(choice.backend, devices)):
        raise UsageError(missing)
    if "n_ctx" not in load:
        choice = msgspec.structs.replace(choice, n_ctx=context_for(tests))
    elif 0 < choice.n_ctx < (needed := tokens_needed(tests)):
        raise UsageError(
            tr("{option}: too small, these tests need {n} tokens.", option=f"--ctx {choice.n_ctx}", n=f"{needed:,}")
        )
    settings, problem = engine_settings(choice, devices)
    _report(problems + ([problem] if problem else []))
    return BenchJob(model=model, settings=settings)


def _has_room(job: BenchJob, tests: Sequence[Test]) -> None:
    """Raises `CannotBeLoaded` where the model's own context, which was asked for, is too small. That is about this
    model, and no reason to measure no other."""
    n_ctx = job.settings.n_ctx or job.model.info.n_ctx_train
    if 0 < n_ctx < (needed := tokens_needed(tests)):
        raise CannotBeLoaded(
            tr(
                "The context of {n_ctx} tokens, which it was trained with, is too small: these tests need {needed}. "
                "Give {option}.",
                n_ctx=f"{n_ctx:,}",
                needed=f"{needed:,}",
                option=f"--ctx {needed}",
            )
        )


def _report(problems: Sequence[ConfigProblem]) -> None:
    for problem in problems:
        say(str(problem))


def _fail(code: ExitCode, message: str) -> ExitCode:
    (say if code == ExitCode.INTERRUPTED else complain)(message)
    return code
