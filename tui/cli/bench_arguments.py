"""What the arguments of a benchmark ask for, and which of them do not go together."""

from __future__ import annotations

import argparse
from pathlib import Path

from tui.bench.command import bench
from tui.cli.chat_arguments import shared_options
from tui.cli.named_model import model_files
from tui.cli.parser import MIN_REPETITIONS, CommandLineError
from tui.config.loadtable import LOAD_ROWS
from tui.config.options import BenchKind, BenchOptions
from tui.words import tr

_NOT_OF_A_TEST = {
    *("bench", "json", "settings", "software_vulkan", "fit", "force", "chat_template", "stop"),
    *LOAD_ROWS,
}
"""Options that say nothing about what is to be measured, by the names that they are stored under."""
_REPETITIONS = {"tests": 5, "quick": 5, "spec": 3}
"""Unless asked otherwise; once where a kind is not named."""


def _kind_of_bench(arguments: argparse.Namespace, given: set[str]) -> BenchKind:
    """What the arguments ask for; those of its tests that were not given are filled in. Without any that say something
    about models or tests, that is the quick score."""
    kind: BenchKind = "tests"
    if arguments.quick or given <= _NOT_OF_A_TEST:
        kind = "quick"
    elif arguments.localscore:
        kind = "localscore"
    elif arguments.tune:
        kind = "tune"
    elif arguments.n_parallel:
        kind = "parallel"
    elif arguments.spec:
        kind = "spec"
    if kind != "tests":
        _check_own_tests(kind, arguments)
    n = 128 if kind == "parallel" else 512
    arguments.n_prompt = arguments.n_prompt or (n,)
    arguments.n_gen = arguments.n_gen or (128,)
    arguments.n_depth = arguments.n_depth or (0,)
    arguments.repetitions = arguments.repetitions or _REPETITIONS.get(kind, 1)
    return kind


def _check_own_tests(kind: BenchKind, arguments: argparse.Namespace) -> None:
    """Raises `CommandLineError` for what does not go with a kind of benchmark that has tests of its own."""
    wrong = {"-d": arguments.n_depth, "-pg": arguments.pairs, "--e2e": arguments.end_to_end}
    if kind != "parallel":
        wrong |= {"-p": arguments.n_prompt, "-n": arguments.n_gen}
    if kind not in ("parallel", "spec"):
        wrong |= {"--all": arguments.all, "--backends": arguments.backends, tr("a second MODEL"): arguments.models[1:]}
    if kind == "parallel" and arguments.n_prompt and 0 in arguments.n_prompt:
        raise CommandLineError(tr("--parallel needs prompts: give -p a number of tokens."))
    if kind in ("parallel", "spec", "tune"):
        wrong["--compare"] = arguments.compare  # no run that is kept has such tests
    if found := [flag for flag, value in wrong.items() if value]:
        raise CommandLineError(
            tr("{option} has tests of its own: leave out {others}.", option=f"--{kind}", others=", ".join(found))
        )
    if arguments.output not in ("", "table", "md", "json"):
        raise CommandLineError(_has_no_format(f"--{kind}", arguments.output))


def _has_no_format(option: str, output: str) -> str:
    return tr("{option} has no {format}. Choose table, md or json.", option=option, format=output)


def run_bench(arguments: argparse.Namespace, given: set[str]) -> int:
    """Measure, `given` being the names of what was not left out; the exit code. Raises `CommandLineError`, and
    `NoSuchModel`."""
    kind = _kind_of_bench(arguments, given)
    if not (any(arguments.n_prompt) or any(arguments.n_gen) or arguments.pairs):
        raise CommandLineError(
            tr("-p 0 and -n 0 together leave nothing to measure. Give one of them a number of tokens.")
        )
    if arguments.all and arguments.models:
        raise CommandLineError(tr("--all measures every model of the library: name none, or leave it out."))
    _check_history(arguments)
    settings_file = Path(arguments.settings) if arguments.settings else None
    return bench(
        BenchOptions(
            kind=kind,
            models=model_files(arguments.models, settings_file),
            every_model=arguments.all,
            backends=arguments.backends,
            **shared_options(arguments, settings_file),
            n_prompt=arguments.n_prompt,
            n_gen=arguments.n_gen,
            pairs=tuple(arguments.pairs),
            n_depth=arguments.n_depth,
            repetitions=arguments.repetitions,
            end_to_end=arguments.end_to_end,
            n_parallel=arguments.n_parallel,
            tune_s=arguments.seconds or 0.0,
            output="json" if arguments.json else arguments.output,
            baseline=arguments.baseline,
            history=arguments.history,
            compare=arguments.compare,
            fail_below=arguments.fail_below,
            keep=arguments.keep,
        )
    )


def _check_history(arguments: argparse.Namespace) -> None:
    if arguments.fail_below is not None and not arguments.compare:
        raise CommandLineError(tr("--fail-below needs something to compare with: add --compare last, an ID or a file."))
    if arguments.fail_below is not None and arguments.repetitions < MIN_REPETITIONS:
        raise CommandLineError(tr("--fail-below cannot tell from so few runs: add -r {n}, or more.", n=MIN_REPETITIONS))
    if not arguments.history:
        return
    if arguments.models or arguments.all or arguments.compare or not arguments.keep:
        raise CommandLineError(
            tr("--history lists what was measured and measures nothing: give no models, no --compare.")
        )
    if arguments.output not in ("", "table", "md", "json"):
        raise CommandLineError(_has_no_format("--history", arguments.output))
