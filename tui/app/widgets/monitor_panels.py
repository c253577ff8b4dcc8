"""What the full-screen monitor shows: panels of a title, a graph of the last minutes, and rows of figures. Of what a
machine does not tell there is no panel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from tui.app.markdown.beginning import beginning
from tui.app.widgets import figure_rows as rows
from tui.app.widgets.lines import Row, right, shorten, spread
from tui.app.widgets.readings import Figures, gib, gib_of, level, percent, share, tokens_per_second
from tui.app.widgets.row_list import column
from tui.base import format
from tui.base.text import one_line
from tui.chat.conversation import Turn
from tui.machine.readings import GpuSample, HostSample
from tui.measure.report import Roofline
from tui.session.machine_history import Reading, joules_per_token
from tui.words import tr, trc

MOST_ANSWERS = 8
_WHERE, _FIGURE = 12, 8


class Graph(msgspec.Struct, frozen=True):
    """One figure over the last minutes."""

    value: Callable[[Reading], float | None]
    maximum: float | None = None
    """What fills it; None for the largest value that it shows."""
    style: str = "key"


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """A title with its figure, and what is below it."""

    title: Row
    figure: Row = ()
    graph: Graph | None = None
    rows: tuple[Row, ...] = ()
    least_rows: int = 0
    """With fewer of them it says nothing."""
    worth: int
    """Those of the highest go first where there is no room for all."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor shows beside the figures of this moment."""

    readings: Sequence[Reading] = ()
    """The last minutes, oldest first."""
    answers: tuple[Turn, ...] = ()
    """The last answers of the loaded model in the open conversation, the newest first; `MOST_ANSWERS` at most."""
    model: str = ""
    """Name of the loaded model; empty for none."""
    roofline: Roofline | None = None
    """How fast memory would allow the loaded model to be; None where its bandwidth was never measured."""


def engine_panels(now: Figures, past: Past, width: int) -> Iterator[Panel]:
    """The model and its answers; nothing without a model."""
    if not now.context[1]:
        return
    speed, answer = now.speed, now.speed.answer
    yield Panel(
        title=((tr("DECODE"), "title"),),
        figure=((tokens_per_second(speed.decode_tps), "strong" if speed.is_decoding else ""),),
        graph=Graph(lambda reading: reading.decode_tps),
        rows=() if answer is None else (*rows.spread_row(answer, width), *rows.answer_row(answer, width)),
        worth=0,
    )
    ttft: tuple[Row, ...] = ()
    if speed.ttft_s is not None:
        ttft = (rows.labelled(trc("sidebar", "ttft"), rows.short_duration(speed.ttft_s), width),)
    yield Panel(
        title=((tr("PREFILL"), "title"),),
        figure=((tokens_per_second(speed.prefill_tps), "strong" if speed.prefill else ""),),
        graph=Graph(lambda reading: reading.prefill_tps),
        rows=ttft,
        worth=3,
    )
    if top := past.roofline:
        reached = share(speed.decode_tps, top.tps)
        yield Panel(
            title=((tr("ROOFLINE"), "title"),),
            figure=((tr("{tps} tok/s that memory allows", tps=format.speed(top.tps)), ""),),
            rows=(rows.meter_of(reached, "key", width),) if speed.decode_tps else (),
            least_rows=1,
            worth=4,
        )
    n_used, n_ctx = now.context
    yield Panel(
        title=((tr("CONTEXT"), "title"),),
        figure=((f"{n_used:,} / {n_ctx:,}", ""),),
        rows=(
            rows.meter(share(n_used, n_ctx), width),
            *rows.context_parts(now, width),
            *rows.model_table(now.placed, width),
        ),
        least_rows=1,
        worth=2,
    )
    if past.answers:
        yield Panel(
            title=((tr("LAST ANSWERS"), "title"),), rows=tuple(_answers(past.answers, width)), least_rows=2, worth=5
        )


def machine_panels(now: Figures, past: Past, width: int) -> Iterator[Panel]:
    """The machine, whatever runs on it."""
    if now.host is not None:
        yield from _cpu(now.host, width)
        yield from _ram(now.host, width)
    for index, gpu in enumerate(now.gpus):
        yield _gpu(index, gpu, width)
    yield from _power(past.readings, width)
    if found := tuple(rows.npus_row(now.npus, width)):
        yield Panel(title=found[0], worth=7)


def _cpu(host: HostSample, width: int) -> Iterator[Panel]:
    if host.cpu_percent is None:
        return
    heat = "" if host.cpu_temperature_c is None else f"{host.cpu_temperature_c:.0f} °C  "
    found = list(rows.cores_row(host.core_percents, width))
    if host.engine_cpu_percent is not None:
        found.append(rows.labelled(tr("engine"), percent(share(host.engine_cpu_percent, 100)), width))
    found += rows.of_panel("CPU", host, width)
    yield Panel(
        title=(("CPU", "title"),),
        figure=((heat + percent(share(host.cpu_percent, 100)), ""),),
        graph=Graph(lambda reading: reading.host.cpu_percent, 100),
        rows=tuple(found),
        worth=1,
    )


def _ram(host: HostSample, width: int) -> Iterator[Panel]:
    used, total = host.ram_used_bytes, host.ram_total_bytes
    if used is None or not total:
        return
    found = list(rows.engine_row(host, width))
    if found and host.engine_private_bytes is not None and host.engine_shared_bytes is not None:
        own = ((tr("its own") + " ", "muted"), (f"{gib(host.engine_private_bytes)} GiB", ""))
        mapped = ((tr("files") + " ", "muted"), (f"{gib(host.engine_shared_bytes)} GiB", ""))
        found.append(spread(own, mapped, width))
    yield Panel(
        title=(("RAM", "title"),),
        figure=((gib_of(used, total), ""),),
        graph=Graph(lambda reading: reading.host.ram_used_bytes, total, level(share(used, total))),
        rows=(*found, *rows.swap_row(host, width), *rows.of_panel("RAM", host, width)),
        worth=1,
    )


def _gpu(index: int, gpu: GpuSample, width: int) -> Panel:
    def busy(reading: Reading) -> float | None:
        return reading.gpus[index].busy_percent if index < len(reading.gpus) else None

    is_told = gpu.busy_percent is not None
    return Panel(
        title=(("GPU ", "title"), (shorten(one_line(gpu.name), width - 12), "muted")),
        figure=((percent((gpu.busy_percent or 0) / 100), ""),) if is_told else (),
        graph=Graph(busy, 100) if is_told else None,
        rows=(
            *rows.memory(tr("dedicated"), gpu.dedicated_used_bytes, gpu.dedicated_total_bytes, width),
            *rows.memory(tr("shared"), gpu.shared_used_bytes, gpu.shared_total_bytes, width),
            *rows.sensors_row(gpu, width),
            *rows.throttling_row(gpu, width),
        ),
        worth=1,
    )


def _power(readings: Sequence[Reading], width: int) -> Iterator[Panel]:
    watts = readings[-1].power_w if readings else None
    if watts is None:
        return
    each = joules_per_token(readings)
    yield Panel(
        title=((tr("POWER"), "title"),),
        figure=((f"{watts:,.0f} W", ""),),
        graph=Graph(lambda reading: reading.power_w),
        rows=() if each is None else (rows.labelled(tr("energy per token"), _joules(each), width),),
        worth=6,
    )


def _answers(answers: Sequence[Turn], width: int) -> Iterator[Row]:
    """Which, where, and how fast; on a narrow screen only what there is room for."""
    n_figures = min(5, max(1, (width - _WHERE) // _FIGURE))
    room = max(0, width - n_figures * _FIGURE)
    n_text = room - _WHERE if room >= 2 * _WHERE else 0
    n_where = room - n_text
    heads = (tr("answer"), "tok/s", trc("sidebar", "ttft"), tr("prompt"), "tok/s")[:n_figures]
    yield (
        (" " * n_text + column(trc("column", "on"), n_where), "muted"),
        *((right(head, _FIGURE), "muted") for head in heads),
    )
    for turn in answers:
        if (timings := turn.timings) is None:
            continue
        figures = (
            f"{timings.n_decode:,}",
            format.speed(timings.decode_tps),
            rows.short_duration(timings.ttft_s),
            f"{timings.n_prefill:,}",
            format.speed(timings.prefill_tps),
        )[:n_figures]
        yield (
            (column(beginning(turn.text, n_text), n_text - 1) + " " if n_text else "", ""),
            (column("→".join(turn.backend), n_where), "muted"),
            *((right(figure, _FIGURE), "") for figure in figures),
        )


def _joules(value: float) -> str:
    return f"{value:,.0f} J" if value >= 99.95 else f"{value:.1f} J" if value >= 9.95 else f"{value:.2f} J"
