"""What a load takes of the host's and each device's memory, and what stays free, moving with the load settings."""

from __future__ import annotations

from tui.app.verdict_marks import MARKS, STYLES
from tui.app.widgets.lines import LineWidget, Row
from tui.app.widgets.memory_bars import legend_row, pool_row
from tui.app.widgets.row_list import column
from tui.planning import verdict_words
from tui.planning.verdict import Verdict
from tui.words import tr

_NUMBER = 8


class CostTable(LineWidget):
    """Rows for host and devices, and a bar for each pool of memory with a legend below them. Its height follows the
    number of devices and pools alone."""

    DEFAULT_CSS = """
    CostTable { width: 1fr; height: 4; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.verdict: Verdict | None = None

    @property
    def n_rows(self) -> int:
        """Rows that all of it takes, with the border above it."""
        if self.verdict is None:
            return 4
        return 3 + len(self.verdict.places) + len(self.verdict.pools) + bool(self.verdict.plan.checkpoint_bytes)

    def show(self, verdict: Verdict) -> None:
        """Take another verdict."""
        self.verdict = verdict
        self.styles.height = self.n_rows
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """GiB with one digit behind the point; the column of the compute buffers gives way first."""
        if self.verdict is None:
            return []
        verdict = self.verdict
        with_compute = width >= 44
        titles = [tr("weights"), "KV", *([tr("compute")] if with_compute else [])]
        # Until llama.cpp has said what it would allocate, the figures are an estimate; where header and llama.cpp
        # disagree, too.
        about = "" if verdict.plan.is_sure else "≈"
        n_name = max(4, min(10, width - _NUMBER * len(titles) - 14))
        header = column(f"{about}GiB", n_name) + "".join(column(title, _NUMBER, right=True) for title in titles)
        rows: list[Row] = [((header + column(tr("free after"), 12, right=True), "muted"),)]
        for place in verdict.places:
            cost = place.cost
            figures = [cost.weights_bytes, cost.kv_bytes, *[cost.compute_bytes] * with_compute]
            numbers = "".join(column(_gib(figure), _NUMBER, right=True) for figure in figures)
            left = column(_gib(place.left_bytes), 12, right=True)
            rows.append(
                (
                    (column(place.name, n_name), ""),
                    (numbers, ""),
                    (left, STYLES[place.fit]),
                    (f" {MARKS[place.fit]}", STYLES[place.fit]),
                )
            )
        if about_checkpoints := verdict_words.checkpoints(verdict):
            rows.append(((column(about_checkpoints, width), "muted"),))
        return [*rows, *(pool_row(pool, width) for pool in verdict.pools), legend_row(verdict.fit, width)]


def _gib(n_bytes: int) -> str:
    gib = n_bytes / 2**30
    return f"{gib:.1f}" if not 0 < abs(gib) < 0.05 else "<0.1" if gib > 0 else ">-0.1"
