"""The full-screen monitor: panels in two columns, one on a narrow terminal, with graphs that take the height that is
left."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.app.markdown.text import width_of
from tui.app.widgets.braille import braille_graph
from tui.app.widgets.lines import Row, shorten, spread
from tui.app.widgets.monitor_panels import Panel, Past, engine_panels, machine_panels
from tui.app.widgets.readings import Readings
from tui.base import format
from tui.base.text import one_line
from tui.session.machine_history import Reading, by_time, largest
from tui.words import tr

TWO_COLUMNS = 100
SPAN_S = 300
"""Graphs show at least so much, where a dot may stand for more than a second."""
_GAP = 3
_HIGHEST_GRAPH = 12


class _Shape(msgspec.Struct, frozen=True):
    """How much of each panel there is room for."""

    graph: int
    """Least height of a graph."""
    n_rows: int
    """Most rows below it, unless a panel makes no sense with so few."""
    gap: int
    """Blank rows between panels."""

    def height(self, panels: Sequence[Panel]) -> int:
        each = (1 + (self.graph if panel.graph else 0) + len(self.rows(panel)) for panel in panels)
        return sum(each) + self.gap * (len(panels) - 1)

    def rows(self, panel: Panel) -> tuple[Row, ...]:
        return panel.rows[: max(self.n_rows, panel.least_rows)]


_SHAPES = (_Shape(3, 99, 1), _Shape(2, 99, 1), _Shape(2, 99, 0), _Shape(1, 3, 0), _Shape(1, 1, 0), _Shape(1, 0, 0))
"""From the most generous to the meanest."""


class MonitorBoard(Readings):
    """Shows the figures of this moment, and `past`, which whoever shows figures sets first."""

    DEFAULT_CSS = """
    MonitorBoard {
        width: 1fr;
        height: 1fr;
        padding: 0 1;
        background: $background;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.past = Past()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """A headline, and the columns."""
        is_wide = width + 2 >= TWO_COLUMNS
        each = (width - _GAP) // 2 if is_wide else width
        engine = list(engine_panels(self.figures, self.past, each))
        machine = list(machine_panels(self.figures, self.past, each))
        step_s = max(1, -(-SPAN_S // (2 * each)))
        model = shorten(one_line(self.past.model), width - 30)
        head = spread(
            ((tr("MONITOR"), "title"), (f"  {model}" if model else "", "strong")),
            ((tr("last {time}", time=format.about(2 * each * step_s)), "muted"),),
            width,
        )
        below, steps = height - 2, by_time(self.past.readings, 2 * each, step_s)
        if is_wide:
            left, right = (engine, machine) if engine else _halves(machine)
            columns = [_column(panels, each, below, steps) for panels in (left, right)]
            gap = ((" " * _GAP, ""),)
            return [head, (), *((*_exactly(a, each), *gap, *b) for a, b in zip(*columns, strict=True))]
        return [head, (), *_column([*engine, *machine], width, below, steps)]


def _column(panels: Sequence[Panel], width: int, height: int, steps: Sequence[Sequence[Reading]]) -> list[Row]:
    """Exactly so many rows. What there is no room for goes: blank rows first, then rows, then whole panels."""
    kept = list(panels)
    shape = _fitting(kept, height)
    while shape is None and kept:
        kept.remove(max(kept, key=lambda panel: panel.worth))
        shape = _fitting(kept, height)
    found: list[Row] = []
    if shape is not None and kept:
        n_graphs = sum(panel.graph is not None for panel in kept)
        spare = height - shape.height(kept)
        for panel in kept:
            if found:
                found += [()] * shape.gap
            more = 0
            if panel.graph is not None:
                more = min(_HIGHEST_GRAPH - shape.graph, spare // n_graphs)
                spare, n_graphs = spare - more, n_graphs - 1
            found += _rows(panel, shape, shape.graph + more, steps, width)
    return found + [()] * (height - len(found))


def _fitting(panels: Sequence[Panel], height: int) -> _Shape | None:
    return next((shape for shape in _SHAPES if shape.height(panels) <= height), None)


def _rows(panel: Panel, shape: _Shape, height: int, steps: Sequence[Sequence[Reading]], width: int) -> list[Row]:
    found: list[Row] = [_ruled(panel.title, panel.figure, width)]
    if (graph := panel.graph) is not None:
        points = largest(steps, graph.value)
        found += [((line, graph.style),) for line in braille_graph(points, width, height, graph.maximum)]
    return found + list(shape.rows(panel))


def _ruled(title: Row, figure: Row, width: int) -> Row:
    """A title, a line, and the figure at its end."""
    used = sum(width_of(text) for text, _ in (*title, *figure))
    if not figure:
        return (*title, (f" {'─' * (width - used - 1)}", "faint"))
    return (*title, (f" {'─' * max(1, width - used - 2)} ", "faint"), *figure)


def _exactly(row: Row, width: int) -> Row:
    """The row, cut or padded: what stands beside it must not move."""
    kept: list[tuple[str, str]] = []
    free = width
    for text, style in row:
        text = shorten(text, free)
        free -= width_of(text)
        kept.append((text, style))
    return (*kept, (" " * free, ""))


def _halves(panels: Sequence[Panel]) -> tuple[list[Panel], list[Panel]]:
    """Side by side, in the order of reading."""
    middle = -(-len(panels) // 2)
    return list(panels[:middle]), list(panels[middle:])
