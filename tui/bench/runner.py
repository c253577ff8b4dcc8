"""Runs a benchmark on an engine: load, then for each test one warm-up and its repetitions, as llama-bench does.
Knows nothing of terminals; what is done so far can be had at any time, also after a failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tui.bench.machine import Machine, this_machine
from tui.bench.report import Report, Result, Test
from tui.engine.client import Engine
from tui.engine.messages import LoadSettings

N_CTX_STEP = 256
"""llama.cpp pads a context to a multiple of this."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure. `settings.n_ctx` must hold `tokens_needed(tests)`."""

    model: Path
    settings: LoadSettings
    tests: tuple[Test, ...]
    repetitions: int = 5


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the runner is at."""

    fraction: float
    """Of the load while `test` is None, else of all runs, warm-ups included."""
    test: Test | None = None
    repetition: int = 0
    """From 1; 0 is the warm-up."""
    last_ts: float = 0.0
    """Tokens per second of the repetition before, 0 when there was none."""


def plan_tests(n_prompt: int, n_gen: int, n_depth: int = 0) -> tuple[Test, ...]:
    """The prompt test and the generation test, less those of no tokens."""
    wanted = ((n_prompt, 0), (0, n_gen))
    return tuple(Test(n_prompt=p, n_gen=g, n_depth=n_depth) for p, g in wanted if p or g)


def tokens_needed(tests: tuple[Test, ...]) -> int:
    """Tokens of the largest test, which the context must hold."""
    return max(test.n_tokens + test.n_depth for test in tests)


def context_for(tests: tuple[Test, ...]) -> int:
    """The context that llama-bench would give the largest test: one for all, so that the model is loaded once."""
    return -(-tokens_needed(tests) // N_CTX_STEP) * N_CTX_STEP


class Runner:
    """One benchmark on a started engine. `report` is None until the model is loaded; after `run` was cancelled or
    raised `EngineDied` or `EngineError`, it holds what was measured until then."""

    def __init__(self, engine: Engine, plan: Plan, on_progress: Callable[[Progress], None] | None = None) -> None:
        self.report: Report | None = None
        self._engine, self._plan = engine, plan
        self._on_progress = on_progress or (lambda progress: None)

    async def run(self) -> Report:
        """Load and measure. Cancelling the task that waits here stops at once."""
        hello = await self._engine.start()
        plan, tell = self._plan, self._on_progress
        loaded = await self._engine.load(plan.model, plan.settings, lambda fraction: tell(Progress(fraction=fraction)))
        machine: Machine = this_machine()
        self.report = Report(
            machine=machine, hello=hello, loaded=loaded, settings=plan.settings, repetitions=plan.repetitions
        )
        for number, test in enumerate(plan.tests):
            self.report = await self._measure(self.report, number, test)
        return self.report

    async def _measure(self, report: Report, number: int, test: Test) -> Report:
        plan = self._plan
        result = Result(test=test, test_time=datetime.now(UTC).replace(microsecond=0))
        for repetition in range(plan.repetitions + 1):
            done = number * (plan.repetitions + 1) + repetition
            self._on_progress(
                Progress(
                    fraction=done / (len(plan.tests) * (plan.repetitions + 1)),
                    test=test,
                    repetition=repetition,
                    last_ts=result.samples_ts[-1] if result.samples_ns else 0.0,
                )
            )
            if repetition == 0:
                await self._engine.bench(test.n_prompt, min(test.n_gen, 1))
                continue
            elapsed_s = await self._engine.bench(test.n_prompt, test.n_gen, test.n_depth)
            result = msgspec.structs.replace(result, samples_ns=(*result.samples_ns, round(elapsed_s * 1e9)))
            self.report = msgspec.structs.replace(report, results=(*report.results, result))
        return self.report or report
