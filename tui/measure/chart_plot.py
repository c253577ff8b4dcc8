"""Charts as a picture for posting: SVG or PNG of 1200x675 pixels, higher for many models and lower for a few, by
matplotlib, which is loaded when the first one is drawn: that takes a second. The same charts give the same SVG, byte
for byte."""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tui.base import format
from tui.base.text import cells, fit_columns
from tui.measure.chart import CPU, Bar, BarGroup, Chart, factor
from tui.words import language, mark, tr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

WIDTH_PX, HEIGHT_PX = 1200, 675
PictureFormat = Literal["svg", "png"]

_DPI = 100
_ROW_PX, _GAP_PX = 28, 13
"""One bar and the space between two models at least; a picture of few models has higher ones."""
_MAX_STRETCH = 2.2
_TOP_PX, _BOTTOM_PX, _FACT_PX = 130, 46, 19
_EDGE_PX, _NAMES_PX, _BETWEEN_PX = 30, 300, 36
_FIGURES_PX = 145
"""What is written behind a bar takes so much."""
_CPU_COLOUR = "#0072B2"
_GPU_COLOURS = ("#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Okabe and Ito's, which colour-blind people can tell apart too (https://jfly.uni-koeln.de/color/)."""
_INK, _PALE, _RULE = "#1b1f24", "#5b6470", "#c9ced6"
_MOE_HATCH = "////"
_CJK = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei")
"""Fonts with Chinese letters, asked only where a text has some: DejaVu Sans has none."""
_TITLES = {"decode": mark("Decode ({test})"), "prefill": mark("Prefill ({test})")}
_SPEEDS = {
    ("decode",): mark("Decode speed, relative to {baseline}"),
    ("prefill",): mark("Prefill speed, relative to {baseline}"),
    ("decode", "prefill"): mark("Decode and prefill speed, relative to {baseline}"),
}


Slot = tuple[str, str, int]
"""Label of the model, backend, and the how many-th of that backend."""


class PlottingMissing(Exception):
    """matplotlib is not installed; the message says how to get it."""

    def __init__(self) -> None:
        super().__init__(
            tr(
                "matplotlib, which draws these pictures, is missing from this Python. Install llmtui again, in its "
                "folder: {command}",
                command="make install",
            )
        )


def require_matplotlib() -> None:
    """Find out, without the time that importing it takes, whether pictures can be drawn. Raises `PlottingMissing`."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PlottingMissing


def can_draw_chinese() -> bool:
    """Whether this machine has a font for it. Takes as long as importing matplotlib."""
    from matplotlib import font_manager

    return not set(_CJK).isdisjoint(font_manager.get_font_names())


def draw(charts: Sequence[Chart], picture: PictureFormat) -> bytes:
    """All `charts` of one comparison side by side, at least one. Raises `PlottingMissing`."""
    require_matplotlib()
    os.environ["MPLBACKEND"] = "agg"  # Jupyter's shells name one that may not be there, and importing would fail
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # A letter that no font has is drawn as a box; whoever looks at the picture sees that.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()  # the user's own style must not change what is drawn
        matplotlib.rcParams.update(_style(charts))
        file = io.BytesIO()
        metadata = {"Date": None, "Creator": "llmtui"} if picture == "svg" else {"Software": "llmtui"}
        _Picture(charts).draw().savefig(file, format=picture, dpi=_DPI, metadata=metadata)
    return file.getvalue()


def _style(charts: Sequence[Chart]) -> dict[Any, Any]:
    from matplotlib import font_manager

    text = "".join(group.label for chart in charts for group in chart.groups)
    is_wide = language() == "zh" or cells(text) > len(text)
    installed = set(font_manager.get_font_names()) if is_wide else set()
    return {
        "font.family": ["sans-serif", *(name for name in _CJK if name in installed)],
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
        "text.parse_math": False,  # a "$" in a name is a dollar
        "text.color": _INK,
        "hatch.color": "white",
        "hatch.linewidth": 1.6,
        "svg.hashsalt": "llmtui",
        "svg.fonttype": "none",  # text stays text: small, searchable, and in any script
    }


def _slots(charts: Sequence[Chart]) -> dict[Slot, float]:
    """Where the middle of each bar is, from the top, in pixels before stretching: the same in all charts, though a run
    that was interrupted has more of one than of the other."""
    groups = sorted({(group.n_params == 0, group.n_params, group.label) for chart in charts for group in chart.groups})
    found: dict[Slot, float] = {}
    top_px = _GAP_PX / 2
    for *_, label in groups:
        bars = {slot: bar for chart in charts for slot, bar, group in _bars(chart) if group.label == label}
        for slot in sorted(bars, key=lambda slot: (slot[1] != CPU, slot)):
            found[slot] = top_px + _ROW_PX / 2
            top_px += _ROW_PX
        top_px += _GAP_PX
    return found


def _bars(chart: Chart) -> Iterator[tuple[Slot, Bar, BarGroup]]:
    for group in chart.groups:
        seen: Counter[str] = Counter()
        for bar in group.bars:
            yield (group.label, bar.backend, seen[bar.backend]), bar, group
            seen[bar.backend] += 1


class _Picture:
    """One figure while it is drawn. Places are in pixels from the left and from the top."""

    def __init__(self, charts: Sequence[Chart]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._charts, self._first = charts, charts[0]
        self._slots = _slots(charts)
        self._needed_px = max(self._slots.values()) + (_ROW_PX + _GAP_PX) / 2
        doubts = dict.fromkeys(chart.doubt for chart in charts if chart.doubt)
        self._notes = (*doubts, *self._first.facts)
        bottom_px = _BOTTOM_PX + _FACT_PX * len(self._notes)
        room_px = HEIGHT_PX - _TOP_PX - bottom_px
        self._stretch = min(max(room_px / self._needed_px, 1.0), _MAX_STRETCH)
        self._height_px = round(_TOP_PX + self._needed_px * self._stretch + bottom_px)
        self._colours = dict(zip(self._gpus(), itertools.cycle(_GPU_COLOURS), strict=False)) | {CPU: _CPU_COLOUR}
        self._figure = Figure(figsize=(WIDTH_PX / _DPI, self._height_px / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self._figure)

    def draw(self) -> Figure:
        """The whole picture: title and legend, one plot for each chart, facts at the bottom."""
        title = tr(_SPEEDS[tuple(chart.what for chart in self._charts)], baseline=self._first.baseline)
        self._write(_EDGE_PX, 32, title, WIDTH_PX - 2 * _EDGE_PX, size=17, weight="bold")
        self._legend()
        self._names()
        shares = (1.0,) if len(self._charts) == 1 else (0.56, 0.44)
        left_px = _EDGE_PX + _NAMES_PX
        room_px = WIDTH_PX - left_px - _EDGE_PX - _BETWEEN_PX * (len(self._charts) - 1)
        for chart, share in zip(self._charts, shares, strict=True):
            width_px = round(room_px * share)
            self._plot(chart, left_px, width_px)
            left_px += width_px + _BETWEEN_PX
        for number, note in enumerate(reversed(self._notes)):
            y_px = self._height_px - 20 - number * _FACT_PX
            self._write(_EDGE_PX, y_px, note, WIDTH_PX - 2 * _EDGE_PX, size=9.5, color=_PALE)
        return self._figure

    def _gpus(self) -> list[str]:
        return sorted({backend for chart in self._charts for backend in chart.backends} - {CPU})

    def _write(self, x_px: float, y_px: float, text: str, most_px: float, **look: Any) -> None:
        """Text whose left end and middle is there, cut where it would be wider than that."""
        x, y = x_px / WIDTH_PX, 1 - y_px / self._height_px
        _cut(self._figure.text(x, y, text, ha="left", va="center_baseline", **look), most_px)

    def _legend(self) -> None:
        from matplotlib.patches import Patch

        backends = {backend for chart in self._charts for backend in chart.backends}
        known = [name for name in self._colours if name in backends]
        patches = [
            Patch(facecolor=self._colours[name], label=name) for name in sorted(known, key=lambda n: (n != CPU, n))
        ]
        if any(chart.has_moe for chart in self._charts):
            patches.append(Patch(facecolor=_PALE, label=tr("dense")))
            patches.append(Patch(facecolor=_PALE, edgecolor="white", hatch=_MOE_HATCH, label=tr("mixture of experts")))
        self._figure.legend(
            handles=patches,
            loc="center left",
            bbox_to_anchor=(_EDGE_PX / WIDTH_PX, 1 - 70 / self._height_px),
            ncols=len(patches),
            frameon=False,
            fontsize=11,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.6,
            handletextpad=0.5,
            columnspacing=1.6,
        )

    def _names(self) -> None:
        """What each group of bars is, at the left of them."""
        groups = {group.label: group for chart in self._charts for group in chart.groups}
        for label, group in groups.items():
            own = [y for slot, y in self._slots.items() if slot[0] == label]
            middle_px = _TOP_PX + (own[0] + own[-1]) / 2 * self._stretch
            params = tr("{count} parameters", count=format.params(group.n_params)) if group.n_params else ""
            active = tr("{count} active", count=format.params(group.n_params_active)) if group.is_moe else ""
            about = format.listed(*filter(None, (group.quant, params, active)))
            offset_px = 8 if about else 0
            self._write(_EDGE_PX, middle_px - offset_px, group.name, _NAMES_PX - 15, size=11.5, weight="bold")
            self._write(_EDGE_PX, middle_px + offset_px + 1, about, _NAMES_PX - 15, size=9.5, color=_PALE)

    def _plot(self, chart: Chart, left_px: float, width_px: float) -> None:
        height_px = self._needed_px * self._stretch
        bottom = 1 - (_TOP_PX + height_px) / self._height_px
        axes = self._figure.add_axes(
            (left_px / WIDTH_PX, bottom, width_px / WIDTH_PX, height_px / self._height_px), facecolor="none"
        )
        self._write(left_px, _TOP_PX - 16, tr(_TITLES[chart.what], test=chart.test), width_px, size=12, weight="bold")
        reach = max((bar.tps + bar.deviation_tps) / bar.tps * bar.relative for bar in chart.bars if not bar.reason)
        axes.set_xlim(0, max(reach, 1.0) * width_px / (width_px - _FIGURES_PX))
        axes.set_ylim(self._needed_px, 0)
        self._rules(axes)
        for slot, bar, group in _bars(chart):
            self._bar(axes, bar, self._slots[slot], is_moe=group.is_moe)

    def _rules(self, axes: Axes) -> None:
        """The axis, without what only draws the eye, and the line at the baseline's speed."""
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.spines["left"].set_color(_PALE)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.tick_params(axis="x", length=0, labelsize=9.5, labelcolor=_PALE)
        axes.grid(axis="x", color=_RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.axvline(1.0, color=_INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=3)

    def _bar(self, axes: Axes, bar: Bar, y: float, *, is_moe: bool) -> None:
        spread = 0.0 if bar.reason else bar.deviation_tps / bar.tps * bar.relative
        if bar.reason:
            text, look = bar.reason, {"color": _PALE, "style": "italic"}
        else:
            axes.barh(
                y,
                bar.relative,
                height=_ROW_PX * 0.84,
                color=self._colours[bar.backend],
                hatch=_MOE_HATCH if is_moe else None,
                edgecolor="white",
                linewidth=0,
                xerr=spread or None,
                error_kw={"ecolor": _INK, "elinewidth": 1.2, "capsize": 3},
                zorder=2,
            )
            part = bar.label.removeprefix(bar.backend)
            text = f"{format.full_speed(bar.tps)} tok/s  ×{factor(bar.relative)}{' !' if bar.marks else ''}"
            if part:
                text = tr("{speed}  layers {part}", speed=text, part=part.strip())
            look = {}
        written = axes.annotate(
            text,
            (bar.relative + spread, y),
            xytext=(5, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            zorder=4,
            **look,  # type: ignore[arg-type]
        )
        if bar.reason:
            _cut(written, axes.get_window_extent().width - 10)


def _cut(text: Text, most_px: float) -> None:
    """Shorten a text that is wider than that, with an ellipsis."""
    whole = text.get_text()
    columns = cells(whole)
    while columns > 1 and text.get_window_extent().width > most_px:
        columns -= 1
        text.set_text(fit_columns(whole, columns))
