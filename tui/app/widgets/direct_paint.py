"""Painting rows straight to the terminal, in the cells that differ, while nothing covers the widget.

Costs, measured in a PTY of 120x40 on 2 cores (Textual 8.2): one `refresh(Region)` of a row is 1.1 ms from the call to
the terminal, most of it message pumps, the screen's timer and the compositor, and it writes the whole row with the
colours of every segment. Painting a changed row directly is 0.15 ms, and three tokens are 60 bytes instead of 160.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from rich.style import Style
from textual.filter import LineFilter
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.app.widgets.transcript_paint import Palette, Pen, knows_links

SYNC_START, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"
"""Between them a terminal with synchronized output shows nothing half painted."""
RowPainter = Callable[[int], Strip]
"""Gives row `y` of a view."""


class _Unknown:
    """In place of a row: it is on the terminal, and nobody knows any more what it looks like."""


_UNKNOWN = _Unknown()


class DirectPaint(Widget):
    """A widget that knows the rows of its content, inside border and padding, that are on the terminal.

    `repaint_rows` compares them with what the `row_painter` gives now. When the widget is covered, hidden, about to be
    laid out, or not on a terminal of its own, the compositor paints as usual; what it paints are the same rows.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._painted: list[Strip | _Unknown | None] = []
        """What the terminal shows; None where a refresh is on its way."""
        self._checked: object = None
        """The compositor's map of widgets in which the next three were found."""
        self._is_clear = False
        self._area = Region()
        self._inside = 0
        """Rows of border and padding above the content."""
        self.painted_chars = 0
        """Characters of the last painting, escape sequences included; 0 when it was left to the compositor."""
        self._palette: Palette | None = None
        self._filters: Sequence[LineFilter] = ()
        """Those that the palette was made with."""

    @property
    def has_few_colors(self) -> bool:
        """No shade lies between two colours: they are the terminal's own sixteen, by the theme's wish or because it has
        no others. What is selected is shown in reverse then."""
        app = self.app
        return app.native_ansi_color or (not app.is_headless and app.console.color_system in ("standard", None))

    def row_painter(self, size: Size) -> RowPainter:
        """What gives the rows of the view, of that content size, as they should be now and as wide as the widget. What
        all rows share is looked up once, here."""
        raise NotImplementedError

    def paint_row(self, y: int) -> Strip:
        """Row `y` of the view as it should be now."""
        return self.row_painter(self.size)(y)

    def repaint_rows(self, first: int = 0, stop: int | None = None) -> None:
        """Paint the rows of a range again, in the cells that differ; all rows without arguments."""
        can_paint = self._can_paint()
        area = self._area if can_paint else self.content_region
        first, stop = max(0, first), area.height if stop is None else min(area.height, stop)
        if first >= stop:
            return
        if can_paint:
            self._paint_changes(range(first, stop))
        else:
            self.painted_chars = 0
            self.refresh(Region(0, first, area.width, stop - first))

    def repaint_some(self, rows: Sequence[int]) -> None:
        """Paint these rows again, in the cells that differ."""
        if not rows:
            return
        if self._can_paint():
            self._paint_changes(rows)
        else:
            width = self.size.width
            self.refresh(*(Region(0, y, width, 1) for y in rows))

    @property
    def area(self) -> Region:
        """The cells of the terminal that the content has. `Widget.size` and `content_region` find them anew each time,
        which is a tenth of what a few tokens cost."""
        return self._area if self._can_paint() else self.content_region

    def _paint_changes(self, rows: Iterable[int]) -> None:
        x, top, _, _ = self._area
        paint = self.row_painter(self._area.size)
        pen = Pen(self.app.console)
        unknown = []
        for y in rows:
            old = self._painted[y]
            if isinstance(old, _Unknown):
                unknown.append(y)
            elif old is not None:  # None is painted by the refresh that it waits for.
                self._painted[y] = new = paint(y)
                pen.write_change(x, top + y, old, new)
                self._styles_cache.set_dirty(Region(0, self._inside + y, 1, 1))
        sequences = pen.finish()
        self.painted_chars = len(sequences)
        if sequences:
            self._send(sequences)
        if unknown:
            self.refresh(*(Region(0, y, self._area.width, 1) for y in unknown))

    def _send(self, sequences: str) -> None:
        """Write to the terminal as `App._display` does, but in one piece: each piece wakes the thread that writes."""
        app = self.app
        if app._driver is None or not app._running or app._closed:
            return
        column, row = app.screen.outer_size.clamp_offset(app.cursor_position)
        frame = f"{sequences}\x1b[{row + 1};{column + 1}H"
        app._driver.write(f"{SYNC_START}{frame}{SYNC_END}" if app._sync_available else frame)

    def _can_paint(self) -> bool:
        """Whether the cells of this widget on the terminal are its own and where they will stay."""
        app = self.app
        driver = app._driver
        if driver is None or driver.is_inline or app.is_headless or app._batch_count or app._exit or self._pruning:
            return False
        screen = app.screen
        if screen._layout_required or self._layout_required:
            return False
        visible = screen._compositor.visible_widgets
        if visible is not self._checked:
            self._checked = visible
            self._is_clear = self._nothing_covers(visible)
            self._area, self._inside = self.content_region, self.content_offset.y
        return self._is_clear and len(self._painted) == self._area.height

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

    def named_styles(self) -> dict[str, Style]:
        """The theme's styles for the names that rows carry."""
        raise NotImplementedError

    @property
    def palette(self) -> Palette:
        """Those styles as the terminal gets them: Textual's filters (true colours, monochrome, no dim) look at nothing
        but styles, so each is filtered once and rows need not be. Where Textual filters a row again, because it puts it
        into a border, that changes nothing."""
        filters = self.get_line_filters()
        if self._palette is None or self._filters != filters:
            base, background = self.rich_style, self.background_colors[1]
            self._palette = Palette(
                Style(color=base.color, bgcolor=base.bgcolor),
                self.named_styles(),
                filters,
                background,
                links=knows_links(os.environ),
            )
            self._filters = filters
        return self._palette

    def notify_style_update(self) -> None:
        """Take the colours from the theme again."""
        super().notify_style_update()
        self._palette = None
        self.forget_rows()

    def forget_rows(self) -> None:
        """All rows have to be made again, as after a change of theme, which refreshes the screen by itself."""
        self._painted = []

    def render_line(self, y: int) -> Strip:
        """A row of the content for the compositor; a row already painted is given again as it is."""
        width, height = self.size
        if len(self._painted) != height:
            # Of the others it gives those again that it has kept: only those that have changed are asked for.
            self._painted = [_UNKNOWN] * height
        if not 0 <= y < height:
            return Strip.blank(width)
        strip = self._painted[y]
        if not isinstance(strip, Strip):
            strip = self._painted[y] = self.paint_row(y)
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a region for the compositor, which Textual puts into border and padding when there are any."""
        if self.styles.gutter.totals != (0, 0):
            return super().render_lines(crop)
        strips = [DirectPaint.render_line(self, y) for y in crop.line_range]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips
