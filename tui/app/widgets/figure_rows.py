"""Rows of live figures that the sidebar and the monitor share. Of what is not known there is no row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import Row, right, shorten, spread
from tui.app.widgets.readings import Figures, bar, gib, gib_of, level, percent, share
from tui.app.widgets.row_list import column
from tui.base import format
from tui.base.text import one_line
from tui.machine.figures import FIGURES
from tui.machine.readings import GpuSample, HostSample, NpuSample, ThrottleReason
from tui.planning.placement import HOST
from tui.protocol.records import Placed
from tui.session.speed import AnswerNow
from tui.words import mark, tr, trc, trn

GROWING_SWAP_BYTES = 1 << 20
"""Swap that grows by more than this between two readings is being written to: the machine is out of memory."""
_SIZE_CELLS, _PART_CELLS = 11, 8
"""Of a size with its unit and a blank before it, "1,023.9 MiB" at most, and of the name of what takes it."""
_EIGHTHS = "▁▂▃▄▅▆▇█"
_REASONS: dict[ThrottleReason, str] = {
    "heat": mark("heat"),
    "power": mark("power limit"),
    "current": mark("current limit"),
    "hardware": mark("hardware signal"),
}


def titled(title: str, figure: str, width: int, style: str = "") -> Row:
    """The first row of a panel: its name, and its figure at the right end."""
    return spread(((title, "title"),), ((figure, style),), width)


def labelled(label: str, figure: str, width: int, style: str = "") -> Row:
    """One figure with its name."""
    return spread(((label, "muted"),), ((figure, style),), width)


def meter(part: float | None, width: int) -> Row:
    """A thin bar and its percentage, in the colour that says whether it fits."""
    style = level(part)
    return meter_of(part, style, width, "muted" if style == "good" else style)


def meter_of(part: float | None, style: str, width: int, figure_style: str = "") -> Row:
    """The same in a colour of its own."""
    filled, empty = bar(part, width - 5)
    return (filled, style), (empty, "faint"), (f" {percent(part)}", figure_style)


def memory(title: str, used: int | None, total: int | None, width: int, *, is_title: bool = False) -> Iterator[Row]:
    """Two rows, a figure and its bar; none for memory that is not there or of which nothing is known."""
    if used is None or not total:
        return
    yield (titled if is_title else labelled)(title, gib_of(used, total), width)
    yield meter(share(used, total), width)


def spread_row(answer: AnswerNow, width: int) -> Iterator[Row]:
    """Least, mean and greatest speed of the answer, each in a third of the width."""
    if (found := answer.spread) is None:
        return
    least = column(f"{tr('min')} {format.speed(found.least)}", width // 3)
    mean = column(f"{tr('avg')} {format.speed(found.mean)}", width // 3)
    yield ((f"{least}{mean}{tr('max')} {format.speed(found.most)}", "muted"),)


def answer_row(answer: AnswerNow, width: int) -> Iterator[Row]:
    """Tokens and time of the answer, and how many of those that were guessed were right."""
    if answer.n_tokens:
        tokens = trn("{n} token", "{n} tokens", answer.n_tokens)
        yield labelled(tr("answer"), f"{tokens}  {right(short_duration(answer.took_s), 6)}", width)
    if answer.n_drafted:
        right_ones = tr("{n} of {total}", n=f"{answer.n_accepted:,}", total=f"{answer.n_drafted:,}")
        yield labelled(tr("guessed right"), right_ones, width)


def context_parts(figures: Figures, width: int) -> Iterator[Row]:
    """What fills the context: the turns so far and what is left; and below them, where there are such, the system
    prompt, files, and the answer to the last prompt, two in a row."""
    n_used, n_ctx = figures.context
    n_system = min(figures.n_system, n_used)
    n_answer = n_used - figures.n_prompt if 0 < figures.n_prompt <= n_used else 0
    n_files = min(figures.n_files, n_used - n_system)
    turns = _count(tr("turns"), max(0, n_used - n_answer - n_system - n_files))
    yield spread(turns, _count(trc("context", "free"), max(0, n_ctx - n_used)), width)
    parts = (trc("context", "system"), n_system), (trc("context", "files"), n_files), (tr("answer"), n_answer)
    shown = [_count(name, n) for name, n in parts if n]
    for first, second in zip_longest(shown[::2], shown[1::2], fillvalue=()):
        yield spread(first, second, width)


def _count(name: str, n: int) -> Row:
    return (name + " ", "muted"), (f"{n:,}", "")


def model_table(placed: Sequence[Placed], width: int) -> Iterator[Row]:
    """What a model takes: a column for each place that holds anything, with weights, KV cache and compute buffers;
    where there are more than have room, a row for each with their sum."""
    used = [place for place in placed if _total(place)]
    if not used:
        return
    names = ["RAM" if place.device == HOST else one_line(place.device) for place in used]
    n_label = width - _SIZE_CELLS * len(used)
    if n_label < _PART_CELLS:
        yield ((tr("MODEL"), "title"),)
        for name, place in zip(names, used, strict=True):
            size = format.size(_total(place))
            yield labelled(shorten(name, width - width_of(size) - 1), size, width)
        return
    yield (
        (column(tr("MODEL"), n_label), "title"),
        *((f" {column(name, _SIZE_CELLS - 1, right=True)}", "muted") for name in names),
    )
    for part, sizes in (
        (tr("weights"), [place.weights_bytes for place in used]),
        ("KV", [place.kv_bytes for place in used]),
        (tr("compute"), [place.compute_bytes + place.output_bytes for place in used]),
    ):
        if any(sizes):
            yield (column(part, n_label), "muted"), *((right(_size(n), _SIZE_CELLS), "") for n in sizes)


def engine_row(host: HostSample, width: int) -> Iterator[Row]:
    """What the engine's process takes."""
    if host.engine_rss_bytes is not None:
        yield labelled(tr("engine"), f"{gib(host.engine_rss_bytes)} GiB", width)


def swap_row(host: HostSample, width: int) -> Iterator[Row]:
    """Swap, where there is any."""
    if host.swap_total_bytes and host.swap_used_bytes is not None:
        grows = (host.swap_delta_bytes or 0) > GROWING_SWAP_BYTES
        text = gib_of(host.swap_used_bytes, host.swap_total_bytes)
        yield labelled(tr("swap"), text, width, "tight" if grows else "")


def of_panel(panel: str, host: HostSample, width: int) -> Iterator[Row]:
    """A row for each of `FIGURES` that belongs to the panel and has something to say."""
    for figure in FIGURES:
        value = host.figures.get(figure.name)
        if figure.panel == panel and value is not None and value >= figure.least:
            style = "full" if value >= figure.alarm else ""
            yield labelled(tr(figure.words), figure.write(value), width, style)


def cores_row(percents: Sequence[float], width: int) -> Iterator[Row]:
    """A block for each CPU, its height how busy it is; where they are more than cells, the busiest of a few."""
    if not percents or width < 1:
        return
    each = -(-len(percents) // width)
    busiest = (max(percents[start : start + each]) for start in range(0, len(percents), each))
    yield (("".join(_EIGHTHS[min(7, int(percent * 8 / 100))] for percent in busiest), "key"),)


def sensors_row(gpu: GpuSample, width: int) -> Iterator[Row]:
    """Temperature, clock and power, each in a third of the width; those that are not told are left out."""
    texts = []
    if gpu.temperature_c is not None:
        texts.append(f"{gpu.temperature_c:.0f} °C")
    if gpu.clock_mhz is not None:
        texts.append(f"{gpu.clock_mhz / 1000:.2f} GHz" if gpu.clock_mhz >= 999.5 else f"{gpu.clock_mhz:.0f} MHz")
    if gpu.power_w is not None:
        texts.append(f"{gpu.power_w:.0f} W")
    if texts:
        cells = [right(texts[0], 6), *(right(text, (width - 6) // max(1, len(texts) - 1)) for text in texts[1:])]
        yield (("".join(cells), ""),)


def throttling_row(gpu: GpuSample, width: int) -> Iterator[Row]:
    """What holds the GPU's clock down, while anything does."""
    if gpu.throttled_by:
        reasons = format.listed(*(tr(_REASONS[reason]) for reason in gpu.throttled_by))
        room = width - width_of(tr("throttled")) - 1
        yield labelled(tr("throttled"), shorten(reasons, room), width, "full")


def npus_row(npus: Sequence[NpuSample], width: int) -> Iterator[Row]:
    """That there is one, and whether it is any use: by the name of its chip, which is what people know it by."""
    if not npus:
        return
    first = one_line(npus[0].name)
    title = "NPU " if "NPU" in first else "ACCEL "
    chip = first.partition("(")[2].rstrip(")") or first.replace(" NPU", "")
    use = tr("usable") if any(npu.is_usable for npu in npus) else tr("not usable")
    chips = chip if len(npus) == 1 else tr("{n} of them", n=len(npus))
    name = shorten(chips, width - len(title) - width_of(use) - 1)
    yield spread(((title, "title"), (name, "muted")), ((use, "muted"),), width)


def short_duration(value: float) -> str:
    """As `format.duration`, but in six cells, or seven in Chinese."""
    return format.duration(value) if value < 99.95 else format.about(value)


def _total(place: Placed) -> int:
    return place.weights_bytes + place.kv_bytes + place.compute_bytes + place.output_bytes


def _size(n_bytes: int) -> str:
    return format.size(n_bytes) if n_bytes else "0"
