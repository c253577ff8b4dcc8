"""The sidebar: panels of live figures in a fixed place, for terminals of 100 columns and more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tui.app.markdown.text import width_of
from tui.app.widgets import figure_rows as rows
from tui.app.widgets.braille import braille_graph
from tui.app.widgets.lines import Row, right, shorten, spread
from tui.app.widgets.readings import Figures, Readings, bar, percent, share, tokens_per_second
from tui.base import format
from tui.base.text import one_line
from tui.machine.readings import GpuSample
from tui.protocol.messages import Prefill
from tui.session.speed import SpeedNow
from tui.words import tr, trc

# What a row is worth when the sidebar is too low for all of them: the highest go first, all of one worth together.
_NEEDED, _DETAIL, _BLANK, _EXTRA, _SPARE = range(5)
Panel = Iterator[tuple[int, Row]]


class Sidebar(Readings):
    """Speed, context, the model, memory, GPUs and CPU. A figure that is not known has no row."""

    DEFAULT_CSS = """
    Sidebar {
        width: 34;
        height: 1fr;
        padding: 0 1;
        border-left: solid $border-blurred;
        background: $background;
    }
    """

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The panels from top to bottom, without those rows that a low sidebar has no room for."""
        shown: list[tuple[int, Row]] = []
        for panel in _panels(self.figures, width):
            found = list(panel)
            if shown and found:
                shown.append((max(_BLANK, min(worth for worth, _ in found)), ()))  # it goes with its panel
            shown += found
        for worth in (_SPARE, _EXTRA, _BLANK, _DETAIL):
            if len(shown) > height:
                shown = [row for row in shown if row[0] != worth]
        return [row for _, row in shown]


def _panels(figures: Figures, width: int) -> Iterator[Panel]:
    """From top to bottom."""
    yield _speed(figures.speed, width)
    yield _context(figures, width)
    yield _worth(_EXTRA, rows.model_table(figures.placed, width))
    yield _ram(figures, width)
    for gpu in figures.gpus:
        yield _gpu(gpu, width)
    yield _cpu(figures, width)
    yield _worth(_SPARE, rows.npus_row(figures.npus, width))


def _worth(worth: int, found: Iterable[Row]) -> Panel:
    return ((worth, row) for row in found)


def _speed(now: SpeedNow, width: int) -> Panel:
    figure = (tokens_per_second(now.decode_tps), "strong" if now.is_decoding else "muted")
    yield _NEEDED, spread(((tr("SPEED"), "title"),), (figure,), width)
    upper, lower = braille_graph(now.history, width, 2)
    style = "key" if now.is_decoding else "muted"
    yield _EXTRA, ((upper, style),)
    yield _NEEDED, ((lower, style),)
    if now.answer is not None:
        yield from _worth(_EXTRA, rows.spread_row(now.answer, width))
        yield from _worth(_DETAIL, rows.answer_row(now.answer, width))
    if now.prefill is not None:
        yield _NEEDED, _prefill(now.prefill, width)
    elif now.prefill_tps or now.ttft_s is not None:
        ttft = "–" if now.ttft_s is None else rows.short_duration(now.ttft_s)
        left = ((tr("prefill") + " ", "muted"), (tokens_per_second(now.prefill_tps), ""))
        # A word of five cells: the row is full.
        yield _NEEDED, spread(left, ((trc("sidebar", "ttft") + " ", "muted"), (ttft, "")), width)


def _prefill(now: Prefill, width: int) -> Row:
    part = share(now.done, now.total) or 0.0
    eta = tr("{time} left", time=format.about(now.eta_s)) if now.eta_s >= 1 else ""
    label = tr("prefill") + " "
    filled, empty = bar(part, width - width_of(label) - 17)
    return (label, "muted"), (filled, "key"), (empty, "faint"), (f" {percent(part)}{right(eta, 12)}", "")


def _context(figures: Figures, width: int) -> Panel:
    n_used, n_ctx = figures.context
    if not n_ctx:
        return
    yield _NEEDED, rows.titled(tr("CONTEXT"), f"{n_used:,} / {n_ctx:,}", width)
    yield _NEEDED, rows.meter(share(n_used, n_ctx), width)
    yield from _worth(_EXTRA, rows.context_parts(figures, width))


def _ram(figures: Figures, width: int) -> Panel:
    host = figures.host
    if host is None:
        return
    yield from _worth(_NEEDED, rows.memory("RAM", host.ram_used_bytes, host.ram_total_bytes, width, is_title=True))
    yield from _worth(_DETAIL, rows.engine_row(host, width))
    yield from _worth(_DETAIL, rows.swap_row(host, width))
    yield from _worth(_DETAIL, rows.of_panel("RAM", host, width))


def _gpu(gpu: GpuSample, width: int) -> Panel:
    busy = "" if gpu.busy_percent is None else percent(gpu.busy_percent / 100)
    name = shorten(one_line(gpu.name), width - len("GPU ") - 6)
    yield _NEEDED, spread((("GPU ", "title"), (name, "muted")), ((busy, "strong"),), width)
    yield from _worth(_NEEDED, rows.memory(tr("dedicated"), gpu.dedicated_used_bytes, gpu.dedicated_total_bytes, width))
    shared = rows.memory(tr("shared"), gpu.shared_used_bytes, gpu.shared_total_bytes, width)
    yield from zip((_NEEDED, _DETAIL), shared, strict=False)
    yield from _worth(_DETAIL, rows.sensors_row(gpu, width))
    yield from _worth(_NEEDED, rows.throttling_row(gpu, width))


def _cpu(figures: Figures, width: int) -> Panel:
    host = figures.host
    if host is None or host.cpu_percent is None:
        return
    found = [] if host.cpu_temperature_c is None else [f"{host.cpu_temperature_c:.0f} °C"]
    if host.cpu_power_w is not None:
        found.append(f"{host.cpu_power_w:.0f} W")
    yield _NEEDED, rows.titled("CPU", "  ".join([*found, percent(share(host.cpu_percent, 100))]), width)
    yield from _worth(_DETAIL, rows.cores_row(host.core_percents, width))
    yield from _worth(_DETAIL, rows.of_panel("CPU", host, width))
