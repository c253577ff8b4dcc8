"""Painting rows straight to the terminal, in the cells that differ, while nothing covers the widget.

Costs, measured in a PTY of 120x40 on 2 cores (Textual 8.2): one `refresh(Region)` of a row is 1.1 ms from the call to
the terminal, most of it message pumps, the screen's timer and the compositor, and it writes the whole row with the
colours of every segment. Painting a changed row directly is 0.15 ms, and three tokens are 60 bytes instead of 160.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from textual.filter import LineFilter
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.app.widgets.transcript_paint import CompactStrip, Pen, RowsUpdate


class DirectPaint(Widget):
    """A widget that knows the rows of its content, inside border and padding, that are on the terminal.

    `repaint_rows` compares them with what `paint_row` gives now. When the widget is covered, hidden, about to be laid
    out, or not on a terminal of its own, the compositor paints as usual; what it paints are the same rows.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._painted: list[Strip | None] = []
        """What the terminal shows; None where a refresh is on its way."""
        self._checked: object = None
        """The compositor's map of widgets that `_is_clear` was found in."""
        self._is_clear = False
        self.painted_chars = 0
        """Characters of the last painting, escape sequences included; 0 when it was left to the compositor."""

    def paint_row(self, y: int) -> Strip:
        """Row `y` of the view as it should be now, as wide as the widget."""
        raise NotImplementedError

    def repaint_rows(self, first: int = 0, stop: int | None = None) -> None:
        """Paint the rows of a range again, in the cells that differ; all rows without arguments."""
        height = self.size.height
        first, stop = max(0, first), height if stop is None else min(height, stop)
        if first >= stop:
            return
        if self._can_paint():
            self._paint_changes(range(first, stop))
        else:
            self.painted_chars = 0
            self.refresh(Region(0, first, self.size.width, stop - first))

    def repaint_some(self, rows: Sequence[int]) -> None:
        """Paint these rows again, in the cells that differ."""
        if self._can_paint():
            self._paint_changes(rows)
        elif rows:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in rows))

    def _paint_changes(self, rows: Iterable[int]) -> None:
        x, top, _, _ = self.content_region
        inside = self.content_offset.y
        make_row = self._row_maker()
        pen = Pen(self.app.console)
        for y in rows:
            old = self._painted[y]
            if old is not None:  # None is painted by the refresh that it waits for.
                self._painted[y] = new = make_row(y)
                pen.write_change(x, top + y, old, new)
                self._styles_cache.set_dirty(Region(0, inside + y, 1, 1))
        sequences = pen.finish()
        self.painted_chars = len(sequences)
        if sequences:
            # Declared for Rich renderables, and written for updates of the compositor, whose kind this is.
            self.app._display(self.screen, RowsUpdate(sequences))  # type: ignore[arg-type]

    def _can_paint(self) -> bool:
        """Whether the cells of this widget on the terminal are its own and where they will stay."""
        app = self.app
        if len(self._painted) != self.size.height or not self.is_attached:
            return False
        if self.screen is not app.screen or app._batch_count or app._driver is None:
            return False
        screen = self.screen
        if screen._layout_required or self._layout_required or app._driver.is_inline or app.is_headless:
            return False
        visible = screen._compositor.visible_widgets
        if visible is not self._checked:
            self._checked = visible
            self._is_clear = self._nothing_covers(visible)
        return self._is_clear

    def _nothing_covers(self, visible: dict[Widget, tuple[Region, Region]]) -> bool:
        if self not in visible:
            return False
        region, clip = visible[self]
        if not clip.contains_region(region):
            return False
        # The compositor lists widgets from the front to the back.
        for widget, (other, other_clip) in visible.items():
            if widget is self:
                return True
            if other.intersection(other_clip).overlaps(region):
                return False
        return False

    def _set_dirty(self, *regions: Region) -> None:
        if regions:
            for region in regions:
                for y in range(max(0, region.y), min(region.bottom, len(self._painted))):
                    self._painted[y] = None
        else:
            self._painted = []
        super()._set_dirty(*regions)

    def _row_maker(self) -> Callable[[int], Strip]:
        """What gives row `y` as the terminal gets it. Filters and background are looked up once for many rows."""
        filters: Sequence[LineFilter] = self.get_line_filters()
        background = self.background_colors[1]

        def make_row(y: int) -> Strip:
            strip = self.paint_row(y)
            # Textual filters rows once more where it puts them into a border, which changes nothing the second time.
            for line_filter in filters:
                strip = CompactStrip(list(strip.apply_filter(line_filter, background)), strip.cell_length)
            return strip

        return make_row

    def forget_rows(self) -> None:
        """All rows have to be made again, as after a change of theme, which refreshes the screen by itself."""
        self._painted = []

    def render_line(self, y: int) -> Strip:
        """A row of the content for the compositor; a row already painted is given again as it is."""
        width, height = self.size
        if len(self._painted) != height:
            self._painted = [None] * height
        if not 0 <= y < height:
            return Strip.blank(width)
        strip = self._painted[y]
        if strip is None:
            strip = self._painted[y] = self._row_maker()(y)
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a region for the compositor, which Textual puts into border and padding when there are any."""
        if self.styles.gutter.totals != (0, 0):
            return super().render_lines(crop)
        strips = [DirectPaint.render_line(self, y) for y in crop.line_range]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips
