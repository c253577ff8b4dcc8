"""The base of the small widgets of the main screen: rows of styled text that are painted again only where they changed,
never laid out again. Colours are those of the theme, by the names of states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from tui.app.markdown.text import Line, Run, fold, width_of
from tui.app.widgets.direct_paint import DirectPaint, RowPainter

Row = tuple[Run, ...]
"""One row: texts with their style names, such as "title" or "muted+strong"; "" is plain."""

STYLE_NAMES = ("strong", "title", "muted", "faint", "key", "good", "tight", "full")


class LineWidget(DirectPaint):
    """A widget whose rows come from `compose_rows`. Its size is set from outside and does not follow its text."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{name}" for name in STYLE_NAMES}
    DEFAULT_CSS = """
    LineWidget {
        .line--strong, .line--title { text-style: bold; }
        .line--muted { color: $foreground-muted; }
        .line--faint { color: $foreground-disabled; }
        .line--key { color: $footer-key-foreground; text-style: bold; }
        .line--good { color: $text-success; }
        .line--tight { color: $text-warning; text-style: bold; }
        .line--full { color: $text-error; text-style: bold; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: list[Row] = []

    def compose_rows(self, width: int, height: int) -> Sequence[Row]:
        """The rows from the top, for a content area of that size in cells; longer rows are cut, missing ones blank."""
        raise NotImplementedError

    def update_rows(self) -> None:
        """Compose the rows again and paint those that changed. Without a size, as when hidden, it does nothing."""
        width, height = self.size
        if not width or not height or not self.display:
            return
        rows = list(self.compose_rows(width, height))[:height]
        rows += [()] * (height - len(rows))
        before, self._rows = self._rows, rows
        if len(before) != len(rows):
            self.refresh()
        else:
            self.repaint_some([y for y, row in enumerate(rows) if row != before[y]])

    @property
    def rows_as_text(self) -> list[str]:
        """What is shown, without styles."""
        return ["".join(text for text, _ in row) for row in self._rows]

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the mark of the focus, or take it away. Messages about it come before it has changed."""
        super().watch_has_focus(has_focus)
        self.update_rows()

    def on_resize(self) -> None:
        """Take the new size; hidden widgets get it when they are shown."""
        self.update_rows()

    def on_show(self) -> None:
        """Catch up with what was told while the widget was hidden."""
        self.update_rows()

    def row_painter(self, size: Size) -> RowPainter:
        """Rows with the theme's colours."""
        palette, rows, width = self.palette, self._rows, size.width

        def paint(y: int) -> Strip:
            row = rows[y] if y < len(rows) else ()
            return palette.strip(Line(row), width, "", "", None)

        return paint

    def named_styles(self) -> dict[str, Style]:
        """The theme's styles for the names of states."""
        return {name: self._named_style(f"line--{name}") for name in STYLE_NAMES}

    def _named_style(self, name: str) -> Style:
        styles = self.get_component_styles(name)
        full = self.get_component_rich_style(name)
        # Of the terminal's own colours none lies between two others: dim stands for a faint one.
        faint = styles.color.a < 1 and self.app.native_ansi_color
        is_coloured = styles.has_rule("color") and not faint
        return Style(color=full.color if is_coloured else None, bold=full.bold or None, dim=faint or None)


def shorten(text: str, width: int) -> str:
    """The text in at most `width` cells; "…" stands for what is left out at its end."""
    if width_of(text) <= width:
        return text
    if width < 1:
        return ""
    start, end = fold(text, width - 1)[0] if width > 1 else (0, 0)
    kept = text[start:end]
    return f"{kept if width_of(kept) < width else ''}…"


def right(text: str, width: int) -> str:
    """The text at the right end of at least `width` cells."""
    return " " * (width - width_of(text)) + text


def spread(left: Row, right: Row, width: int) -> Row:
    """Both in one row, `right` at its right end, with at least one blank between them."""
    used = sum(width_of(text) for text, _ in (*left, *right))
    return (*left, (" " * max(1, width - used), ""), *right)
