"""A chart as lines of text, for the command line and the app's bench screen alike: bars of block characters and the
figures beside them, at any width from 40 columns. Colours are left to whoever shows it; nothing depends on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tui.base import format
from tui.base.text import cells, fit_columns
from tui.measure.chart import Bar, BarGroup, Chart, factor
from tui.words import mark, tr

MIN_COLUMNS, MAX_COLUMNS = 40, 200
_TITLES = {"decode": mark("Decode {test} in tok/s"), "prefill": mark("Prefill {test} in tok/s")}

Role = Literal["title", "model", "about", "backend", "cpu", "gpu", "figures", "reason", "mark", "plain"]
"""What a piece of text is, for colours: "cpu" and "gpu" are bars."""

SIGNS = "▏▎▍▌▋▊▉█▒±·…"
"""What a stream must be able to encode, or `plain_ascii` is for it."""


class Span(msgspec.Struct, frozen=True):
    """A piece of a line."""

    text: str
    role: Role


Line = tuple[Span, ...]


class _Style(msgspec.Struct, frozen=True, kw_only=True):
    """The characters that bars and figures are made of."""

    full: str = "█"
    parts: str = "▏▎▍▌▋▊▉"
    """Of a cell, from one eighth to seven; empty draws whole cells only."""
    moe: str = "▒"
    plus_minus: str = "±"
    dot: str = "·"
    ellipsis: str = "…"


_BLOCKS = _Style()
_ASCII = _Style(full="#", parts="", moe="=", plus_minus="+-", dot="-", ellipsis="...")


def chart_lines(chart: Chart, columns: int, *, plain_ascii: bool = False) -> tuple[Line, ...]:
    """The chart in at most `columns` terminal cells, taken as `MIN_COLUMNS` to `MAX_COLUMNS`. With `plain_ascii`, only
    the names of models may hold other characters."""
    return _Drawing(chart, min(max(columns, MIN_COLUMNS), MAX_COLUMNS), _ASCII if plain_ascii else _BLOCKS).lines()


def text_of(lines: Sequence[Line], paint: Callable[[Span], str] = lambda span: span.text) -> str:
    """Lines as one text, every piece as `paint` gives it."""
    return "\n".join("".join(map(paint, line)).rstrip() for line in lines)


class _Drawing:
    """One chart at one width."""

    def __init__(self, chart: Chart, columns: int, style: _Style) -> None:
        self._chart, self._columns, self._style = chart, columns, style
        labels = max(cells(bar.label) for bar in chart.bars)
        self._label_width = min(labels, columns // 3)
        self._figures = self._fullest_figures()
        self._bar_width = self._room_beside(self._figures)

    def lines(self) -> tuple[Line, ...]:
        found = self._title()
        is_grouped = any(len(group.bars) > 1 for group in self._chart.groups)
        for group in self._chart.groups:
            gap: list[Line] = [()] if is_grouped or group is self._chart.groups[0] else []
            found += [*gap, self._heading(group), *(self._bar(bar, is_moe=group.is_moe) for bar in group.bars)]
        return (*found, *self._legend())

    def _title(self) -> list[Line]:
        what = tr(_TITLES[self._chart.what], test=self._chart.test)
        behind = tr(", x1.0 is {baseline}", baseline=self._chart.baseline)
        if cells(what) + cells(behind) <= self._columns:
            return [(Span(what, "title"), Span(behind, "about"))]
        below = tr("x1.0 is {baseline}", baseline=self._chart.baseline)
        return [(Span(what, "title"),), (Span(self._fit(below, self._columns), "about"),)]

    def _heading(self, group: BarGroup) -> Line:
        about = [format.n_params(group.n_params, group.n_params_active)] if group.n_params else []
        about += ["MoE"] if group.is_moe else []
        said = "".join(f" {self._style.dot} {part}" for part in about)
        return Span(self._fit(group.label, self._columns - cells(said)), "model"), Span(said, "about")

    def _bar(self, bar: Bar, *, is_moe: bool) -> Line:
        label = self._fit(bar.label, self._label_width)
        label = f"  {label}{' ' * (self._label_width - cells(label))} "
        if bar.reason:
            return Span(label, "backend"), Span(self._fit(bar.reason, self._columns - cells(label)), "reason")
        drawn = self._blocks(bar.relative / self._chart.longest, is_moe=is_moe)
        figures = self._figures[bar]
        return (
            Span(label, "backend"),
            Span(drawn, "cpu" if bar.is_cpu else "gpu"),
            Span(" " * (self._bar_width - len(drawn) + 1), "plain"),
            Span(figures, "figures"),
            *([Span(" !", "mark")] if bar.marks else []),
        )

    def _blocks(self, fraction: float, *, is_moe: bool) -> str:
        """A bar of at least its smallest piece. The shade that tells a mixture of experts has no parts of a cell."""
        style = self._style
        if is_moe or not style.parts:
            return (style.moe if is_moe else style.full) * max(1, round(fraction * self._bar_width))
        whole, eighths = divmod(max(1, round(fraction * self._bar_width * 8)), 8)
        return style.full * whole + (style.parts[eighths - 1] if eighths else "")

    def _legend(self) -> list[Line]:
        chart, style = self._chart, self._style
        found: list[Line] = []
        if chart.has_moe:
            legend = tr("{full} dense  {moe} MoE: mixture of experts", full=style.full, moe=style.moe)
            found.append((Span(legend, "about"),))
        if chart.doubt:
            found.append((Span(self._fit(chart.doubt, self._columns), "mark"),))
        return [(), *found] if found else []

    # The figures at the right: as much of them as leaves the bars two fifths of the line ------------------------------

    def _fullest_figures(self) -> dict[Bar, str]:
        choices = [
            self._aligned(with_deviation=True, with_unit=True),
            self._aligned(with_deviation=False, with_unit=True),
            self._aligned(with_deviation=False, with_unit=False),
        ]
        least = self._columns * 2 // 5
        return next((figures for figures in choices if self._room_beside(figures) >= least), choices[-1])

    def _aligned(self, *, with_deviation: bool, with_unit: bool) -> dict[Bar, str]:
        """The figures of each bar that has any, all equally wide."""
        measured = [bar for bar in self._chart.bars if not bar.reason]
        digits = self._chart.digits
        rows = [
            (
                format.full_speed(bar.tps, digits),
                format.full_speed(bar.deviation_tps, digits) if with_deviation and bar.n_runs > 1 else "",
                f"x{factor(bar.relative)}",
            )
            for bar in measured
        ]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        sign, unit = self._style.plus_minus, " tok/s" if with_unit else ""
        found = {}
        for bar, (tps, spread, times) in zip(measured, rows, strict=True):
            either = f" {sign if spread else ' ' * len(sign)} {spread:>{wide[1]}}" if wide[1] else ""
            found[bar] = f"{tps:>{wide[0]}}{either}{unit}  {times:>{wide[2]}}"
        return found

    def _room_beside(self, figures: dict[Bar, str]) -> int:
        """Cells that are left for the bars."""
        mark = 2 if self._chart.doubt else 0
        return max(1, self._columns - (2 + self._label_width + 1) - 1 - len(next(iter(figures.values()))) - mark)

    def _fit(self, line: str, columns: int) -> str:
        return fit_columns(line, columns, self._style.ellipsis)
