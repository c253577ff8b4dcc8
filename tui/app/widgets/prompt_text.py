"""Where the rows of the prompt break and where its cursor can stand: by grapheme, as terminals show text. Textual's own
text area goes by code point, which puts the cursor inside a flag or an emoji family and breaks rows there."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise

from textual.document._document import Location
from textual.document._document_navigator import DocumentNavigator
from textual.document._wrapped_document import WrappedDocument
from textual.geometry import Offset, clamp
from wcwidth import grapheme_boundary_before, iter_graphemes

from tui.app.markdown.text import width_of, wrap

TAB = "    "
"""What a tab looks like; as wide wherever it stands, so that a row can be measured by itself."""
_PLAIN = re.compile("[\x20-\u02ff\u3001-\u3020\u30a1-\u30fa\u4e00-\u9fff\uff01-\uff5e]")
"""Characters of Latin, Chinese and Japanese that never join the one before them."""
_BLANK_THAT_GOES_ON = re.compile(
    "[ \u3000][\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u200c\u200d\u20d0-\u20ff\ufe00-\ufe0f"
    "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
"""A blank with what joins it: a place between words for whoever wraps them, and the inside of a grapheme."""
_FAR = 600
"""Even, so that in a long row of flags, two code points each, counting starts at the start of one."""


def cells(text: str) -> int:
    """Cells that the text takes in the prompt."""
    return width_of(text.replace("\t", TAB))


def grapheme_start(line: str, column: int) -> int:
    """The column itself, or the start of the grapheme that it lies within."""
    # The search looks at all that it is given, so it begins at the last character that surely starts a grapheme.
    begin = column
    while 0 < begin < len(line) and column - begin < _FAR and not _PLAIN.match(line, begin):
        begin -= 1
    return column if begin == column else begin + grapheme_boundary_before(line[begin : column + 1], column + 1 - begin)


def grapheme_after(line: str, column: int) -> int:
    """Where the grapheme that starts at the column ends."""
    return column + len(next(iter_graphemes(line, column), ""))


def row_breaks(line: str, width: int) -> list[int]:
    """Where the rows after the first one start, when rows have `width` cells: between words and CJK characters, else
    between graphemes. One cell more may be taken by a blank."""
    if width < 1 or (len(line) <= width and line.isascii() and "\t" not in line):
        return []
    if "\t" in line or _BLANK_THAT_GOES_ON.search(line):
        return _folded(line, 0, len(line), width)
    rows = wrap(line, width)
    breaks: list[int] = []
    for index, (start, end) in enumerate(rows):
        if index:
            if grapheme_start(line, start) != start:  # the row before would end in half of a flag
                return _folded(line, 0, len(line), width)
            breaks.append(start)
        # Blanks that wrapping swallowed are there for the cursor all the same.
        stop = rows[index + 1][0] if index + 1 < len(rows) else len(line)
        free = width + 1 - cells(line[start:end])
        breaks += range(end + free, stop, width + 1)
    return breaks


def _folded(line: str, start: int, end: int, width: int) -> list[int]:
    breaks: list[int] = []
    used = 0
    for grapheme in iter_graphemes(line, start, end):
        taken = cells(grapheme)
        if used + taken > width and used:
            breaks.append(start)
            used = 0
        used += taken
        start += len(grapheme)
    return breaks


def _numbers(wrap_offsets: Iterable[list[int]], first_row: int) -> Iterator[int]:
    """Number of the first row of each line, and of the row after the last."""
    return accumulate((len(breaks) + 1 for breaks in wrap_offsets), initial=first_row)


class PromptRows(WrappedDocument):
    """The document in rows. An edit wraps no more than the lines, and of the first line the rows, that it touched."""

    _row_numbers: list[int] | None = None
    """Number of the first row of each line, and of the row after the last; None until it is asked for."""

    def wrap(self, width: int, tab_width: int | None = None) -> None:
        """Wrap everything, unless it is wrapped at that width already; 0 does not wrap."""
        if width == self._width and self._wrap_offsets:
            return
        self._width = width
        self._wrap_offsets = [row_breaks(line, width) for line in self.document.lines]
        self._row_numbers = None

    def wrap_range(self, start: Location, old_end: Location, new_end: Location) -> None:
        """Wrap what an edit from `start` to `old_end` changed, which now goes to `new_end`."""
        last_old, last_new = len(self._wrap_offsets) - 1, self.document.line_count - 1
        start = min(start, old_end)
        top = clamp(start[0], 0, min(last_old, last_new))
        old_bottom = clamp(max(start[0], old_end[0]), top, last_old)
        new_bottom = clamp(max(start[0], new_end[0]), top, last_new)
        column = start[1] if start[0] == top else 0

        # A row can take back words from the one below, so the row before that of the edit may change too.
        breaks = self._wrap_offsets[top]
        kept = breaks[: max(0, bisect_right(breaks, column) - 1)]
        begin = kept[-1] if kept else 0
        first, *others = self.document.lines[top : new_bottom + 1]
        wrapped = [kept + [begin + offset for offset in row_breaks(first[begin:], self._width)]]
        wrapped += [row_breaks(line, self._width) for line in others]
        self._wrap_offsets[top : old_bottom + 1] = wrapped
        if (numbers := self._row_numbers) is not None:  # those before the edit stay
            first_row = numbers[top]
            del numbers[top:]
            numbers.extend(_numbers(self._wrap_offsets[top:], first_row))

    @property
    def row_numbers(self) -> list[int]:
        """Number of the first row of each line, and of the row after the last."""
        if self._row_numbers is None:
            self._row_numbers = list(_numbers(self._wrap_offsets, 0))
        return self._row_numbers

    @property
    def height(self) -> int:
        """Rows in all."""
        return self.row_numbers[-1]

    def row_span(self, row: int) -> tuple[int, int, int]:
        """Line, first column and column after the last of a row that there is."""
        line = bisect_right(self.row_numbers, row) - 1
        return line, *self._section_span(line, row - self.row_numbers[line])

    def _section_span(self, line: int, section: int) -> tuple[int, int]:
        bounds = [0, *self._wrap_offsets[line], len(self.document[line])]
        section %= len(bounds) - 1
        return bounds[section], bounds[section + 1]

    def offset_to_location(self, offset: Offset) -> Location:
        """The place that is nearest to cell x of row y."""
        row = clamp(offset[1], 0, self.height - 1)
        line = bisect_right(self.row_numbers, row) - 1
        return line, self.get_target_document_column(line, max(0, offset[0]), row - self.row_numbers[line])

    def location_to_offset(self, location: Location) -> Offset:
        """Cell and row of a place in the document."""
        line = clamp(location[0], 0, len(self._wrap_offsets) - 1)
        section = bisect_right(self._wrap_offsets[line], location[1])
        start, _ = self._section_span(line, section)
        return Offset(cells(self.document[line][start : location[1]]), self.row_numbers[line] + section)

    def get_target_document_column(self, line_index: int, x_offset: int, y_offset: int) -> int:
        """The column at cell `x_offset` of row `y_offset` of a line; negative rows count from its last."""
        line = self.document[line_index]
        column, end = self._section_span(line_index, y_offset)
        used = 0
        for grapheme in iter_graphemes(line, column, end):
            used += cells(grapheme)
            # The end of a row that goes on is the start of the next one, so the cursor stays before its last character.
            if used > x_offset or (end < len(line) and column + len(grapheme) == end):
                break
            column += len(grapheme)
        return column

    def get_sections(self, line_index: int) -> list[str]:
        """The rows of a line as texts."""
        line = self.document[line_index]
        bounds = [0, *self._wrap_offsets[line_index], len(line)]
        return [line[start:end] for start, end in pairwise(bounds)]

    def get_tab_widths(self, line_index: int) -> list[int]:
        """Cells of each tab of a line."""
        return [len(TAB)] * self.document[line_index].count("\t")


class PromptNavigator(DocumentNavigator):
    """Moves by grapheme."""

    def get_location_left(self, location: Location) -> Location:
        """One grapheme, or one line break, to the left."""
        line, column = location
        if column == 0:
            return super().get_location_left(location)
        return line, grapheme_start(self._document[line], column - 1)

    def get_location_right(self, location: Location) -> Location:
        """One grapheme, or one line break, to the right."""
        line, column = location
        if column >= len(self._document[line]):
            return super().get_location_right(location)
        return line, grapheme_after(self._document[line], column)

    def get_location_end(self, location: Location) -> Location:
        """The end of the row; where the line goes on in another row, the place before its last character."""
        line, column = super().get_location_end(location)
        return line, grapheme_start(self._document[line], column)
