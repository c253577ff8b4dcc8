"""What changed from one run of a benchmark to another, how sure that is, and what else differs between the two, so that
nobody takes another machine or another setting for a regression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Literal

import msgspec

from tui.config.loadtable import LOAD_ROWS
from tui.measure.report import Report, Test, marks_told
from tui.measure.stats import mean, relative_difference, welch
from tui.protocol.records import poll_of
from tui.words import mark, tr

Record = Mapping[str, object]
"""One test under llama-bench's keys, as `llama-bench -o json` and `llmtui --bench --output json` print it."""
Verdict = Literal["faster", "slower", "no difference seen", "too few runs"]

VERDICTS: dict[Verdict, str] = {
    "faster": mark("faster"),
    "slower": mark("slower"),
    "no difference seen": mark("no difference seen"),
    "too few runs": mark("too few runs"),
}
"""Each in words, for `tr`."""
_MARKED_BEFORE, _MARKED_NOW = mark("{test}: before, {reasons}"), mark("{test}: now, {reasons}")

P_SIGNIFICANT = 0.05
MIN_REPETITIONS = 3
"""Of fewer repetitions a t test says little, whatever its p."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One test of a run."""

    name: str
    samples_ts: tuple[float, ...]
    """Tokens per second of each repetition."""
    marks: tuple[str, ...] = ()


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One model with one set of settings, as far as a comparison needs it; of a report, or of another program's
    records."""

    model_file: str
    """Name of the file, without its folders."""
    model_type: str
    """llama.cpp's description."""
    facts: Mapping[str, str]
    """What the figures depend on, by the name that it is shown under; what is not known is left out."""
    tests: tuple[Measured, ...]

    @classmethod
    def of(cls, report: Report) -> ComparedRun:
        return cls(
            model_file=PurePath(report.loaded.path).name,
            model_type=report.loaded.description,
            facts=_known((fact.name, fact.of_report(report)) for fact in _FACTS),
            tests=tuple(
                Measured(name=result.test.name, samples_ts=result.samples_ts, marks=result.all_marks)
                for result in report.results
            ),
        )


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One test in both runs."""

    test: str
    before_ts: float
    after_ts: float
    """Means, in tokens per second."""
    n_before: int
    n_after: int
    """Repetitions."""
    percent: float
    """How much faster it is now, in percent of before; negative for slower."""
    low: float | None = None
    high: float | None = None
    """Bounds of `percent` with 95% confidence; None where samples cannot tell."""
    p: float | None = None
    """Of Welch's t test; None where samples cannot tell."""
    notes: tuple[str, ...] = ()
    """Why one of the figures is not to be trusted."""

    @property
    def is_significant(self) -> bool:
        """Hardly by chance, and of enough repetitions on both sides."""
        return self._has_enough and self.p is not None and self.p < P_SIGNIFICANT

    @property
    def verdict(self) -> Verdict:
        if not self._has_enough:
            return "too few runs"
        if not self.is_significant:
            return "no difference seen"
        return "faster" if self.percent > 0 else "slower"

    @property
    def _has_enough(self) -> bool:
        return min(self.n_before, self.n_after) >= MIN_REPETITIONS


def compare(before: Report | ComparedRun, after: Report | ComparedRun) -> tuple[Change, ...]:
    """The tests that both have, by name, in the order of `after`."""
    then = {test.name: test for test in _run(before).tests if test.samples_ts}
    return tuple(_change(then[now.name], now) for now in _run(after).tests if now.samples_ts and now.name in then)


def differences(before: Report | ComparedRun, after: Report | ComparedRun) -> tuple[str, ...]:
    """What differs between the two runs apart from their speed: "threads: 8, now 4". What only one of them tells is no
    difference."""
    then, now = _run(before), _run(after)
    told = [(mark("model"), then.model_file, now.model_file)]
    told += [(name, then.facts[name], now.facts[name]) for name in then.facts if name in now.facts]
    apart = ((name, *_apart(old, new)) for name, old, new in told if old != new)
    return tuple(tr("{name}: {old}, now {new}", name=tr(name), old=old, new=new) for name, old, new in apart)


def runs_of(records: Iterable[Record]) -> tuple[ComparedRun, ...]:
    """The runs that a list of records holds: those of the same model and facts are tests of one run. Raises
    `msgspec.ValidationError` for what is no record of llama-bench."""
    runs: dict[tuple[object, ...], ComparedRun] = {}
    for record in records:
        told = msgspec.convert(record, _Told, strict=False)
        facts = _known((fact.name, _text(record.get(fact.key, ""))) for fact in _FACTS if fact.key)
        key = (told.model_filename, told.model_type, *facts.items())
        empty = ComparedRun(
            model_file=PurePath(told.model_filename).name, model_type=told.model_type, facts=facts, tests=()
        )
        run = runs.get(key, empty)
        test = Test(n_prompt=told.n_prompt, n_gen=told.n_gen, n_depth=told.n_depth)
        measured = Measured(name=test.name, samples_ts=told.samples_ts or (told.avg_ts,), marks=told.marks)
        runs[key] = msgspec.structs.replace(run, tests=(*run.tests, measured))
    return tuple(runs.values())


def closest(runs: Iterable[ComparedRun], to: ComparedRun) -> ComparedRun | None:
    """Of the runs of the same model with a test in common, the one that differs in the fewest things; the last of
    several. The same model has the same file name or, under another name, llama.cpp's same description of the same
    size."""
    alike = [run for run in runs if _same_model(run, to) and compare(run, to)]
    return min(
        reversed(alike), key=lambda run: (run.model_file != to.model_file, len(differences(run, to))), default=None
    )


def _same_model(one: ComparedRun, other: ComparedRun) -> bool:
    if one.model_file == other.model_file:
        return True
    return one.model_type == other.model_type and one.facts.get("model size") == other.facts.get("model size")


def _run(run: Report | ComparedRun) -> ComparedRun:
    return ComparedRun.of(run) if isinstance(run, Report) else run


def _change(then: Measured, now: Measured) -> Change:
    before, after = mean(then.samples_ts), mean(now.samples_ts)
    test = welch(then.samples_ts, now.samples_ts)
    bounds = relative_difference(then.samples_ts, now.samples_ts)
    marked = ((_MARKED_BEFORE, then.marks), (_MARKED_NOW, now.marks))
    return Change(
        test=now.name,
        before_ts=before,
        after_ts=after,
        n_before=len(then.samples_ts),
        n_after=len(now.samples_ts),
        percent=100 * (after / before - 1) if before else 0.0,
        low=bounds.low if bounds else None,
        high=bounds.high if bounds else None,
        p=test.p if test else None,
        notes=tuple(tr(text, test=now.name, reasons=marks_told(marks)) for text, marks in marked if marks),
    )


class _Told(msgspec.Struct):
    """What every record must tell; the types are what llama-bench writes, numbers as text included (CSV)."""

    model_filename: str
    model_type: str
    n_prompt: int
    n_gen: int
    avg_ts: float
    n_depth: int = 0
    samples_ts: tuple[float, ...] = ()
    marks: tuple[str, ...] = ()


class _Fact(msgspec.Struct, frozen=True):
    """Something that figures depend on: how it is shown, where a report has it, and llama-bench's key for it, or ours;
    empty where no record tells."""

    name: str
    of_report: Callable[[Report], str]
    key: str


_FACTS = (
    _Fact("CPU", lambda report: report.machine.cpu, "cpu_info"),
    _Fact(mark("cores"), lambda report: str(report.machine.n_cores), "n_cores"),
    _Fact(mark("RAM in bytes"), lambda report: str(report.machine.ram_bytes), "ram_bytes"),
    _Fact(mark("system"), lambda report: report.machine.os, "os"),
    _Fact("GPU", lambda report: report.gpu_info, "gpu_info"),
    _Fact(mark("GPU driver"), lambda report: report.machine.gpu_driver, "gpu_driver"),
    _Fact("llama.cpp", lambda report: report.hello.build_commit, "build_commit"),
    _Fact(mark("build"), lambda report: report.hello.llama_cpp, ""),
    _Fact(LOAD_ROWS["backend"].words, lambda report: report.backend, "backends"),
    _Fact(mark("model type"), lambda report: report.loaded.description, "model_type"),
    _Fact(mark("model size"), lambda report: str(report.loaded.size_bytes), "model_size"),
    _Fact(LOAD_ROWS["n_ctx"].words, lambda report: str(report.loaded.n_ctx), "n_ctx"),
    _Fact(LOAD_ROWS["n_batch"].words, lambda report: str(report.loaded.llama.n_batch), "n_batch"),
    _Fact(LOAD_ROWS["n_ubatch"].words, lambda report: str(report.loaded.llama.n_ubatch), "n_ubatch"),
    _Fact(LOAD_ROWS["n_threads"].words, lambda report: str(report.loaded.llama.n_threads), "n_threads"),
    _Fact(
        LOAD_ROWS["n_threads_batch"].words,
        lambda report: str(report.loaded.llama.n_threads_batch),
        "n_threads_batch",
    ),
    _Fact(LOAD_ROWS["type_k"].words, lambda report: report.loaded.llama.type_k, "type_k"),
    _Fact(LOAD_ROWS["type_v"].words, lambda report: report.loaded.llama.type_v, "type_v"),
    _Fact(LOAD_ROWS["n_gpu_layers"].words, lambda report: str(report.loaded.llama.n_gpu_layers), "n_gpu_layers"),
    _Fact(LOAD_ROWS["n_cpu_moe"].words, lambda report: str(report.settings.n_cpu_moe), "n_cpu_moe"),
    _Fact(LOAD_ROWS["flash_attn"].words, lambda report: str(int(report.loaded.llama.flash_attn)), "flash_attn"),
    _Fact(LOAD_ROWS["swa_full"].words, lambda report: str(int(report.loaded.llama.swa_full)), "swa_full"),
    _Fact(LOAD_ROWS["repack"].words, lambda report: str(int(report.settings.repack != "off")), "repack"),
    _Fact(LOAD_ROWS["split_mode"].words, lambda report: report.settings.split_mode, "split_mode"),
    _Fact(LOAD_ROWS["cpu_range"].words, lambda report: report.settings.cpu_range, "cpu_range"),
    _Fact(LOAD_ROWS["priority"].words, lambda report: report.settings.priority, "priority"),
    _Fact(LOAD_ROWS["poll"].words, lambda report: str(poll_of(report.settings)), "poll"),
    _Fact(LOAD_ROWS["numa"].words, lambda report: report.settings.numa, "numa"),
    _Fact(mark("load mode"), lambda report: report.load_mode, "load_mode"),
)
_UNKNOWN = ("", "-1", "auto", "unknown")
"""What llama-bench writes for settings that llama.cpp chose, without saying what was chosen, and for what it does not
know."""


def _text(value: object) -> str:
    """Truth is a word in JSON and a number in CSV."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _known(facts: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: text for name, text in facts if text not in _UNKNOWN}


def _apart(old: str, new: str) -> tuple[str, str]:
    """Of two lists of features, those that only one of them has."""
    olds, news = old.split(" | "), new.split(" | ")
    only_old, only_new = ([x for x in some if x not in others] for some, others in ((olds, news), (news, olds)))
    return " | ".join(only_old) or tr("without"), " | ".join(only_new) or tr("without")
