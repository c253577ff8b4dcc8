"""Words on the border of a text area: at the left and at the right end of its upper and its lower edge, each of which
may be clicked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip

from tui.app.markdown.text import Run, width_of
from tui.app.widgets.wrapped_area import WrappedArea

Edge = Literal["top", "bottom"]
EDGES: tuple[Edge, ...] = ("top", "bottom")
_STYLE_NAMES = ("plain", "key", "hint", "alert")
_DOT = " · "
_LEAST_LINE = 2
"""Cells of the border that stay to be seen between what stands at its two ends."""


_INDENT = 3
"""Corner, a cell of the border, a blank."""


class BorderPart(msgspec.Struct, frozen=True):
    """Some words."""

    runs: tuple[Run, ...]
    """Texts with "plain", "key", "hint" or "alert"."""
    action: str = ""
    """Id of the screen's action that a click runs; "" is none."""
    worth: int = 0
    """Where there is no room for all, what is worth least goes first."""

    @property
    def width(self) -> int:
        """Cells."""
        return sum(width_of(text) for text, _ in self.runs)


class EdgeWords(msgspec.Struct, frozen=True):
    """What an edge says."""

    left: tuple[BorderPart, ...] = ()
    right: tuple[BorderPart, ...] = ()

    @property
    def width(self) -> int:
        """Cells that it takes at least, corners included."""
        return _LEAST_LINE + sum(_width(end) + 2 * _INDENT - 2 for end in (self.left, self.right) if end)

    def fitting(self, width: int) -> EdgeWords:
        """What there is room for in so many cells, corners included."""
        words = self
        while words.width > width and (words.left or words.right):
            least = min((*words.left, *words.right), key=lambda part: part.worth)
            words = EdgeWords(_without(words.left, least), _without(words.right, least))
        return words


def _without(parts: tuple[BorderPart, ...], part: BorderPart) -> tuple[BorderPart, ...]:
    return tuple(one for one in parts if one is not part)


def _width(parts: Sequence[BorderPart]) -> int:
    return sum(part.width for part in parts) + len(_DOT) * (len(parts) - 1)


class BorderedTextArea(WrappedArea):
    """A text area with a border, which `set_words` writes on."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"border--{name}" for name in _STYLE_NAMES}
    DEFAULT_CSS = """
    BorderedTextArea {
        .border--plain { color: $foreground-muted; }
        .border--key { color: $footer-key-foreground; text-style: bold; }
        .border--hint { color: $text-primary; text-style: bold; }
        .border--alert { color: $text-error; }
    }
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._words: dict[Edge, EdgeWords] = {}

    def set_words(self, edge: Edge, words: EdgeWords) -> None:
        """Write this on an edge in place of what is there."""
        if self._words.get(edge, EdgeWords()) != words:
            self._words[edge] = words
            # Regions count from the content, which the border lies around.
            x, y = self.content_offset
            self.refresh(Region(-x, self._row(edge) - y, self.outer_size.width, 1))

    def words_on(self, edge: Edge) -> str:
        """What is to be read there."""
        ends = [_DOT.join("".join(text for text, _ in part.runs) for part in parts) for _, parts in self._placed(edge)]
        return "  ".join(ends)

    def _row(self, edge: Edge) -> int:
        return 0 if edge == "top" else self.outer_size.height - 1

    def _placed(self, edge: Edge) -> list[tuple[int, tuple[BorderPart, ...]]]:
        """What stands at each end, with the cell that it begins at."""
        width = self.outer_size.width
        words = self._words.get(edge, EdgeWords()).fitting(width)
        placed = ((_INDENT, words.left), (width - _INDENT - _width(words.right), words.right))
        return [(x, parts) for x, parts in placed if parts]

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a region, the words over those of the border."""
        strips = super().render_lines(crop)
        for edge in EDGES:
            y = self._row(edge)
            if y in crop.line_range and (placed := self._placed(edge)):
                whole = super().render_lines(Region(0, y, self.outer_size.width, 1))[0]
                strips[y - crop.y] = self._written(whole, placed).crop(*crop.column_span)
        return strips

    def _written(self, strip: Strip, placed: list[tuple[int, tuple[BorderPart, ...]]]) -> Strip:
        below = next((segment.style for segment in strip if segment.style), Style.null())
        background = Style(bgcolor=below.bgcolor)
        segments: list[Segment] = []
        done = 0
        for x, parts in placed:
            runs: list[Run] = [(" ", "plain")]
            for part in parts:
                if len(runs) > 1:
                    runs.append((_DOT, "plain"))
                runs += part.runs
            runs.append((" ", "plain"))
            segments += strip.crop(done, x - 1)
            segments += [Segment(text, background + self._word_style(name)) for text, name in runs]
            done = x + _width(parts) + 1
        segments += strip.crop(done, strip.cell_length)
        return Strip(segments, strip.cell_length)

    def _word_style(self, name: str) -> Style:
        styles = self.get_component_styles(f"border--{name}")
        full = self.get_component_rich_style(f"border--{name}")
        # Of the terminal's own colours none lies between two others: dim stands for a faint one.
        faint = styles.color.a < 1 and self.app.native_ansi_color
        return Style(color=None if faint else full.color, bold=full.bold or None, dim=faint or None)

    def on_click(self, event: events.Click) -> None:
        """Do what the words below the mouse are for."""
        for edge in EDGES:
            if event.y == self._row(edge):
                self._click(edge, event.x)

    def _click(self, edge: Edge, at: int) -> None:
        for x, parts in self._placed(edge):
            for part in parts:
                if part.action and x <= at < x + part.width:
                    self.app.call_later(self.app.run_action, f"screen.{part.action}")
                x += part.width + len(_DOT)
