"""A comparison as charts of relative speed: what is drawn, and in which order. Nothing here draws: `chart_text` does it
for terminals, `chart_plot` for pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tui import __version__
from tui.base import format
from tui.base.format import listed
from tui.base.text import one_line
from tui.measure.report import (
    BenchResult,
    Comparison,
    Mark,
    ModelFacts,
    Report,
    Test,
    engine_build,
    marks_told,
    row_label,
    row_name,
)
from tui.words import tr, trn

CPU = "CPU"
_ORIGIN = re.compile(r"^(?:(?:[a-z]+_\w+|error loading model): )+")
"""Where llama.cpp says that an error is from."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one backend. Nothing was measured where `reason` says why."""

    backend: str
    """ "CPU", "Vulkan0"."""
    tps: float = 0.0
    """Tokens per second, the mean over `n_runs`."""
    deviation_tps: float = 0.0
    n_runs: int = 0
    relative: float = 0.0
    """`tps` over that of the baseline."""
    n_gpu_layers: int = 0
    n_layers: int = 0
    """Layers that can be offloaded."""
    marks: tuple[Mark, ...] = ()
    """Why not to trust it."""
    reason: str = ""
    """Why there is no figure, in a few words."""

    @property
    def is_cpu(self) -> bool:
        """Whether the CPU alone computed it."""
        return self.backend == CPU

    @property
    def label(self) -> str:
        """The backend, and how much of the model it holds when that is not all: "Vulkan0 20/49"."""
        is_part = not self.is_cpu and not self.reason and self.n_gpu_layers < self.n_layers
        return f"{self.backend} {self.n_gpu_layers}/{self.n_layers}" if is_part else self.backend


class BarGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One model, with a bar for each backend: the CPU's first."""

    name: str
    """In one clean line; its file's name where another model has the same name and quantization."""
    quant: str
    """Empty where `name` is a file's."""
    n_params: int
    """0 where it is not known."""
    n_params_active: int
    is_moe: bool
    bars: tuple[Bar, ...]

    @property
    def label(self) -> str:
        """What the model is called: "Qwen3-32B Q3_K_L"."""
        return f"{self.name} {self.quant}" if self.quant else self.name


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One test of all models. A mixture of experts stands among dense models of its size, so that its speed stands out;
    models grow downwards."""

    what: Literal["decode", "prefill"]
    test: str
    """llama-bench's name: "tg128"."""
    baseline: str
    """The row whose speed counts as 1: "Qwen3-32B Q3_K_L on CPU"."""
    groups: tuple[BarGroup, ...]
    facts: tuple[str, ...] = ()
    """What it was measured on and with, in two or three lines."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """All of them, in the order in which they are drawn."""
        return tuple(bar for group in self.groups for bar in group.bars)

    @property
    def backends(self) -> tuple[str, ...]:
        """All that have a bar, in the order of the bars."""
        return tuple(dict.fromkeys(bar.backend for bar in sorted(self.bars, key=lambda bar: not bar.is_cpu)))

    @property
    def longest(self) -> float:
        """The largest relative speed."""
        return max(bar.relative for bar in self.bars)

    @property
    def digits(self) -> int:
        """Digits behind the point of tokens per second: the same for all, so that they can be compared at a glance."""
        speeds = [bar.tps for bar in self.bars if not bar.reason]
        if min(speeds) < 10 and max(speeds) < 1000:
            return 2
        return 1 if min(speeds) < 1000 else 0

    @property
    def has_moe(self) -> bool:
        """Whether any model is a mixture of experts."""
        return any(group.is_moe for group in self.groups)

    @property
    def doubt(self) -> str:
        """What is wrong with the bars that have marks, in one line; empty when none has."""
        marks = dict.fromkeys(mark for bar in self.bars for mark in bar.marks)
        return tr("! not reliable: {reasons}", reasons=marks_told(marks)) if marks else ""


class RowName(msgspec.Struct, frozen=True, kw_only=True):
    """What a row is called by."""

    label: str
    backend: str
    file: str
    """Name of the model's file, without its folder."""

    def __str__(self) -> str:
        return row_label(self.label, self.backend)

    @property
    def names(self) -> tuple[str, ...]:
        """What its model answers to, in small letters."""
        return self.label.casefold(), self.file.casefold(), Path(self.file).stem.casefold()


class UnknownBaseline(Exception):
    """No row is called so, or those of several models are."""

    def __init__(self, wanted: str, matches: Sequence[RowName], rows: Sequence[RowName]) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.matches = tuple(matches)
        """Rows that are called so; empty when none is."""
        self.rows = tuple(rows)
        """All rows there are."""


def charts(comparison: Comparison, baseline: str = "") -> tuple[Chart, ...]:
    """The charts of decode and prefill, each where it was measured. Both take the speed of the same row as 1: of
    those that `baseline` names as `find_baseline` reads it, the slowest one on the CPU, else the slowest; without
    it, the slowest dense model on the CPU, else the slowest row. Raises `UnknownBaseline`."""
    tests = [test for test in (_first_test(comparison, "decode"), _first_test(comparison, "prefill")) if test]
    if not tests:
        return ()
    labels = _labels(comparison)
    measured = {index: result for index, report in enumerate(comparison.reports) if (result := _of(report, tests[0]))}
    names = {index: _name(comparison.reports[index], labels) for index in measured}
    if baseline:
        wanted = find_baseline(baseline, tuple(names.values()))
        candidates = [index for index in measured if names[index] in wanted]
    else:
        candidates = [index for index in measured if not comparison.reports[index].model.is_moe]
    on_cpu = [index for index in candidates if names[index].backend == CPU]
    candidates = on_cpu or (candidates if baseline else list(measured))
    base = min(candidates, key=lambda index: measured[index].avg_ts)
    return tuple(
        _chart(comparison, test, names[base], one, labels)
        for test in tests
        if (one := _of(comparison.reports[base], test))
    )


def row_names(rows: Sequence[tuple[ModelFacts | None, str, str]]) -> tuple[RowName, ...]:
    """The names of rows of facts, path and backend; models that would be called the same by their files."""
    labels = _distinct({path: row_name(facts, path) for facts, path, _ in rows})
    return tuple(RowName(label=labels[path], backend=backend, file=Path(path).name) for _, path, backend in rows)


def find_baseline(wanted: str, rows: Sequence[RowName]) -> tuple[RowName, ...]:
    """The rows of the model that `wanted` names: its name or its file's, or a part of it, and behind an "@" the backend
    or how it begins ("Qwen3-4B@cpu"); small and large letters are the same. "@cpu" alone names all rows of a backend.
    Raises `UnknownBaseline`."""
    name, at, backend = (part.strip().casefold() for part in wanted.rpartition("@"))
    found = [row for row in rows if at and backend and row.backend.casefold().startswith(backend)]
    if not found:
        name, found = wanted.strip().casefold(), list(rows)
    exact = [row for row in found if name in row.names]
    found = exact or [row for row in found if any(name in known for known in row.names)]
    if not found or (name and len({(row.label, row.file) for row in found}) > 1):
        raise UnknownBaseline(wanted, found, rows)
    return tuple(found)


def factor(relative: float) -> str:
    """How many times the baseline: "0.45", "6.2", "118"."""
    if relative >= 1e5:
        return f"{relative:.1e}"
    return f"{relative:.2f}" if relative < 0.995 else f"{relative:.1f}" if relative < 99.95 else f"{relative:.0f}"


def _first_test(comparison: Comparison, what: Literal["decode", "prefill"]) -> Test | None:
    found = (report.decode if what == "decode" else report.prefill for report in comparison.reports)
    return next((result.test for result in found if result), None)


def _of(report: Report, test: Test) -> BenchResult | None:
    """What a report has of a test; another test's figure would not be comparable."""
    return next((result for result in report.results if result.test == test and result.samples_ns), None)


def _chart(comparison: Comparison, test: Test, base: RowName, one: BenchResult, labels: dict[str, str]) -> Chart:
    groups: dict[str, tuple[ModelFacts | None, list[Bar]]] = {}
    for path, facts, bar in _bars(comparison, test, one.avg_ts):
        groups.setdefault(path, (facts, []))[1].append(bar)
    return Chart(
        what="decode" if test.n_gen else "prefill",
        test=test.name,
        baseline=str(base),
        groups=tuple(
            sorted(
                (_group(labels[path], facts, bars) for path, (facts, bars) in groups.items()),
                key=lambda group: (group.n_params == 0, group.n_params, group.label),
            )
        ),
        facts=_facts(comparison, test),
    )


def _group(label: str, facts: ModelFacts | None, bars: Sequence[Bar]) -> BarGroup:
    quant = one_line(facts.quant) if facts and label == one_line(row_name(facts, "")) else ""
    return BarGroup(
        name=label.removesuffix(f" {quant}"),
        quant=quant,
        n_params=facts.n_params if facts else 0,
        n_params_active=facts.n_params_active if facts else 0,
        is_moe=facts is not None and facts.is_moe,
        bars=tuple(sorted(bars, key=lambda bar: (not bar.is_cpu, bar.backend))),
    )


def _bars(comparison: Comparison, test: Test, one_tps: float) -> Iterator[tuple[str, ModelFacts | None, Bar]]:
    """Each with the path and the facts of its model."""
    measured = set()
    for report in comparison.reports:
        if result := _of(report, test):
            backend = format.backend(report.settings.devices)
            measured.add((report.loaded.path, backend))
            bar = Bar(
                backend=backend,
                tps=result.avg_ts,
                deviation_tps=result.stddev_ts,
                n_runs=len(result.samples_ns),
                relative=result.avg_ts / one_tps,
                n_gpu_layers=report.loaded.llama.n_gpu_layers,
                n_layers=report.loaded.llama.n_layers,
                marks=result.all_marks,
            )
            yield report.loaded.path, report.model, bar
    for row in comparison.refused:
        if (row.path, row.backend) not in measured:
            yield row.path, row.model, Bar(backend=row.backend, reason=_short(row.reason, row.path))


def _short(reason: str, path: str) -> str:
    """The first sentence of a reason, less what its row says already and the functions that llama.cpp names."""
    first = one_line(reason.strip().partition("\n")[0]).partition(" · ")[0]
    return _ORIGIN.sub("", first.removeprefix(f"{Path(path).name}: ")).rstrip(".。") or tr("not measured")


def _labels(comparison: Comparison) -> dict[str, str]:
    """What to call each model, by its path."""
    named = {report.loaded.path: row_name(report.model, report.loaded.path) for report in comparison.reports}
    return _distinct(named | {row.path: row_name(row.model, row.path) for row in comparison.refused})


def _distinct(named: dict[str, str]) -> dict[str, str]:
    """One clean line for each path: its file's name where another path has the same."""
    clean = {path: one_line(name) or "?" for path, name in named.items()}
    every = list(clean.values())
    return {path: name if every.count(name) == 1 else one_line(Path(path).name) for path, name in clean.items()}


def _name(report: Report, labels: dict[str, str]) -> RowName:
    path = report.loaded.path
    return RowName(label=labels[path], backend=format.backend(report.settings.devices), file=Path(path).name)


def _facts(comparison: Comparison, test: Test) -> tuple[str, ...]:
    """Machines, devices, programs and the day, as far as they are the same for all or as many as there are."""
    reports = [report for report in comparison.reports if _of(report, test)]
    machines = dict.fromkeys(report.machine.summary for report in reports)
    devices = dict.fromkeys(
        f"{name}: {report.describe(name)}".removesuffix(": ")
        for report in reports
        for name in report.loaded.llama.devices
    )
    threads = sorted(
        {report.loaded.llama.n_threads if test.n_gen else report.loaded.llama.n_threads_batch for report in reports}
    )
    builds = dict.fromkeys(engine_build(report.hello) for report in reports)
    days = sorted({f"{result.test_time:%Y-%m-%d}" for report in reports if (result := _of(report, test))})
    n_runs = max(report.repetitions for report in reports)
    with_what = [
        *builds,
        f"llmtui {__version__}",
        trn("{n} thread", "{n} threads", threads[0])
        if len(threads) == 1
        else tr("{numbers} threads", numbers=listed(*map(str, threads))),
        tr("1 run") if n_runs == 1 else tr("mean ± standard deviation of {n} runs", n=n_runs),
        days[0] if len(days) == 1 else tr("{first} to {last}", first=days[0], last=days[-1]),
    ]
    return tuple(one_line(line) for line in (*machines, *devices, " · ".join(with_what)))
