"""Charts on stdout: as text below the table or alone, as SVG and as PNG. What cannot work is said before anything is
measured, not after."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Sequence
from typing import TextIO

from tui.bench.render import can_encode
from tui.bench.trouble import say
from tui.measure.chart import Chart, RowName, UnknownBaseline, charts, find_baseline
from tui.measure.chart_plot import PlottingMissing, draw, require_matplotlib
from tui.measure.chart_text import SIGNS, Role, Span, chart_lines, text_of
from tui.measure.report import Comparison, Test

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
        raise CannotDraw("--baseline goes with a chart: --output table, chart, svg or png.")
    if output not in PICTURES:
        return
    if not any(bool(test.n_prompt) != bool(test.n_gen) for test in tests):
        raise CannotDraw(
            f"--output {output} draws tests that only read or only write: give -p or -n a number of tokens."
        )
    if output == "png" and stream.isatty():
        raise CannotDraw(
            "a PNG is nothing for a terminal. Send it into a file: llmtui --bench … --output png > chart.png"
        )
    if output != "chart":
        try:
            require_matplotlib()
        except PlottingMissing as error:
            raise CannotDraw(f"--output {output}: {error}") from None


def check_baseline(wanted: str, rows: Sequence[RowName]) -> None:
    """Find out whether `--baseline` names one of the models that are to be measured. Raises `CannotDraw`."""
    try:
        find_baseline(wanted, rows)
    except UnknownBaseline as error:
        if error.matches:
            several = ", ".join(dict.fromkeys(row.label for row in error.matches))
            sentence = f"several models are called so: {several}. Name one of them."
        else:
            sentence = f"nothing that is measured is called so. There are: {', '.join(map(str, error.rows))}."
        raise CannotDraw(f"--baseline {wanted}: {sentence}") from None


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
        reasons = "".join(f"\n{row.path} on {row.backend}: {row.reason}" for row in comparison.refused)
        raise CannotDraw(f"nothing was measured, so there is nothing to draw.{reasons}")
    return PICTURES[output](found, stream)


def _charts(comparison: Comparison, baseline: str) -> tuple[Chart, ...]:
    try:
        return charts(comparison, baseline)
    except UnknownBaseline:
        # It was to be measured, and was refused or interrupted: the others are worth a chart all the same.
        say(f"--baseline {baseline} was not measured; another row is taken for it.")
        return charts(comparison)


def _as_text(found: Sequence[Chart], stream: TextIO) -> str:
    is_plain = not can_encode(SIGNS, stream.encoding)
    has_colours = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    drawn = [chart_lines(chart, _columns(stream), plain_ascii=is_plain) for chart in found]
    return "\n\n".join(text_of(lines, _painted if has_colours else lambda span: span.text) for lines in drawn)


def _columns(stream: TextIO) -> int:
    return shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns if stream.isatty() else PIPE_COLUMNS


def _painted(span: Span) -> str:
    code = _COLOURS.get(span.role)
    return f"\x1b[{code}m{span.text}\x1b[0m" if code and span.text.strip() else span.text


def _chart_alone(found: Sequence[Chart], stream: TextIO) -> str:
    facts = [line for fact in found[0].facts for line in textwrap.wrap(fact, _columns(stream))]
    return "\n".join([_as_text(found, stream), "", *facts])


PICTURES: dict[str, Callable[[Sequence[Chart], TextIO], str | bytes]] = {
    "chart": _chart_alone,
    "svg": lambda found, stream: draw(found, "svg"),
    "png": lambda found, stream: draw(found, "png"),
}
"""By the name that `--output` takes, beside `tui.bench.render.FORMATS`."""
