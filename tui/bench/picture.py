"""Charts on stdout: as text below the table or alone, as SVG and as PNG. What cannot work is said before anything is
measured, not after."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import TextIO

import msgspec

from tui.base.columns import wrap
from tui.base.format import listed
from tui.base.terminal_style import page, painted, takes_colours
from tui.measure.chart import Chart, RowName, UnknownBaseline, charts, find_baseline
from tui.measure.chart_plot import PlottingMissing, can_draw_chinese, draw, require_matplotlib
from tui.measure.chart_text import SIGNS, Role, Span, chart_lines, text_of
from tui.measure.report import Comparison, RefusedJob, Test, row_label
from tui.shell.encoding import can_encode
from tui.shell.trouble import say
from tui.words import language, speaking_english, tr

PIPE_COLUMNS = 80
"""Where nobody knows how wide the text will be shown."""
_COLOURS: dict[Role, str] = {
    "title": "1", "model": "1", "about": "2", "cpu": "34", "gpu": "33", "reason": "33", "mark": "31",
}  # fmt: skip
"""Of the terminal's own sixteen, so that they suit its background."""


class CannotDraw(Exception):
    """There will be no chart; the message says why and what to do."""


def check(output: str, baseline: str, tests: Sequence[Test], stream: TextIO) -> None:
    """Find out, before anything is measured, whether this output can come of it. Raises `CannotDraw`."""
    if baseline and output != "table" and output not in PICTURES:
        raise CannotDraw(tr("--baseline goes with a chart: --output table, chart, svg or png."))
    if output not in PICTURES:
        return
    if not any(bool(test.n_prompt) != bool(test.n_gen) for test in tests):
        raise CannotDraw(
            tr(
                "{option} draws tests that only read or only write: give -p or -n a number of tokens.",
                option=f"--output {output}",
            )
        )
    if output == "png" and stream.isatty():
        raise CannotDraw(
            tr(
                "a PNG cannot be shown in a terminal. Write it to a file: {command}",
                command="llmtui --bench … --output png > chart.png",
            )
        )
    if output != "chart":
        try:
            require_matplotlib()
        except PlottingMissing as error:
            raise CannotDraw(tr("{option}: {reason}", option=f"--output {output}", reason=error)) from None


def check_baseline(wanted: str, rows: Sequence[RowName]) -> None:
    """Find out whether `--baseline` names one of the models that are to be measured. Raises `CannotDraw`."""
    try:
        find_baseline(wanted, rows)
    except UnknownBaseline as error:
        if error.matches:
            sentence = tr(
                "{option}: several models have that name: {models}. Name one of them.",
                option=f"--baseline {wanted}",
                models=listed(*dict.fromkeys(row.label for row in error.matches)),
            )
        else:
            sentence = tr(
                "{option}: nothing that is measured has that name. There are: {models}.",
                option=f"--baseline {wanted}",
                models=listed(*map(str, error.rows)),
            )
        raise CannotDraw(sentence) from None


def below_table(comparison: Comparison, baseline: str, stream: TextIO) -> str:
    """The chart of decode, or of prefill alone, where there are at least two rows to compare; else nothing."""
    if len(comparison.reports) < 2:
        return ""
    found = _charts(comparison, baseline)
    return f"\n{_as_text(found[:1], stream)}" if found else ""


def picture(output: str, comparison: Comparison, baseline: str, stream: TextIO) -> str | bytes:
    """The charts in one of `PICTURES`. Raises `CannotDraw` when nothing was measured."""
    found = _charts(comparison, baseline)
    if not found:
        what = tr("nothing was measured, so there is nothing to draw.")
        raise CannotDraw("\n".join([what, *map(_refusal, comparison.refused)]))
    if output == "chart" or language() == "en" or can_draw_chinese():
        return PICTURES[output](found, stream)
    say(tr("this machine has no font for Chinese, so the picture is in English."))
    with speaking_english():
        return PICTURES[output](_charts(_without_reasons(comparison), baseline), stream)


def _refusal(row: RefusedJob) -> str:
    return tr("{model}: {reason}", model=row_label(row.path, row.backend), reason=row.reason)


def _without_reasons(comparison: Comparison) -> Comparison:
    """Reasons are worded already: in another language than the picture."""
    refused = tuple(msgspec.structs.replace(row, reason="") for row in comparison.refused)
    return msgspec.structs.replace(comparison, refused=refused)


def _charts(comparison: Comparison, baseline: str) -> tuple[Chart, ...]:
    try:
        return charts(comparison, baseline)
    except UnknownBaseline:
        # It was to be measured, and was refused or interrupted: the others are worth a chart all the same.
        say(tr("{option} was not measured; another row is used instead.", option=f"--baseline {baseline}"))
        return charts(comparison)


def _as_text(found: Sequence[Chart], stream: TextIO) -> str:
    is_plain = not can_encode(SIGNS, stream.encoding)
    has_colours = takes_colours(stream)
    drawn = [chart_lines(chart, _columns(stream), plain_ascii=is_plain) for chart in found]
    return "\n\n".join(text_of(lines, _painted if has_colours else lambda span: span.text) for lines in drawn)


def _columns(stream: TextIO) -> int:
    return shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns if stream.isatty() else PIPE_COLUMNS


def _painted(span: Span) -> str:
    return painted(span.text, _COLOURS.get(span.role, ""))


def _chart_alone(found: Sequence[Chart], stream: TextIO) -> str:
    facts = [line for fact in found[0].facts for line in wrap(fact, _columns(stream))]
    return "\n".join([_as_text(found, stream), "", page(facts)])


PICTURES: dict[str, Callable[[Sequence[Chart], TextIO], str | bytes]] = {
    "chart": _chart_alone,
    "svg": lambda found, stream: draw(found, "svg"),
    "png": lambda found, stream: draw(found, "png"),
}
"""By the name that `--output` takes, beside `tui.bench.render.FORMATS`."""
