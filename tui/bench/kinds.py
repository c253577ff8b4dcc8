"""What kinds of benchmark there are: what each measures, what that needs of a load, and how its report is shown."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tui.bench import render, scores, speculation, users
from tui.config.options import BenchOptions
from tui.measure import score
from tui.measure.bench_plan import END_TO_END, SPECULATION_ROOM, BenchPlan, ParallelTest, context_for_users, plan_tests
from tui.measure.repeated_texts import repeated_texts
from tui.measure.report import Test


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One of them, as the options ask for it."""

    plan: BenchPlan
    """Without jobs."""
    formats: Mapping[str, render.Format]
    """By the name that `--output` takes."""
    room: tuple[Test, ...]
    """The context must hold each of these."""
    load: Mapping[str, object] = {}
    """Load settings that it wants unless the command line says otherwise."""
    n_parallel: int = 1
    """Sequences that the context is divided between."""


def kind_of(options: BenchOptions) -> Kind:
    """What these options ask for; the kind "tune" has no tests of its own and is not among them."""
    makers = {
        "tests": _tests,
        "quick": _quick,
        "localscore": _localscore,
        "parallel": _parallel,
        "spec": _speculation,
    }
    return makers[options.kind](options)


def _tests(options: BenchOptions) -> Kind:
    tests = plan_tests(options.n_prompt, options.n_gen, options.n_depth, options.pairs)
    return Kind(
        plan=BenchPlan(jobs=(), tests=tests, repetitions=options.repetitions, end_to_end=options.end_to_end),
        formats=render.FORMATS,
        room=(*tests, END_TO_END) if options.end_to_end else tests,
    )


def _quick(options: BenchOptions) -> Kind:
    plan = BenchPlan(
        jobs=(),
        tests=(score.QUICK_TEST,),
        repetitions=options.repetitions,
        warm_up=score.QUICK_WARM_UP,
        budget_s=score.QUICK_BUDGET_S,
        bandwidth=False,
    )
    return Kind(plan=plan, formats=scores.QUICK_FORMATS, room=plan.tests)


def _localscore(options: BenchOptions) -> Kind:
    tests = score.LOCALSCORE_TESTS
    plan = BenchPlan(
        jobs=(), tests=tests, repetitions=options.repetitions, warm_up=score.LOCALSCORE_WARM_UP, bandwidth=False
    )
    return Kind(plan=plan, formats=scores.LOCALSCORE_FORMATS, room=tests, load=score.LOCALSCORE_LOAD)


def _parallel(options: BenchOptions) -> Kind:
    tests = tuple(
        ParallelTest(n_parallel=n, n_prompt=n_prompt, n_gen=n_gen)
        for n_prompt in options.n_prompt
        for n_gen in options.n_gen
        for n in options.n_parallel
    )
    return Kind(
        plan=BenchPlan(jobs=(), tests=(), repetitions=options.repetitions, parallel=tests, bandwidth=False),
        formats=users.FORMATS,
        room=(Test(n_prompt=context_for_users(tests)),),
        n_parallel=max(options.n_parallel),
    )


def _speculation(options: BenchOptions) -> Kind:
    plan = BenchPlan(jobs=(), tests=(), repetitions=options.repetitions, speculation=repeated_texts(), bandwidth=False)
    return Kind(plan=plan, formats=speculation.FORMATS, room=(SPECULATION_ROOM,))
