"""Whether a load fits, as the first thing that its settings say."""

from __future__ import annotations

from tui.app.markdown.text import wrap
from tui.app.verdict_marks import MARKS, STYLES
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.base import format
from tui.measure import forecast_words
from tui.measure.expectation import Range
from tui.planning import verdict_words
from tui.planning.verdict import Verdict


class VerdictLine(LineWidget):
    """The verdict, and below it in one row what was judged: layers, tokens, memory in all, and the speed. How high it
    is says the style sheet: what is more than one row is for the verdict."""

    DEFAULT_CSS = """
    VerdictLine { width: 1fr; height: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.verdict: Verdict | None = None
        self._speed: Range | None = None

    def show(self, verdict: Verdict, speed: Range | None = None) -> None:
        """Take another verdict, and how fast the model is expected to write."""
        self.verdict, self._speed = verdict, speed
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """Bold, and in the colour of the verdict."""
        verdict = self.verdict
        if verdict is None:
            return []
        plan, style = verdict.plan, f"strong+{STYLES[verdict.fit]}"
        text = verdict_words.line(verdict)
        spans = wrap(text, max(1, width - 2)) or [(0, 0)]
        rows: list[Row] = []
        for number, (start, end) in enumerate(spans[: max(1, height - 1)]):
            told = text[start:] if number == height - 2 else text[start:end]
            mark = f"{MARKS[verdict.fit]} " if not number else "  "
            rows.append(((mark + shorten(told.strip(), width - 2), style),))
        about = "" if plan.is_sure else "≈"
        facts = f"{verdict_words.layers(plan)} · {verdict_words.tokens(plan)} · {about}{format.size(plan.total_bytes)}"
        if self._speed is not None:
            facts += f" · {forecast_words.with_bounds(self._speed)}"
        return [*rows, (("  " + shorten(facts, width - 2), "muted"),)]
