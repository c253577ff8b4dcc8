"""Runs a benchmark: each job is loaded into an engine process of its own and measured as llama-bench does, a warm-up
and then the repetitions of each test. Several jobs are measured forwards, then backwards. Knows nothing of
terminals; what is done so far can be had at any time, also after a failure."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from tui.engines.interface import Engine, EngineError
from tui.measure import endtoend, roofline, speculation
from tui.measure.beforehand import expected, roofline_of
from tui.measure.bench_plan import END_TO_END, BenchJob, BenchPlan, ParallelTest, visits
from tui.measure.known_speeds import KnownSpeeds
from tui.measure.machine import this_machine
from tui.measure.report import BenchResult, Comparison, Mark, ModelFacts, ParallelResult, Report, Test
from tui.measure.timeleft import TimedRun, TimeLeft
from tui.protocol.bench_messages import BenchParallel, BenchTest, MeasureBandwidth, MeasureSteps
from tui.protocol.death import EngineDied
from tui.protocol.messages import not_granted
from tui.words import tr
from tui.words.later import Later


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the runner is at."""

    fraction: float
    """Of the load while there is no `test` and no `what`, else of all runs, warm-ups included."""
    job: int = 0
    """Index of the job."""
    test: Test | None = None
    what: str = ""
    """What is measured, where that is no `test`."""
    repetition: int = 0
    """From 1; 0 is the warm-up."""
    last_ts: float = 0.0
    """Tokens per second of the repetition before, 0 when there was none."""
    left_s: float | None = None
    """About how long it will still take, where that can be told."""


class Probe(Protocol):
    """Looks at the machine before the run, and from before a repetition to after it."""

    async def warnings(self) -> tuple[str | Later, ...]:
        """What about the machine is not right, each a sentence; nothing is computed meanwhile."""

    def begin(self, job: int, test: Test) -> None:
        """A repetition starts now; those of the same job and test are alike."""

    def end(self) -> tuple[float | None, tuple[Mark, ...]]:
        """It is over: the joules that it took, None where nobody counts them, and why not to trust it."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A job that ended before its time; what it had measured is in the comparison."""

    job: int
    error: EngineError | EngineDied


class Runner:
    """One benchmark on an engine that is started, and restarted between jobs. After `run` was cancelled or raised
    `EngineDied`, `comparison` holds what was measured until then."""

    def __init__(
        self,
        engine: Engine,
        plan: BenchPlan,
        on_progress: Callable[[Progress], None] | None = None,
        probe: Probe | None = None,
        known: KnownSpeeds | None = None,
    ) -> None:
        self._engine, self._plan, self._probe, self._known = engine, plan, probe, known or KnownSpeeds()
        self._on_progress = on_progress or (lambda progress: None)
        self._reports: dict[int, Report] = {}
        self._warnings: tuple[str | Later, ...] = ()
        self._loaded_job: int | None = None
        self._bandwidth: dict[int, dict[str, float]] = {}
        """Bytes per second by device, for each number of threads that the jobs ask for."""
        self._n_done = 0
        self._visits = visits(len(plan.jobs), plan.repetitions)
        runs = [run for job, repetitions in self._visits for run in self._runs_of_visit(job, repetitions)]
        self._left = TimeLeft(runs)
        self._began = 0.0
        self.failures: list[Failure] = []
        """Jobs that could not be loaded or measured to the end; the others went on."""

    @property
    def comparison(self) -> Comparison:
        """What is measured so far, in the order of the jobs."""
        return Comparison(reports=tuple(self._reports[job] for job in sorted(self._reports)))

    @property
    def jobs(self) -> tuple[BenchJob, ...]:
        """Those of the plan."""
        return self._plan.jobs

    def model_of(self, job: int) -> str:
        """Name of the model that a job measures."""
        return self._plan.jobs[job].model.info.name

    def report_of(self, job: int) -> Report | None:
        """What is measured so far of one job."""
        return self._reports.get(job)

    def _common_warm_up(self, job: int) -> Test | None:
        """The plan's one warm-up. A GPU reads as long a prompt as the tests do, or a whole micro-batch: the program for
        prompts of that length is compiled when it is first needed, which takes seconds."""
        warm_up, settings = self._plan.warm_up, self._plan.jobs[job].settings
        if warm_up is None or not settings.devices:
            return warm_up
        longest = min(settings.n_ubatch, max(test.n_prompt for test in self._plan.tests))
        return msgspec.structs.replace(warm_up, n_prompt=max(warm_up.n_prompt, longest))

    def _runs_of_visit(self, job: int, repetitions: int) -> list[TimedRun]:
        """All that is run while the job is loaded once."""
        plan = self._plan
        warm_up = self._common_warm_up(job)
        warm_ups = [warm_up] if warm_up else map(_warm_up_of, plan.tests)
        return [
            *(TimedRun.of(test, job) for test in warm_ups),
            *(TimedRun.of(test, job) for test in plan.tests for _ in range(repetitions)),
            *(TimedRun.of(END_TO_END, job) for _ in range(repetitions if plan.end_to_end else 0)),
            *(speculation.run_of(text, job) for text in plan.speculation for _ in range(repetitions)),
            *(run for test in plan.parallel for run in (test.warm_up.run(job), *[test.run(job)] * repetitions)),
        ]

    async def run(self) -> Comparison:
        """Load and measure everything. Cancelling the task that waits here stops at once. A job that fails is noted in
        `failures` and the others go on."""
        self._began = time.monotonic()
        if self._probe:
            self._warnings = await self._probe.warnings()
        if self._plan.bandwidth:
            await self._measure_bandwidth()
        for job, repetitions in self._visits:
            if any(failure.job == job for failure in self.failures):
                continue
            try:
                await self._load(job)
                if warm_up := self._common_warm_up(job):
                    await self._warm_up(job, warm_up)
                for number in range(len(self._plan.tests)):
                    await self._measure(job, number, repetitions)
                if self._plan.end_to_end:
                    await self._measure_end_to_end(job, repetitions)
                if self._plan.speculation:
                    await self._measure_speculation(job, repetitions)
                for test in self._plan.parallel:
                    await self._measure_parallel(job, test, repetitions)
            except (EngineError, EngineDied) as error:
                self.failures.append(Failure(job=job, error=error))
                self._left.give_up(job)
                self._loaded_job = None
        return self.comparison

    async def _measure_bandwidth(self) -> None:
        """Before anything is loaded. Without these figures a report has no roofline, which is no failure of a job: a
        device that takes the engine with it here is heard of again, if it is needed, when a model is loaded."""
        if not self._engine.capabilities.measures_bandwidth:
            return
        devices = tuple(dict.fromkeys(name for job in self._plan.jobs for name in job.settings.devices))
        n_threads = dict.fromkeys(job.settings.n_threads for job in self._plan.jobs)
        with contextlib.suppress(EngineError, EngineDied):
            await self._engine.start()
            for n in n_threads:
                measured = await self._engine.ask(MeasureBandwidth(devices=("CPU",), n_threads=n))
                self._bandwidth[n] = measured.bytes_per_s
            if devices:
                measured = await self._engine.ask(MeasureBandwidth(devices=devices))
                self._bandwidth = {n: found | measured.bytes_per_s for n, found in self._bandwidth.items()}

    async def _load(self, job: int) -> None:
        if self._loaded_job == job:
            return
        wanted = self._plan.jobs[job]
        if self._loaded_job is None and self._engine.loaded is None and not self.failures:
            hello = await self._engine.start()
        else:
            hello = await self._engine.restart()  # memory is given back for certain only when the process ends
        self._loaded_job = None
        loaded = await self._engine.load(
            wanted.model.path,
            wanted.settings,
            lambda fraction: self._on_progress(Progress(fraction=fraction, job=job)),
        )
        self._loaded_job = job
        if job not in self._reports:
            bandwidth = self._bandwidth.get(wanted.settings.n_threads, {})
            facts = (wanted.model.info, loaded, wanted.settings, self._plan.tests)
            self._reports[job] = Report(
                machine=this_machine(),
                hello=hello,
                model=ModelFacts.of(wanted.model.info),
                loaded=loaded,
                settings=wanted.settings,
                repetitions=self._plan.repetitions,
                warnings=(*self._warnings, *map(Later, not_granted(loaded))),
                roofline=roofline_of(*facts, bandwidth),
                forecast=expected(*facts, self._known, bandwidth),
            )

    async def _measure(self, job: int, number: int, repetitions: int) -> None:
        test = self._plan.tests[number]
        before = self._reports[job].results
        result = before[number] if number < len(before) else self._begin(job, test)
        if not self._plan.warm_up:
            self._tell(job, result, 0)
            warm_up = _warm_up_of(test)
            await self._engine.ask(BenchTest(n_prompt=warm_up.n_prompt, n_gen=warm_up.n_gen))
            self._done(TimedRun.of(warm_up, job))
        for repetition in range(1, repetitions + 1):
            if not self._has_time(result):
                break
            self._tell(job, result, repetition)
            result = await self._repeat(job, result)
            self._put(job, number, result)

    def _has_time(self, result: BenchResult) -> bool:
        """Whether another repetition would be over in time."""
        if not self._plan.budget_s or not result.samples_ns:
            return True
        return time.monotonic() - self._began + result.samples_ns[-1] / 1e9 <= self._plan.budget_s

    async def _warm_up(self, job: int, test: Test) -> None:
        self._tell_of(job, test.name, 0)
        await self._engine.ask(BenchTest(n_prompt=test.n_prompt, n_gen=test.n_gen))
        self._done(TimedRun.of(test, job))

    async def _measure_end_to_end(self, job: int, repetitions: int) -> None:
        for repetition in range(1, repetitions + 1):
            before = self._reports[job].end_to_end
            self._tell_of(job, tr("end to end"), repetition, before[-1].decode_tps if before else 0.0)
            found = await endtoend.end_to_end(self._engine, sampling=self._plan.jobs[job].sampling)
            self._reports[job] = msgspec.structs.replace(self._reports[job], end_to_end=(*before, found))
            written_s = found.n_gen / found.decode_tps if found.decode_tps else 0.0
            self._done(TimedRun.of(END_TO_END, job), found.n_prompt, found.ttft_s, written_s)

    async def _measure_speculation(self, job: int, repetitions: int) -> None:
        costs = (await self._engine.ask(MeasureSteps())).costs
        for text in self._plan.speculation:
            last_ts = 0.0
            for repetition in range(1, repetitions + 1):
                self._tell_of(job, tr(text.words), repetition, last_ts)
                found = await speculation.write(self._engine, text, costs, ahead_first=repetition % 2 == 0)
                report = self._reports[job]
                self._reports[job] = msgspec.structs.replace(report, speculation=(*report.speculation, found))
                last_ts = found.ahead_tps
                self._done(speculation.run_of(text, job))

    async def _measure_parallel(self, job: int, test: ParallelTest, repetitions: int) -> None:
        last_ts = 0.0
        for repetition in range(repetitions + 1):
            self._tell_of(job, test.name, repetition, last_ts)
            if repetition == 0:
                first = test.warm_up
                await self._engine.ask(
                    BenchParallel(n_parallel=first.n_parallel, n_prompt=first.n_prompt, n_gen=first.n_gen)
                )
                self._done(first.run(job))
            else:
                sample = await self._engine.ask(
                    BenchParallel(n_parallel=test.n_parallel, n_prompt=test.n_prompt, n_gen=test.n_gen)
                )
                found = ParallelResult(
                    n_parallel=test.n_parallel,
                    n_prompt=test.n_prompt,
                    n_gen=test.n_gen,
                    prefill_s=sample.prefill_s,
                    decode_s=sample.decode_s,
                )
                report = self._reports[job]
                self._reports[job] = msgspec.structs.replace(report, parallel=(*report.parallel, found))
                last_ts = found.decode_tps
                self._done(test.run(job), test.n_parallel * test.n_prompt, sample.prefill_s, sample.decode_s)

    def _begin(self, job: int, test: Test) -> BenchResult:
        wanted, loaded = self._plan.jobs[job], self._reports[job].loaded
        past = roofline.n_past(test)
        read = roofline.read_bytes(wanted.model.info, loaded, wanted.settings, past) if test.is_decode else {}
        return BenchResult(test=test, test_time=_now(), read_bytes=read)

    async def _repeat(self, job: int, result: BenchResult) -> BenchResult:
        test = result.test
        if self._probe:
            self._probe.begin(job, test)
        sample = await self._engine.ask(BenchTest(n_prompt=test.n_prompt, n_gen=test.n_gen, depth=test.n_depth))
        self._done(TimedRun.of(test, job), test.n_prompt, sample.prefill_s, sample.elapsed_s - sample.prefill_s)
        joules, marks = self._probe.end() if self._probe else (None, ())
        if test.n_depth:
            joules = None  # part of it went into what is not timed, which no counter tells apart
        return msgspec.structs.replace(
            result,
            samples_ns=(*result.samples_ns, round(sample.elapsed_s * 1e9)),
            prefill_ns=(*result.prefill_ns, round(sample.prefill_s * 1e9)),
            ttft_ns=(*result.ttft_ns, round(sample.ttft_s * 1e9)),
            energy_j=(*result.energy_j, joules),
            marks=(*result.marks, marks),
        )

    def _put(self, job: int, number: int, result: BenchResult) -> None:
        report = self._reports[job]
        results = (*report.results[:number], result, *report.results[number + 1 :])
        self._reports[job] = msgspec.structs.replace(report, results=results)

    def _tell(self, job: int, result: BenchResult, repetition: int) -> None:
        done_before = len(result.samples_ns) if repetition else 0
        self._on_progress(
            Progress(
                fraction=self._fraction,
                job=job,
                test=result.test,
                repetition=done_before + 1 if repetition else 0,
                last_ts=result.samples_ts[-1] if result.samples_ns else 0.0,
                left_s=self._left_s,
            )
        )

    def _tell_of(self, job: int, what: str, repetition: int, last_ts: float = 0.0) -> None:
        self._on_progress(
            Progress(
                fraction=self._fraction,
                job=job,
                what=what,
                repetition=repetition,
                last_ts=last_ts,
                left_s=self._left_s,
            )
        )

    @property
    def _fraction(self) -> float:
        return self._n_done / max(1, self._n_done + self._left.n_runs)

    @property
    def _left_s(self) -> float | None:
        left_s = self._left.seconds
        if left_s is None or not self._plan.budget_s:
            return left_s
        return max(0.0, min(left_s, self._plan.budget_s - (time.monotonic() - self._began)))

    def _done(self, run: TimedRun, n_read: int = 0, read_s: float = 0.0, written_s: float = 0.0) -> None:
        """One more run is over; with figures, if it was timed."""
        self._n_done += 1
        if n_read or written_s:
            self._left.measured(run, n_read, read_s, written_s)
        else:
            self._left.did(run)


def _warm_up_of(test: Test) -> Test:
    return Test(n_prompt=test.n_prompt, n_gen=min(test.n_gen, 1))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
