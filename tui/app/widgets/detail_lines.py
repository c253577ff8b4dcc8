"""Groups of facts as lines: labels in a column of their own, values wrapped beside them, bars for shares. In narrow
places label and value share a line."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui.app.markdown.text import width_of, wrap
from tui.app.widgets.row_list import column
from tui.app.widgets.wrapped import Wrapped
from tui.base.text import clean
from tui.models.detail_words import DetailGroup, DetailRow

_NARROW, _WITH_BARS = 56, 72
"""Cells below which there are no columns, and from which on there are bars."""
_BAR, _GAP, _MOST_OF_LABELS = 16, 2, 24
_FULL, _EMPTY = "━", "╌"


class DetailLines(Wrapped):
    """What a `Static` shows of these groups."""

    def __init__(self, groups: Sequence[DetailGroup]) -> None:
        self._groups = tuple(groups)
        super().__init__(as_text(groups))

    def _rows(self, width: int) -> list[Content]:
        labels = [width_of(row.label) for group in self._groups for row in group.rows]
        n_label = min(max(labels, default=0), _MOST_OF_LABELS) if width >= _NARROW else 0
        lines: list[Content] = []
        for group in self._groups:
            lines += (
                [Content(""), Content.styled(clean(group.title), "bold")]
                if lines
                else [Content.styled(clean(group.title), "bold")]
            )
            for row in group.rows:
                lines += _in_columns(row, n_label, width) if n_label else _in_line(row, width)
        return lines


def as_text(groups: Sequence[DetailGroup]) -> str:
    """The same for a clipboard."""
    parts = ["\n".join([group.title, *(f"  {row.label}: {row.value}" for row in group.rows)]) for group in groups]
    return "\n\n".join(parts)


def _in_columns(row: DetailRow, n_label: int, width: int) -> list[Content]:
    value = clean(row.value)
    bar = Content("")
    if row.share is not None and width >= _WITH_BARS:
        n_full = max(1, round(row.share * _BAR)) if row.share else 0
        bar = Content.assemble((_FULL * n_full, "$primary"), (_EMPTY * (_BAR - n_full), "$foreground-disabled"), "  ")
    indent = n_label + _GAP + 1
    room = max(1, width - indent - len(bar.plain))
    found = []
    for number, (start, end) in enumerate(wrap(value, room)):
        if number:
            before = Content(" " * (indent + len(bar.plain)))
        else:
            label = column(clean(row.label), n_label)
            before = Content.assemble(" ", (label, "$foreground-muted"), " " * _GAP, bar)
        found.append(Content.assemble(before, value[start:end]))
    return found


def _in_line(row: DetailRow, width: int) -> list[Content]:
    label, value = clean(row.label), clean(row.value)
    text = f"{label}  {value}"
    if width_of(text) >= width:
        return [
            Content.styled(f" {label}", "$foreground-muted"),
            *(Content(f"   {value[start:end]}") for start, end in wrap(value, max(1, width - 3))),
        ]
    return [Content.assemble(" ", (label, "$foreground-muted"), "  ", value)]
