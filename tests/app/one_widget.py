"""A tiny app around one of the small widgets of the main screen, and records for them to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from textual.app import App, ComposeResult
from textual.widget import Widget

from tui.app.widgets.header import ModelInUse
from tui.app.widgets.lines import LineWidget
from tui.app.widgets.sidebar import Sidebar
from tui.app.widgets.status_line import StatusLine
from tui.machine.readings import GpuSample, HostSample
from tui.session.speed import SpeedNow

GIB = 1 << 30


BLANKS = " ⠀"
"""What a graph without values consists of."""


HOST = HostSample(
    time=0,
    cpu_percent=11,
    ram_total_bytes=31 * GIB,
    ram_available_bytes=17 * GIB,
    engine_rss_bytes=GIB,
    swap_total_bytes=8 * GIB,
    swap_used_bytes=0,
    cpu_temperature_c=64,
)


RADEON = GpuSample(
    name="Radeon 860M",
    kind="igpu",
    source="amdgpu",
    dedicated_used_bytes=14 * GIB,
    dedicated_total_bytes=16 * GIB,
    shared_used_bytes=GIB // 2,
    shared_total_bytes=8 * GIB,
    busy_percent=92,
    temperature_c=64,
    power_w=24,
)


BIG = GpuSample(
    name="Big GPU", kind="gpu", source="nvml", dedicated_used_bytes=79 * GIB, dedicated_total_bytes=80 * GIB
)


SPEED = SpeedNow(decode_tps=31.4, is_decoding=True, history=(10.0, 20.0, 31.4), prefill_tps=412, ttft_s=0.6)


MODEL = ModelInUse(
    name="Qwen3-30B-A3B",
    quant="Q3_K_L",
    size="128 experts, 8 used",
    place="Vulkan0 48/48",
    threads="8 threads",
    n_ctx=8192,
    flash_attn="auto",
    kv="f16",
)


class OneWidgetApp(App[None]):
    """Counts how often anything is laid out and which lines are painted."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget
        self.n_layouts = 0

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_mount(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._count)

    def _count(self, _screen: object) -> None:
        self.n_layouts += 1


def feed(widget: Sidebar | StatusLine) -> None:
    widget.show(replace(widget.figures, speed=SPEED))
    widget.show(replace(widget.figures, host=HOST))
    widget.show(replace(widget.figures, gpus=(RADEON,)))
    widget.show(replace(widget.figures, context=(1204, 8192)))


async def rows_of(widget: LineWidget, size: tuple[int, int], act: Callable[[Any], None]) -> list[str]:
    async with OneWidgetApp(widget).run_test(size=size) as pilot:
        await pilot.pause()
        act(widget)
        await pilot.pause()
        return widget.rows_as_text
