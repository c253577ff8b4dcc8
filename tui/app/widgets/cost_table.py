"""What a load takes of the host's and each device's memory, and what stays free, moving with the load settings."""

from __future__ import annotations

from tui.app.fit import MARKS
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.app.widgets.row_list import column
from tui.engine.planner import Fit
from tui.memory.verdict import Verdict

STYLES: dict[Fit, str] = {"fits": "good", "tight": "tight", "no": "full"}
_NUMBER = 8


class CostTable(LineWidget):
    """Rows for host and devices, then the sentence. Its least height follows the number of devices alone."""

    DEFAULT_CSS = """
    CostTable { width: 1fr; height: 4; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.verdict: Verdict | None = None

    def show(self, verdict: Verdict) -> None:
        """Take another verdict."""
        self.verdict = verdict
        self.styles.min_height = 4 + len(verdict.places)
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """GiB with one digit behind the point; the column of the compute buffers gives way first."""
        if self.verdict is None:
            return []
        verdict = self.verdict
        with_compute = width >= 44
        titles = ["weights", "KV", *["compute"] * with_compute]
        n_name = max(3, min(10, width - _NUMBER * len(titles) - 14))
        header = column("GiB", n_name) + "".join(column(title, _NUMBER, right=True) for title in titles)
        rows: list[Row] = [((header + column("free after", 12, right=True), "muted"),)]
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
        plan = verdict.plan
        layers = f"{plan.n_gpu_layers}/{plan.n_layers} layers on GPU" if plan.devices else "CPU only"
        rows.append(((shorten(f"{MARKS[verdict.fit]} {verdict.sentence}", width), STYLES[verdict.fit]),))
        rows.append(((shorten(f"{layers} · {plan.n_ctx:,} tokens · {_gib(plan.total_bytes)} GiB", width), "muted"),))
        return rows


def _gib(n_bytes: int) -> str:
    gib = n_bytes / 2**30
    return f"{gib:.1f}" if not 0 < abs(gib) < 0.05 else "<0.1" if gib > 0 else ">-0.1"
