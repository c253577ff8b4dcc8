"""What the command line does with earlier runs: lists them, compares with one of them, and keeps the new ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.base.exit_codes import ExitCode
from tui.base.format import full_speed, listed
from tui.base.oserrors import os_reason
from tui.base.stdout import put
from tui.base.terminal_style import Line, Piece, Tone, Toned
from tui.bench import render
from tui.config import paths
from tui.config.options import BenchOptions
from tui.measure.compare import (
    MIN_REPETITIONS,
    VERDICTS,
    Change,
    ComparedRun,
    Verdict,
    closest,
    compare,
    differences,
    runs_of,
)
from tui.measure.history import History, HistoryError, Kept
from tui.measure.known_speeds import KnownSpeeds, readable_speeds
from tui.measure.report import Comparison, Report, row_label, row_name
from tui.shell.trouble import complain, say
from tui.words import tr

LAST = "last"
FOR_EYES = ("table", "md")
"""Formats that further tables and sentences may follow on stdout."""
_TONES: dict[Verdict, Tone] = {"faster": "good", "slower": "bad", "too few runs": "tight"}
_WHEN = "%Y-%m-%d %H:%M UTC"


class NoBaseline(Exception):
    """There is nothing to compare with; the message says why and what to do."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run and how it is called: "run 12 of 2026-11-25 10:11 UTC", "score.json"."""

    label: str
    run: ComparedRun


class Past:
    """The earlier runs, as one benchmark uses them. Raises `NoBaseline` when `--compare` names an ID or a file that
    cannot be had, before anything is measured."""

    def __init__(self, options: BenchOptions) -> None:
        self._options = options
        self._history = History(paths.bench_file())
        self._given = self._look_up(options.compare) if options.compare not in ("", LAST) else ()

    def speeds(self) -> KnownSpeeds:
        """What they tell of how fast models are here. Blocking."""
        return readable_speeds(self._history)

    def compare(self, comparison: Comparison, output: str) -> ExitCode:
        """Print what changed: after the report, or on stderr where stdout is for programs.

        `SLOWER` when a test lost more than `--fail-below` allows. A guard that looks at nothing must not pass: `USAGE`
        when the run that was named has nothing in common with a new one or the history cannot be read, `UNDECIDED` when
        there were too few runs to tell or a row was refused. The first run of a model has no last one, which is fine,
        and `--all` means all that fit.
        """
        code = ExitCode.FINE
        for report in comparison.reports if self._options.compare else ():
            name = row_label(row_name(report.model, report.loaded.path), report.backend)
            try:
                baseline = self._baseline(report)
            except (NoBaseline, HistoryError) as error:
                say(tr("{model} is compared with nothing: {reason}", model=name, reason=error))
                is_first = self._options.compare == LAST and isinstance(error, NoBaseline)
                code = code or (ExitCode.FINE if is_first else ExitCode.USAGE)
                continue
            changes = compare(baseline.run, report)
            lines = changes_page(name, baseline, report, changes, output)
            render.show(["", *lines], sys.stdout if output in FOR_EYES else sys.stderr)
            found = self._judged(name, baseline, changes)
            code = found if found == ExitCode.SLOWER else code or found
        if self._options.fail_below is not None and not self._options.every_model:
            for row in comparison.refused:
                name = row_label(row_name(row.model, row.path), row.backend)
                say(tr("{model} was not measured: --fail-below cannot tell.", model=name))
                code = code or ExitCode.UNDECIDED
        return code

    def keep(self, comparison: Comparison) -> None:
        """Into the history, unless that is not wanted; what prevents it is said and is no failure."""
        if not self._options.keep:
            return
        try:
            # What several users get at once has no test that a later run could be compared with.
            self._history.add(Comparison(reports=tuple(row for row in comparison.reports if row.results)))
        except HistoryError as error:
            say(tr("not kept: {reason}", reason=error))
        if self._history.set_aside:
            say(
                tr(
                    "the benchmark history was damaged: it is now {file}, and a new one was started.",
                    file=self._history.set_aside,
                )
            )

    def _look_up(self, what: str) -> Sequence[Baseline]:
        if not what.isdecimal():
            return [Baseline(label=Path(what).name, run=run) for run in _read(Path(what))]
        try:
            report = self._history.get(int(what)) if int(what) < 2**63 else None
        except HistoryError as error:
            raise NoBaseline(str(error)) from error
        if report is None:
            raise NoBaseline(
                tr(
                    "{option}: there is no such run. {command} lists them.",
                    option=f"--compare {what}",
                    command="llmtui --bench --history",
                )
            )
        return [Baseline(label=_label(int(what), report), run=ComparedRun.of(report))]

    def _baseline(self, report: Report) -> Baseline:
        if self._options.compare != LAST:
            return self._closest(report)
        kept = self._history.last(report)
        found = self._history.get(kept.id) if kept else None
        if kept is None or found is None:
            raise NoBaseline(tr("no earlier run of this model on this backend has these tests."))
        return Baseline(label=_label(kept.id, found), run=ComparedRun.of(found))

    def _closest(self, report: Report) -> Baseline:
        now = ComparedRun.of(report)
        if self._options.compare.isdecimal():  # whoever names a run wants that one, whatever its model
            found = next((baseline for baseline in self._given if compare(baseline.run, now)), None)
        else:
            run = closest([baseline.run for baseline in self._given], now)
            found = next((baseline for baseline in self._given if baseline.run is run), None)
        if found is None:
            tests = listed(*(test.name for test in now.tests))
            raise NoBaseline(
                tr(
                    "{baseline} has no run of it with any of these tests ({tests}).",
                    baseline=self._given[0].label,
                    tests=tests,
                )
            )
        return found

    def _judged(self, name: str, baseline: Baseline, changes: Sequence[Change]) -> ExitCode:
        """What `--fail-below` says of one row; why is said on stderr."""
        allowed = self._options.fail_below
        if allowed is None:
            return ExitCode.FINE
        lost = [change for change in changes if change.verdict == "slower" and -change.percent > allowed]
        for change in lost:
            say(
                tr(
                    "{model}: {test} is {percent}% slower than in {baseline}; --fail-below allows {allowed}%.",
                    model=name,
                    test=change.test,
                    percent=f"{-change.percent:.1f}",
                    baseline=baseline.label,
                    allowed=f"{allowed:g}",
                )
            )
        unclear = [change for change in changes if change.verdict == "too few runs"]
        for change in unclear:
            say(
                tr(
                    "{model}: {test} ran {n_before} times in {baseline} and {n_now} now; --fail-below cannot tell from "
                    "fewer than {least}.",
                    model=name,
                    test=change.test,
                    n_before=change.n_before,
                    baseline=baseline.label,
                    n_now=change.n_after,
                    least=MIN_REPETITIONS,
                )
            )
        if lost:
            return ExitCode.SLOWER
        return ExitCode.UNDECIDED if unclear or not changes else ExitCode.FINE


def show_history(output: str) -> ExitCode:
    """Print the kept runs, the last one first."""
    history = History(paths.bench_file())
    try:
        kept = history.list()
    except HistoryError as error:
        complain(str(error))
        return ExitCode.USAGE
    if output == "json":
        put(json.dumps([msgspec.to_builtins(run) for run in kept], indent=2))
    elif kept:
        render.show(history_page(kept, output or render.default_format(sys.stdout)), sys.stdout)
    else:
        say(tr("no benchmarks yet ({file}).", file=history.path))
    return ExitCode.FINE


def history_page(kept: Sequence[Kept], output: str) -> render.Page:
    """A row for each run."""
    rows = [(tr("id"), tr("date (UTC)"), tr("model"), tr("on"), tr("prefill t/s"), tr("decode t/s"))]
    rows += [
        (
            str(run.id),
            f"{run.time:%Y-%m-%d %H:%M}",
            f"{run.model_name} {run.quant}",
            run.backend,
            f"{run.pp_name} {full_speed(run.pp_ts)}" if run.pp_ts is not None else "",
            f"{run.tg_name} {full_speed(run.tg_ts)}" if run.tg_ts is not None else "",
        )
        for run in kept
    ]
    return render.table_of(rows, "><<<>>", output, head="headline")


def changes_page(
    name: str, baseline: Baseline, report: Report, changes: Sequence[Change], output: str = "table"
) -> render.Page:
    """A row for each test that both runs have, and below them what else differs."""
    rows: list[tuple[Piece, ...]] = [
        (tr("test"), tr("before"), tr("now"), tr("change"), tr("95% between"), "p", tr("verdict"))
    ]
    rows += [
        (
            change.test,
            full_speed(change.before_ts),
            full_speed(change.after_ts),
            f"{change.percent:+.1f}%",
            f"{change.low:+.1f}…{change.high:+.1f}%" if change.low is not None else "n/a",
            _p(change.p),
            _verdict(change),
        )
        for change in changes
    ]
    compared = {change.test for change in changes}
    notes = [
        tr("{test}: only measured now", test=test.test.name)
        for test in report.results
        if test.test.name not in compared
    ]
    notes += [note for change in changes for note in change.notes]
    notes += differences(baseline.run, report)
    head = tr("{model}, compared with {baseline}:", model=name, baseline=baseline.label)
    below: list[Line] = ["", *(f"- {note}" for note in notes)] if notes else []
    return [Toned(head, "headline"), "", *render.table_of(rows, "<>>>>><", output), *below]


def _verdict(change: Change) -> Piece:
    said = tr(VERDICTS[change.verdict])
    tone = _TONES.get(change.verdict)
    return Toned(said, tone) if tone else said


def _p(p: float | None) -> str:
    if p is None:
        return "n/a"
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _label(run_id: int, report: Report) -> str:
    return tr("run {id} of {time}", id=run_id, time=f"{report.results[0].test_time:{_WHEN}}")


def _read(path: Path) -> tuple[ComparedRun, ...]:
    """The runs in a file that `--output json` or `jsonl` printed, ours or llama-bench's."""
    try:
        text = path.read_text("utf-8")
        records = json.loads(text) if text.lstrip().startswith("[") else list(map(json.loads, text.splitlines()))
        runs = runs_of(records)
    except OSError as error:
        raise NoBaseline(
            tr(
                "{option}: {reason}. Name {last}, the ID of a run, or a file.",
                option=f"--compare {path}",
                reason=os_reason(error),
                last=LAST,
            )
        ) from error
    except (ValueError, AttributeError, msgspec.ValidationError) as error:
        raise NoBaseline(
            tr(
                "{option}: this is not what {ours} prints, or {theirs} ({reason}).",
                option=f"--compare {path}",
                ours="--output json",
                theirs="llama-bench -o json",
                reason=error,
            )
        ) from error
    if not runs:
        raise NoBaseline(tr("{option}: it is empty.", option=f"--compare {path}"))
    return runs
