"""The whole conversation as one column of lines, of which only what is looked at is laid out: the heights of other
entries are estimates until they come into view."""

from __future__ import annotations

from bisect import bisect_right

from tui.app.markdown.text import BLANK, Line
from tui.app.widgets.transcript_entries import Entry


class Document:
    """Entries with their heights. Rows count from 0 at the top of the first entry."""

    def __init__(self, width: int = 80) -> None:
        self.width = width
        self.entries: list[Entry] = []
        self._heights: list[int] = []
        self._starts: list[int] = []
        """Row of each entry's first line; may be shorter than `entries` until it is asked for."""

    def add(self, entry: Entry, *, lay_out: bool = True) -> int:
        """Append an entry; returns its index."""
        if lay_out:
            entry.lay_out(self.width)
        self.entries.append(entry)
        self._heights.append(entry.height if lay_out else entry.estimate(self.width))
        return len(self.entries) - 1

    def cut(self, index: int) -> None:
        """Drop the entries from `index` on."""
        del self.entries[index:], self._heights[index:], self._starts[index:]

    def resize(self, width: int) -> None:
        """All heights become estimates for another width."""
        self.width = width
        self._heights = [entry.estimate(width) for entry in self.entries]
        self._starts = []

    def is_laid_out(self, index: int) -> bool:
        """Whether the entry's height is the real one."""
        return self.entries[index].width == self.width and bool(self.entries[index].parts)

    def lay_out(self, index: int) -> int:
        """Lay an entry out if that is still to do; returns by how much its height differs from the estimate."""
        if self.is_laid_out(index):
            return 0
        self.entries[index].lay_out(self.width)
        return self.measure(index)

    def measure(self, index: int) -> int:
        """Take over the height of an entry that changed; returns the difference."""
        change = self.entries[index].height - self._heights[index]
        if change:
            self._heights[index] += change
            del self._starts[index + 1 :]
        return change

    def start(self, index: int) -> int:
        """Row of an entry's first line; of the index past the last one, the height of all."""
        starts = self._starts
        if not starts:
            starts.append(0)
        while len(starts) <= index:
            starts.append(starts[-1] + self._heights[len(starts) - 1])
        return starts[index]

    @property
    def height(self) -> int:
        """Rows of all entries, estimates included."""
        return self.start(len(self.entries))

    def at(self, row: int) -> int:
        """Index of the entry that holds a row; the last one for rows past the end, -1 when there is none."""
        if not self.entries:
            return -1
        self.start(len(self.entries))
        return min(max(0, bisect_right(self._starts, row) - 1), len(self.entries) - 1)

    def line(self, row: int) -> tuple[int, int, Line]:
        """Entry index, row within it, and the line; index -1 and a blank line outside the document."""
        if row < 0 or row >= self.height:
            return -1, 0, BLANK
        index = self.at(row)
        local = row - self._starts[index]
        return index, local, self.entries[index].line(local)
