"""The sidebar: panels of live figures in a fixed place, for terminals of 100 columns and more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tui.app.markdown.text import width_of
from tui.app.widgets.braille import braille_graph
from tui.app.widgets.lines import Row, right, shorten, spread
from tui.app.widgets.readings import (
    NOT_AVAILABLE,
    Readings,
    bar,
    gib,
    gib_of,
    level,
    percent,
    share,
    tokens_per_second,
)
from tui.base import format
from tui.base.text import one_line
from tui.machine.readings import GpuSample, NpuSample
from tui.words import tr, trc

_GROWING_SWAP_BYTES = 1 << 20
"""Swap that grows by more than this between two readings is being written to: the machine is out of memory."""

# What a row is worth when the sidebar is too low for all of them: the highest go first, all of one worth together.
_NEEDED, _DETAIL, _BLANK, _EXTRA, _SPARE = range(5)


class Sidebar(Readings):
    """Speed, context, memory, GPUs and CPU. The number of rows depends on the number of GPUs alone."""

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
        panels = [self._speed(width), self._context_meter(width), self._ram(width)]
        panels += [_gpu(gpu, width) for gpu in self.figures.gpus] or [
            iter([(_NEEDED, _titled("GPU", tr(NOT_AVAILABLE), width))])
        ]
        panels.append(self._cpu(width))
        rows: list[tuple[int, Row]] = []
        for panel in panels:
            if rows:
                rows.append((_BLANK, ()))
            rows += panel
        if self.figures.npus:
            rows += [(_SPARE, ()), (_SPARE, _npus(self.figures.npus, width))]
        for worth in (_SPARE, _EXTRA, _BLANK, _DETAIL):
            if len(rows) > height:
                rows = [row for row in rows if row[0] != worth]
        return [row for _, row in rows]

    def _speed(self, width: int) -> Iterator[tuple[int, Row]]:
        now = self.figures.speed
        figure = (tokens_per_second(now.decode_tps), "strong" if now.is_decoding else "muted")
        yield _NEEDED, spread(((tr("SPEED"), "title"),), (figure,), width)
        upper, lower = braille_graph(now.history, width, 2)
        yield _EXTRA, ((upper, "muted"),)
        yield _NEEDED, ((lower, "muted"),)
        if now.prefill is not None:
            yield _NEEDED, _prefill_row(now.prefill.done, now.prefill.total, now.prefill.eta_s, width)
        else:
            ttft = "–" if now.ttft_s is None else _duration(now.ttft_s)
            left = ((tr("prefill") + " ", "muted"), (tokens_per_second(now.prefill_tps), ""))
            # A word of five cells: the row is full.
            yield _NEEDED, spread(left, ((trc("sidebar", "ttft") + " ", "muted"), (ttft, "")), width)

    def _context_meter(self, width: int) -> Iterator[tuple[int, Row]]:
        n_used, n_ctx = self.figures.context
        figure = f"{n_used:,} / {n_ctx:,}" if n_ctx else tr(NOT_AVAILABLE)
        yield _NEEDED, _titled(tr("CONTEXT"), figure, width)
        yield _NEEDED, _meter(share(n_used, n_ctx), width)

    def _ram(self, width: int) -> Iterator[tuple[int, Row]]:
        host = self.figures.host
        used, total = (host.ram_used_bytes, host.ram_total_bytes) if host else (None, None)
        engine = host.engine_rss_bytes if host else None
        yield _NEEDED, _titled("RAM", gib_of(used, total), width)
        yield _NEEDED, _meter(share(used, total), width)
        yield _DETAIL, _labelled(tr("engine"), tr(NOT_AVAILABLE) if engine is None else f"{gib(engine)} GiB", width)

    def _cpu(self, width: int) -> Iterator[tuple[int, Row]]:
        host = self.figures.host
        busy = host.cpu_percent if host else None
        heat = host.cpu_temperature_c if host else None
        figures = "" if heat is None else f"{heat:.0f} °C  "
        yield _NEEDED, _titled("CPU", figures + percent(share(busy, 100)), width)
        if host is None or host.swap_total_bytes is None:
            yield _DETAIL, _labelled(tr("swap"), tr(NOT_AVAILABLE), width)
        else:
            grows = (host.swap_delta_bytes or 0) > _GROWING_SWAP_BYTES
            text = gib_of(host.swap_used_bytes, host.swap_total_bytes)
            yield _DETAIL, _labelled(tr("swap"), text, width, "tight" if grows else "")


def _gpu(gpu: GpuSample, width: int) -> Iterator[tuple[int, Row]]:
    busy = "" if gpu.busy_percent is None else percent(gpu.busy_percent / 100)
    name = shorten(one_line(gpu.name), width - len("GPU ") - 6)
    yield _NEEDED, spread((("GPU ", "title"), (name, "muted")), ((busy, "strong"),), width)
    yield _NEEDED, _labelled(tr("dedicated"), gib_of(gpu.dedicated_used_bytes, gpu.dedicated_total_bytes), width)
    yield _NEEDED, _meter(share(gpu.dedicated_used_bytes, gpu.dedicated_total_bytes), width)
    if gpu.kind == "igpu" or gpu.shared_total_bytes is not None:
        yield _NEEDED, _labelled(tr("shared"), gib_of(gpu.shared_used_bytes, gpu.shared_total_bytes), width)
        yield _DETAIL, _meter(share(gpu.shared_used_bytes, gpu.shared_total_bytes), width)
    heat = tr(NOT_AVAILABLE) if gpu.temperature_c is None else f"{gpu.temperature_c:.0f} °C"
    power = tr(NOT_AVAILABLE) if gpu.power_w is None else f"{gpu.power_w:.0f} W"
    yield (
        _DETAIL,
        spread(((tr("temp") + " ", "muted"), (heat, "")), ((tr("power") + " ", "muted"), (right(power, 5), "")), width),
    )


def _npus(npus: Sequence[NpuSample], width: int) -> Row:
    """That there is one, and whether it is any use: by the name of its chip, which is what people know it by."""
    first = one_line(npus[0].name)
    title = "NPU " if "NPU" in first else "ACCEL "
    chip = first.partition("(")[2].rstrip(")") or first.replace(" NPU", "")
    use = tr("usable") if any(npu.is_usable for npu in npus) else tr("not usable")
    chips = chip if len(npus) == 1 else tr("{n} of them", n=len(npus))
    name = shorten(chips, width - len(title) - width_of(use) - 1)
    return spread(((title, "title"), (name, "muted")), ((use, "muted"),), width)


def _titled(title: str, figure: str, width: int) -> Row:
    return spread(((title, "title"),), ((figure, ""),), width)


def _labelled(label: str, figure: str, width: int, style: str = "") -> Row:
    return spread(((label, "muted"),), ((figure, style),), width)


def _meter(part: float | None, width: int) -> Row:
    filled, empty = bar(part, width - 5)
    style = level(part)
    return (filled, style), (empty, "faint"), (f" {percent(part)}", "muted" if style == "good" else style)


def _prefill_row(done: int, total: int, eta_s: float, width: int) -> Row:
    part = share(done, total) or 0.0
    eta = tr("{time} left", time=format.about(eta_s)) if eta_s >= 1 else ""
    label = tr("prefill") + " "
    filled, empty = bar(part, width - width_of(label) - 17)
    return (label, "muted"), (filled, ""), (empty, "faint"), (f" {percent(part)}{right(eta, 12)}", "")


def _duration(value: float) -> str:
    """As `format.duration`, but in six cells, or seven in Chinese."""
    return format.duration(value) if value < 99.95 else format.about(value)
