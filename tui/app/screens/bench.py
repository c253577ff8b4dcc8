"""The bench: says what it would measure, and measures a model, or all that fit, on every backend, with rows and chart
while they come. It has an engine of its own; the chat's model makes room for it when something is really measured."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.widgets import Button
from textual.worker import Worker, WorkerError

from tui.app import phrases
from tui.app.bindings import Keymap
from tui.app.screens.board_dialog import BoardDialog
from tui.app.widgets.bench_board import BenchBoard, BenchState, JobRow
from tui.app.widgets.transcript import Transcript
from tui.base import format
from tui.config.load import CPU, engine_settings
from tui.config.settings import ChosenLoad
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.measure import duration, endtoend
from tui.measure.bench_plan import END_TO_END, BenchJob, BenchPlan, context_for, plan_tests
from tui.measure.compare import Change, compare
from tui.measure.condition import MachineProbe
from tui.measure.history import History, HistoryError
from tui.measure.known_speeds import KnownSpeeds, readable_speeds
from tui.measure.report import Comparison, Report
from tui.measure.runner import Failure, Progress, Runner
from tui.models.library import LibraryModel
from tui.planning import verdict_words
from tui.planning.guardrail import LoadPermission
from tui.protocol.death import EngineDied, death_sentence
from tui.protocol.messages import Delta, Event
from tui.protocol.records import Device, Sampling
from tui.words import mark, tr, trn

REPETITIONS = 3
PREPARING = mark("making room…")
LOOKING = mark("looking for models…")
MEASURING = mark("A benchmark is running: stop it first.")
TESTS = plan_tests([512], [128])
MayMeasure = Callable[[LibraryModel, ChosenLoad], Awaitable[LoadPermission]]
"""Whether a load leaves enough memory."""
ABOUT = (
    mark("pp512   reads a prompt of 512 tokens: how soon an answer begins"),
    mark("tg128   writes 128 tokens: how fast an answer comes"),
)
ABOUT_ONE = mark("answer  one as the chat shows it, from prompt to screen, after these two")


class BenchScreen(BoardDialog[None, BenchState]):
    """Enter starts; esc stops, and leaves when nothing runs. `scan` finds the models, in a thread; `make_room` takes
    the chat's model out of the way and gives what says which loads there is room for then; `for_answers` gives a job
    what its end-to-end answers are made with."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "bench.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        scan: Callable[[], Sequence[LibraryModel]],
        current: LibraryModel | None,
        devices: Sequence[Device],
        defaults: ChosenLoad,
        make_room: Callable[[], Awaitable[MayMeasure]],
        environment: Mapping[str, str],
        history: History,
        keymap: Keymap,
        for_answers: Callable[[BenchJob], BenchJob] = lambda job: job,
    ) -> None:
        super().__init__(BenchBoard(), keymap, "bench", title=tr("Bench"))
        self._scan, self._current, self._devices = scan, current, tuple(devices)
        self._all: tuple[LibraryModel, ...] | None = None
        """The library; None until it was looked through."""
        self._defaults, self._make_room, self._for_answers = defaults, make_room, for_answers
        self._environment, self._history = dict(environment), history
        self._wants_all = current is None
        self._measuring: Worker[None] | None = None
        self._runner: Runner | None = None
        self._answer = Transcript()
        self._buttons = self.button_row("bench_run")
        self._speeds: KnownSpeeds | None = None
        """What earlier runs tell; None until they were looked through."""

    def compose_body(self) -> ComposeResult:
        """The board, the answer that is timed as a user gets it, and the button."""
        yield from (self.board, self._answer, self._buttons)

    def on_mount(self) -> None:
        """Say what would be measured."""
        self._answer.display = False
        for button in self._buttons.query(Button):
            button.can_focus = False  # the keys of this screen are letters and enter
        self._describe()
        self._look()

    async def on_unmount(self) -> None:
        """The app ends: so does the bench, and what was measured is kept."""
        if self._measuring is not None:
            self._measuring.cancel()
            with contextlib.suppress(WorkerError):
                await self._measuring.wait()

    @work(exclusive=True, group="scan")
    async def _look(self) -> None:
        self._all = tuple(await asyncio.to_thread(self._scan))
        self._speeds = await asyncio.to_thread(readable_speeds, self._history)
        self._describe()

    def _describe(self) -> None:
        about = (*ABOUT, ABOUT_ONE) if len(self._models) == 1 else ABOUT
        begins = phrases.bench_begins(self.keymap)
        takes = self._takes_about()
        self.change(plan=self._plan_text(), about=(*map(tr, about), "", *takes, *begins))

    def _takes_about(self) -> tuple[str, ...]:
        """How long it will take, once the library and earlier runs were looked through."""
        if self._speeds is None or not self._models:
            return ()
        jobs = [
            BenchJob(model=model, settings=engine_settings(self._choice(backend), self._devices)[0])
            for model in self._models
            for backend in self._backends()
        ]
        found = duration.about(jobs, TESTS, REPETITIONS, self._speeds)
        time = format.about(found.seconds)
        if found.is_known:
            return (tr("It takes about {time}, by earlier runs.", time=time),)
        return (tr("It takes roughly {time}: not all of it has been measured before.", time=time),)

    def _choice(self, backend: str) -> ChosenLoad:
        """What a model is loaded with to be measured there."""
        return msgspec.structs.replace(self._defaults, backend=backend, n_ctx=context_for((*TESTS, END_TO_END)))

    # What can be done -------------------------------------------------------------------------------------------------

    def action_bench_run(self) -> None:
        """Start, unless it runs."""
        if self._measuring is not None:
            self.notify(tr(MEASURING))
        elif self._models:
            self.change(doing=tr(PREPARING), fraction=0.0, comparison=Comparison(), notes={}, trouble=(), earlier=None)
            self._measuring = self._measure()
            self._runs_or_not()
        else:
            is_known = self._all is not None
            self.notify(tr("No model was found to measure.") if is_known else tr(LOOKING))

    def action_bench_models(self) -> None:
        """This model, or all of the library."""
        if self._measuring is not None:
            self.notify(tr(MEASURING))
        elif self._current is None:
            self.notify(tr("No model is loaded: all models of the library are measured."))
        else:
            self._wants_all = not self._wants_all
            self._describe()

    @work(exclusive=True, group="history")
    async def action_bench_history(self) -> None:
        """Show the earlier runs, or the present one again."""
        if self.state.earlier is not None:
            self.change(earlier=None)
            return
        try:
            self.change(earlier=await asyncio.to_thread(self._history.list))
        except HistoryError as error:
            self.notify(str(error), severity="warning", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While it measures, nothing else is begun; without a model in use there is no "this model"."""
        if action == "bench_run" or (action == "bench_models" and self._current is not None):
            return self._measuring is None
        return action != "bench_models" and super().check_action(action, parameters)

    def _runs_or_not(self) -> None:
        """Keys and button of a bench that measures, or that does not."""
        if self._measuring is not None:
            self.key_titles["dialog_close"] = mark("Stop")
        else:
            self.key_titles.pop("dialog_close", None)
        self._buttons.display = self._measuring is None
        self.refresh_bindings()

    def action_dialog_close(self) -> None:
        """Stop what runs; what was measured stays. Leave when nothing runs."""
        if self._measuring is not None:
            self.change(doing=tr("stopping…"))
            self._measuring.cancel()
        else:
            self.dismiss(None)

    # Measuring --------------------------------------------------------------------------------------------------------

    @property
    def _models(self) -> tuple[LibraryModel, ...]:
        if self._wants_all or self._current is None:
            return self._all or ()
        return (self._current,)

    def _backends(self) -> tuple[str, ...]:
        """The CPU, and each device that llama.cpp has here but those in software."""
        return (CPU, *(device.name for device in self._devices if device.kind in ("gpu", "igpu", "accel")))

    def _plan_text(self) -> str:
        models = self._models
        if not models:
            return tr("No model was found to measure.") if self._all is not None else tr(LOOKING)
        what = trn("{n} model", "{n} models", len(models))
        if len(models) == 1:
            what = f"{models[0].info.name} {models[0].info.quant}"
        return trn(
            "{model} on {backends}: {tests}, {n} run",
            "{model} on {backends}: {tests}, {n} runs",
            REPETITIONS,
            model=what,
            backends=format.listed(*(name.upper() if name == CPU else name for name in self._backends())),
            tests=format.listed(*(test.name for test in TESTS)),
        )

    async def _jobs(self, may_measure: MayMeasure) -> tuple[BenchJob, ...]:
        """A row for each model on each backend that there is room for; the others are told."""
        jobs, trouble = [], []
        for model in self._models:
            for backend in self._backends():
                choice = self._choice(backend)
                permission = await may_measure(model, choice)
                if permission.is_given:
                    settings = engine_settings(choice, self._devices)[0]
                    jobs.append(self._for_answers(BenchJob(model=model, settings=settings)))
                else:
                    wrong = verdict_words.sentence(permission.verdict)
                    trouble.append(_failed(f"{model.info.name} {model.info.quant}", backend, wrong))
        self.change(trouble=tuple(trouble))
        return tuple(jobs)

    @work(exclusive=True, group="bench")
    async def _measure(self) -> None:
        try:
            if jobs := await self._jobs(await self._make_room()):
                async with LocalEngine(env=self._environment) as engine:
                    await self._run(engine, jobs)
        except EngineDied as died:
            self._tell(str(died))
        finally:
            self._measuring = None
            if self.is_mounted:
                self._answer.display = False
                self.change(doing="", jobs=())
                self._runs_or_not()

    async def _run(self, engine: Engine, jobs: Sequence[BenchJob]) -> None:
        with contextlib.closing(MachineProbe.of(engine)) as probe:
            plan = BenchPlan(jobs=tuple(jobs), tests=TESTS, repetitions=REPETITIONS)
            runner = self._runner = Runner(engine, plan, self._progressed, probe, self._speeds)
            through_app: dict[int, Report] = {}
            try:
                await runner.run()
                if len(jobs) == 1 and not runner.failures:
                    await self._through_the_app(engine, runner, through_app, jobs[0].sampling)
            finally:
                for failure in runner.failures:
                    self._tell(_told(jobs, failure))
                reports = [through_app.get(n, report) for n, report in enumerate(runner.comparison.reports)]
                await asyncio.shield(self._keep(Comparison(reports=tuple(r for r in reports if r.results))))

    async def _through_the_app(
        self, engine: Engine, runner: Runner, into: dict[int, Report], sampling: Sampling
    ) -> None:
        """Time an answer that the widget of the chat shows, so that what the screen takes is in the figures."""
        transcript = self._answer
        transcript.display = True
        transcript.begin_answer(1, "")
        self.change(doing=tr("end to end, through the app"))

        def show(event: Event) -> None:
            if isinstance(event, Delta):
                transcript.append(1, event.kind, event.text)

        found = await endtoend.end_to_end(engine, on_event=show, sampling=sampling)
        transcript.end_answer(1, "")
        report = runner.comparison.reports[0]
        into[0] = msgspec.structs.replace(report, end_to_end=(found,))

    async def _keep(self, comparison: Comparison) -> None:
        """Show it, put it into the history, and say how it compares with the run before."""
        self.change(comparison=comparison)
        if not comparison.reports:
            return
        try:
            ids = await asyncio.to_thread(self._history.add, comparison)
            notes = {}
            for number, (run_id, report) in enumerate(zip(ids, comparison.reports, strict=True)):
                if note := await asyncio.to_thread(self._compared, run_id, report):
                    notes[number] = note
        except HistoryError as error:
            self._tell(str(error))
            return
        self.change(notes=notes)

    def _compared(self, run_id: int, report: Report) -> str:
        """Against the last run of the same model on the same backend; empty where there was none."""
        last = self._history.last(report, before=run_id)
        before = self._history.get(last.id) if last else None
        if last is None or before is None:
            return ""
        said = [_changed(change) for change in compare(before, report)]
        date, changes = f"{last.time:%Y-%m-%d}", format.listed(*said)
        return tr("against run {id} of {date}: {changes}", id=last.id, date=date, changes=changes) if said else ""

    def _progressed(self, progress: Progress) -> None:
        runner = self._runner
        doing = _doing(progress, runner.model_of(progress.job) if runner else "")
        comparison = runner.comparison if runner else Comparison()
        is_load = progress.test is None and not progress.what
        fraction = self.state.fraction if is_load else progress.fraction
        self.change(fraction=fraction, doing=doing, comparison=comparison, jobs=self._rows(progress))

    def _rows(self, progress: Progress) -> tuple[JobRow, ...]:
        """How far each job is."""
        if (runner := self._runner) is None:
            return ()
        failed = {failure.job for failure in runner.failures}
        n_runs = len(TESTS) * REPETITIONS
        rows = []
        for number, job in enumerate(runner.jobs):
            report = runner.report_of(number)
            n_done = sum(len(result.samples_ns) for result in report.results) if report else 0
            row = JobRow(
                name=f"{job.model.info.name} {job.model.info.quant}",
                on=format.backend(job.settings.devices),
                state="failed" if number in failed else "done" if n_done >= n_runs else "waiting",
                report=report,
            )
            if number == progress.job and row.state != "failed":
                is_load = progress.test is None and not progress.what
                doing = (
                    tr("loading…")
                    if is_load
                    else trn("{n_done} of {n} run", "{n_done} of {n} runs", n_runs, n_done=n_done)
                )
                fraction = progress.fraction if is_load else n_done / n_runs
                row = msgspec.structs.replace(row, state="running", fraction=fraction, doing=doing)
            rows.append(row)
        return tuple(rows)

    def _tell(self, sentence: str) -> None:
        self.change(trouble=(*self.state.trouble, " ".join(sentence.split())))


def _changed(change: Change) -> str:
    """ "pp512 +4.1%"."""
    told = f"{change.test} {change.percent:+.1f}%"
    return told if change.is_significant else tr("{change} (may be chance)", change=told)


def _doing(progress: Progress, model: str) -> str:
    """What is measured now: "Qwen3 32B pp512 run 2 · 40 s left"."""
    test = progress.test.name if progress.test else progress.what
    if not test:
        doing = tr("{model} loading…", model=model)
    elif progress.repetition:
        doing = tr("{model} {test} run {n}", model=model, test=test, n=progress.repetition)
    else:
        doing = tr("{model} {test}…", model=model, test=test)
    if progress.left_s is None:
        return doing
    return tr("{doing} · {time} left", doing=doing, time=format.about(progress.left_s))


def _failed(model: str, backend: str, reason: str) -> str:
    return tr("{model} on {backend}: {reason}", model=model, backend=backend, reason=reason)


def _told(jobs: Sequence[BenchJob], failure: Failure) -> str:
    job = jobs[failure.job]
    where = format.backend(job.settings.devices)
    error = failure.error
    why = error.info.text if isinstance(error, EngineError) else death_sentence(error.death)
    return _failed(f"{job.model.info.name} {job.model.info.quant}", where, why)
