"""Tables: column widths that fit the space, cells wrapped and aligned; a list of fields where columns cannot fit."""

from __future__ import annotations

from functools import lru_cache

from tui.app.markdown.inline import inline
from tui.app.markdown.syntax import cells_of
from tui.app.markdown.text import Run, width_of, wrap_runs

MIN_COLUMN = 4
BAR = " │ "


class Layout:
    """Column widths of a table, decided by its first rows, and the rendering of rows in them."""

    def __init__(self, source: str, width: int) -> None:
        head, delimiter, *rows = source.split("\n")
        self.head = cells_of(head)
        self.width = width
        self.aligns = [_align(cell) for cell in cells_of(delimiter)]
        natural = [max(1, _measure(cell, "strong")) for cell in self.head]
        for row in rows:
            for column, cell in enumerate(cells_of(row, len(natural))):
                natural[column] = max(natural[column], _measure(cell, ""))
        space = width - len(BAR) * (len(natural) - 1)
        self.is_list = space < MIN_COLUMN * len(natural) and sum(natural) > space
        self.widths = _share(natural, space)

    def heading(self) -> list[list[Run]]:
        """The head and the rule under it."""
        if self.is_list:
            return []
        rule = "─┼─".join("─" * width for width in self.widths)
        return [*self._cells(self.head, "strong"), [(rule, "table.line")]]

    def row(self, source: str) -> list[list[Run]]:
        """The lines of one row, each as wide as the table."""
        cells = cells_of(source, len(self.head))
        cells += [""] * (len(self.head) - len(cells))
        if not self.is_list:
            return self._cells(cells, "")
        fields: list[list[Run]] = []
        for name, cell in zip(self.head, cells, strict=True):
            runs = [*inline(name, "strong"), (": ", ""), *inline(cell)]
            fields += [row for row, _ in wrap_runs(runs, self.width)]
        return [*fields, [("─" * min(self.width, 8), "table.line")]]

    def _cells(self, cells: list[str], base: str) -> list[list[Run]]:
        columns = [_cell(*args, base) for args in zip(cells, self.widths, self.aligns, strict=True)]
        lines: list[list[Run]] = []
        for number in range(max(len(column) for column in columns)):
            line: list[Run] = []
            for index, (column, width) in enumerate(zip(columns, self.widths, strict=True)):
                if index:
                    line.append((BAR, "table.line"))
                line += column[number] if number < len(column) else [(" " * width, "")]
            lines.append(line)
        return lines


@lru_cache(maxsize=32)
def layout(source: str, width: int) -> Layout:
    """The layout for a table whose first piece (head, delimiter, rows) is `source`."""
    return Layout(source, width)


def _align(delimiter: str) -> str:
    if delimiter.endswith(":"):
        return "center" if delimiter.startswith(":") else "right"
    return "left"


@lru_cache(maxsize=2048)
def _measure(cell: str, base: str) -> int:
    lines = "".join(text for text, _ in inline(cell, base)).split("\n")
    return max(width_of(line) for line in lines)


@lru_cache(maxsize=2048)
def _cell(cell: str, width: int, align: str, base: str) -> list[list[Run]]:
    """The lines of a cell, each padded to exactly `width` cells."""
    lines: list[list[Run]] = []
    for row, _ in wrap_runs(inline(cell, base), width):
        free = width - sum(width_of(text) for text, _ in row)
        left = free if align == "right" else free // 2 if align == "center" else 0
        line = [(" " * left, "")] if left else []
        line += row
        if free > left:
            line.append((" " * (free - left), ""))
        lines.append(line)
    return lines


def _share(natural: list[int], space: int) -> list[int]:
    """Give each column what it needs, and the wide ones equal shares of what is left."""
    if sum(natural) <= space:
        return natural
    widths = [0] * len(natural)
    open_columns = list(range(len(natural)))
    while open_columns:
        share = max(MIN_COLUMN, space // len(open_columns))
        narrow = [column for column in open_columns if natural[column] <= share]
        if not narrow:
            for number, column in enumerate(open_columns):
                widths[column] = max(MIN_COLUMN, share + (number < space - share * len(open_columns)))
            break
        for column in narrow:
            widths[column] = natural[column]
            space -= natural[column]
        open_columns = [column for column in open_columns if column not in narrow]
    return widths
