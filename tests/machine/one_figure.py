"""A figure as one would be added to `tui.machine.figures.FIGURES`."""

from __future__ import annotations

from pathlib import Path

from tui.machine.figures import Figure, Places


def _load(places: Places) -> float | None:
    file = Path(places.proc, "loadavg")
    return float(file.read_text().split()[0]) if file.exists() else None


LOAD = Figure(
    name="load", words="tasks that compute", panel="CPU", read=_load, write=lambda value: f"{value:.1f}", alarm=8.0
)
