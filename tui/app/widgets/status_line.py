"""The figures of the sidebar in one row, for terminals of less than 100 columns."""

from __future__ import annotations

from tui.app.markdown.text import width_of
from tui.app.widgets.braille import braille_graph
from tui.app.widgets.lines import Row, right
from tui.app.widgets.readings import Readings, gib, level, percent, share, tokens_per_second
from tui.base import format
from tui.base.text import one_line
from tui.machine.readings import GpuSample
from tui.words import tr

_GAP = 2
_GRAPH = 8
# Most important first; what does not fit beside those before it is left out.
_ORDER = ("speed", "context", "ram", "gpu", "graph", "place")
_PLACES = ("speed", "graph", "context", "ram", "gpu", "place")


class StatusLine(Readings):
    """Speed, context, RAM, GPU memory and where the model is, as far as they fit."""

    DEFAULT_CSS = """
    StatusLine {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $background;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.place = ""

    def show_place(self, place: str) -> None:
        """Where the model is and with how many layers, "Vulkan0 48/48" or "CPU"; empty for no model."""
        self.place = one_line(place)
        self._changed()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The row, fields in a fixed order."""
        fields = {
            "speed": self._speed(),
            "graph": ((braille_graph(self.figures.speed.history, _GRAPH, 1)[0], "muted"),),
            "context": self._context_meter(),
            "ram": self._ram(),
            "gpu": self._gpu(),
            "place": ((self.place, "muted"),) if self.place else (),
        }
        kept: set[str] = set()
        free = width + _GAP
        for name in _ORDER:
            cells = sum(width_of(text) for text, _ in fields[name])
            if cells and cells + _GAP <= free:
                kept.add(name)
                free -= cells + _GAP
        row: list[tuple[str, str]] = []
        for name in _PLACES:
            if name in kept:
                row += [(" " * _GAP, ""), *fields[name]] if row else fields[name]
        return [tuple(row)]

    def _speed(self) -> Row:
        prefill = self.figures.speed.prefill
        if prefill is None:
            text = tokens_per_second(self.figures.speed.decode_tps)
            return ((text, "strong" if self.figures.speed.is_decoding else "muted"),)
        done = percent(share(prefill.done, prefill.total)).strip()
        left = f" {format.about(prefill.eta_s)}" if prefill.eta_s >= 1 else ""
        return ((f"{tr('prefill')} {done}{left}", "strong"),)

    def _context_meter(self) -> Row:
        part = share(*self.figures.context)
        if part is None:
            return ()
        return (tr("ctx") + " ", "muted"), (percent(part), level(part))

    def _ram(self) -> Row:
        if self.figures.host is None:
            return ()
        return _memory("RAM ", self.figures.host.ram_used_bytes, self.figures.host.ram_total_bytes)

    def _gpu(self) -> Row:
        """The memory of the GPU that is fullest."""
        sizes = [_gpu_memory(gpu) for gpu in self.figures.gpus]
        if not sizes:
            return ()
        used, total = max(sizes, key=lambda size: share(*size) or 0.0)
        return _memory("GPU ", used, total)


def _gpu_memory(gpu: GpuSample) -> tuple[int | None, int | None]:
    """Of an integrated GPU the larger part, be it dedicated or shared."""
    if gpu.dedicated_total_bytes and gpu.dedicated_total_bytes >= (gpu.shared_total_bytes or 0) * (gpu.kind == "igpu"):
        return gpu.dedicated_used_bytes, gpu.dedicated_total_bytes
    return gpu.shared_used_bytes, gpu.shared_total_bytes


def _memory(label: str, used: int | None, total: int | None) -> Row:
    if used is None or total is None:
        return ()
    whole = f"{total / 2**30:,.0f}"
    return (label, "muted"), (right(gib(used), len(whole) + 2), level(share(used, total))), (f"/{whole} GiB", "muted")
