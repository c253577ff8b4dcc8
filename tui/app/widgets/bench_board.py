"""What a benchmark shows while it runs and when it is done: progress, a row for each model and backend, the chart, and
earlier runs. Gets records, decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from tui.app.widgets.board import Board, cut, progress, wrapped
from tui.app.widgets.lines import Row, shorten
from tui.app.widgets.readings import bar
from tui.app.widgets.row_list import column
from tui.base import format
from tui.measure import forecast_words, roofline
from tui.measure.chart import charts
from tui.measure.chart_text import Role, chart_lines
from tui.measure.history import Kept
from tui.measure.report import Comparison, Report, marks_told, row_name
from tui.measure.stats import mean
from tui.words import tr, trc

_STYLES: Mapping[Role, str] = {
    "title": "title", "model": "strong", "about": "muted", "cpu": "key", "gpu": "good", "reason": "tight",
    "mark": "full",
}  # fmt: skip
_FIGURE = 9
_SIGNS = {"waiting": ("·", "muted"), "running": ("▸", "key"), "done": ("✓", "good"), "failed": ("✗", "full")}


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one backend, while a benchmark runs."""

    name: str
    on: str
    """Devices, or "CPU"."""
    state: Literal["waiting", "running", "done", "failed"]
    report: Report | None = None
    """What is measured so far."""
    fraction: float = 0.0
    """Of its load or of its runs, while it is running."""
    doing: str = ""
    """What of it is running."""


class BenchState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown."""

    plan: str = ""
    """What is, or will be, measured."""
    about: tuple[str, ...] = ()
    """What that means, for as long as nothing was measured."""
    doing: str = ""
    """What is measured now; empty when nothing is."""
    fraction: float = 0.0
    jobs: tuple[JobRow, ...] = ()
    """All that is measured, while it is; then the reports of `comparison` are shown alone."""
    comparison: Comparison = Comparison()
    notes: Mapping[int, str] = {}
    """For a row, how it compares with the run before."""
    trouble: tuple[str, ...] = ()
    earlier: tuple[Kept, ...] | None = None
    """When the earlier runs are looked at, in place of the rest."""


class BenchBoard(Board[BenchState]):
    """What is measured and how far it is stays on top; what was found, or the earlier runs, can be moved."""

    def __init__(self) -> None:
        super().__init__(BenchState())

    def top_rows(self, width: int) -> Iterator[Row]:
        """Plan and progress."""
        state = self.state
        yield ((cut(state.plan, width), "title"),)
        told = f" {100 * state.fraction:3.0f}%  {state.doing}"
        yield progress(state.fraction, told, width) if state.doing else ()

    def rows_below(self, width: int) -> Iterator[Row]:
        """Earlier runs while these are looked at, else what was found."""
        earlier = self.state.earlier
        return _earlier(earlier, width) if earlier is not None else self._found(width)

    def _found(self, width: int) -> Iterator[Row]:
        state = self.state
        reports = state.comparison.reports
        if not (reports or state.jobs or state.trouble or state.doing):
            for line in state.about:
                yield from wrapped(line, width, "")
        if state.jobs:
            yield from _table(state.jobs, {}, width)
        elif reports:
            yield from _table([_measured(report) for report in reports], state.notes, width)
        for line in state.trouble:
            yield from wrapped(line, width, "full")
        if any(report.results for report in reports):
            for chart in charts(state.comparison)[:1]:
                yield ()
                for spans in chart_lines(chart, max(40, width)):
                    yield tuple((span.text, _STYLES.get(span.role, "")) for span in spans)


def _measured(report: Report) -> JobRow:
    name, on = row_name(report.model, report.loaded.path), format.backend(report.loaded.llama.devices)
    return JobRow(name=name, on=on, state="done", report=report)


def _table(jobs: Sequence[JobRow], notes: Mapping[int, str], width: int) -> Iterator[Row]:
    """Two lines a row where there is something to say beside the figures, or it is running."""
    n_sign = 0 if all(job.state == "done" for job in jobs) else 2
    n_name = max(8, min(36, width - n_sign - 3 * _FIGURE))
    titles = "".join(column(title, _FIGURE, right=True) for title in (trc("column", "on"), "pp t/s", "tg t/s"))
    yield ((column("", n_sign + n_name) + titles, "muted"),)
    for number, job in enumerate(jobs):
        sign, style = _SIGNS[job.state]
        name = (column(job.name, n_name), "muted" if job.state == "waiting" else "strong")
        yield ((column(sign, n_sign), style), name, (column(job.on, _FIGURE, right=True), ""), *_figures(job))
        if job.state == "running":
            filled, rest = bar(job.fraction, min(20, width // 3))
            indent = " " * n_sign
            yield ((indent, ""), (filled, "key"), (rest, "faint"), (f"  {cut(job.doing, width // 2)}", "muted"))
        elif job.report is not None:
            for text in _said(job.report, notes.get(number, "")):
                yield ((cut(f"{' ' * n_sign}  {text}", width), "muted"),)


def _figures(job: JobRow) -> Row:
    """The speeds, or why there are none."""
    report = job.report
    if job.state == "failed":
        return ((column(tr("failed"), 2 * _FIGURE, right=True), "full"),)
    if report is None or not report.results:
        told = tr("waiting") if job.state == "waiting" else ""
        return ((column(told, 2 * _FIGURE, right=True), "muted"),)
    figures = (format.full_speed(one.avg_ts) if one else "" for one in (report.prefill, report.decode))
    return (("".join(column(text, _FIGURE, right=True) for text in figures), ""),)


def _said(report: Report, note: str) -> Iterator[str]:
    if report.end_to_end:
        ttft_s, tps = (mean([getattr(run, name) for run in report.end_to_end]) for name in ("ttft_s", "decode_tps"))
        yield tr(
            "end to end, through the app: first token after {time}, {speed} tok/s",
            time=format.duration(ttft_s),
            speed=format.full_speed(tps),
        )
    if report.roofline and report.decode:
        yield roofline.sentence(report)
    yield from forecast_words.after(report)
    if note:
        yield note
    for result in report.results:
        if result.all_marks:
            yield tr("{test} is not reliable: {reasons}", test=result.test.name, reasons=marks_told(result.all_marks))
    yield from map(str, report.warnings)


def _earlier(runs: Sequence[Kept], width: int) -> Iterator[Row]:
    if not runs:
        yield ((tr("No benchmarks yet."), "muted"),)
        return
    n_name = max(10, width - 44)
    titles = (
        column(tr("id"), 5, right=True) + "  " + column(tr("date (UTC)"), 17) + column(tr("model"), n_name),
        column(trc("column", "on"), _FIGURE, right=True) + column("tg t/s", _FIGURE, right=True),
    )
    yield (("".join(titles), "muted"),)
    for run in runs:
        figures = column(shorten(run.backend, 8), _FIGURE, right=True)
        figures += column(format.full_speed(run.tg_ts) if run.tg_ts else "", _FIGURE, right=True)
        name = column(f"{run.model_name} {run.quant}", n_name)
        yield ((f"{run.id:>5}  {run.time:%Y-%m-%d %H:%M} {name}{figures}", ""),)
