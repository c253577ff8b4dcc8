"""Text that is wrapped as its language is written: Textual breaks at blanks alone, which Chinese does not have."""

from __future__ import annotations

from textual.content import Content
from textual.css.styles import RulesMap
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

from tui.app.markdown.text import wrap
from tui.app.widgets.lines import shorten


class Wrapped(Visual):
    """What a `Static` shows, for example: `Static(Wrapped("…"))`."""

    def __init__(self, text: str | Content) -> None:
        self._content = Content(text) if isinstance(text, str) else text

    def __str__(self) -> str:
        """The text, before it is broken."""
        return self._content.plain

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """The rows of the text, as many as there is room for."""
        return self._broken(width).render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """Cells of the longest line."""
        return self._content.get_optimal_width(rules, container_width)

    def get_height(self, rules: RulesMap, width: int) -> int:
        """Rows that it takes."""
        return self._broken(width).plain.count("\n") + 1 if width else 0

    def _broken(self, width: int) -> Content:
        return Content("\n").join(self._rows(width))

    def _rows(self, width: int) -> list[Content]:
        lines = self._content.split("\n", allow_blank=True)
        return [line[start:end] for line in lines for start, end in wrap(line.plain, max(1, width))]


class Shortened(Wrapped):
    """As `Wrapped`, in at most so many rows; "…" stands for what is left out."""

    def __init__(self, text: str | Content, most_rows: int) -> None:
        super().__init__(text)
        self._most_rows = most_rows

    def is_cut(self, width: int) -> bool:
        """Whether something is left out."""
        return len(self._rows(width)) > self._most_rows

    def _broken(self, width: int) -> Content:
        rows = self._rows(width)
        if len(rows) > self._most_rows:
            rows = rows[: self._most_rows]
            rows[-1] = Content(shorten(f"{rows[-1].plain} …", max(1, width)))
        return Content("\n").join(rows)
