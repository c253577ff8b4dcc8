"""Rendering of one block to lines of a given width, its quotes' bars and list markers before it."""

from __future__ import annotations

from tui.app.markdown.blocks import Block
from tui.app.markdown.code import LiveCode, highlight
from tui.app.markdown.inline import close_open_marks, formula, inline
from tui.app.markdown.syntax import TAB
from tui.app.markdown.table import layout
from tui.app.markdown.text import BLANK, GrowingText, Line, Run, fold, width_of, wrap_runs

MIN_WIDTH = 8
"""Text is never wrapped narrower, however deep it is nested: deeper levels lose their indent instead."""

_DISPLAY = (("$$", "$$"), ("\\[", "\\]"))
_QUOTE_BAR = ("▎ ", "quote.bar")


class Live:
    """What rendering remembers of a block that is still being written."""

    def __init__(self) -> None:
        self.code = LiveCode()
        self.text = GrowingText()


def _prefixes(block: Block, width: int) -> tuple[list[Run], list[Run], list[Run], int]:
    """Decoration of the first row, of the others and of an empty row before, and the cells that it takes."""
    first: list[Run] = []
    rest: list[Run] = []
    before: list[Run] = []
    used = 0
    shared = True
    for container in block.containers:
        shared = shared and not container.fresh
        if container.kind == "quote":
            marker, indent = _QUOTE_BAR, _QUOTE_BAR
        else:
            marker = (f"{container.marker} " if container.fresh else " " * (width_of(container.marker) + 1), "marker")
            indent = (" " * width_of(marker[0]), "")
        cells = width_of(marker[0])
        if used + cells > width - MIN_WIDTH:
            continue
        used += cells
        first.append(marker)
        rest.append(indent)
        if shared:
            before.append(indent)
    return first, rest, before, used


def _is_quoted(block: Block) -> bool:
    return any(container.kind == "quote" for container in block.containers)


def _body(block: Block, width: int, live: Live | None) -> list[Line]:
    """Lines of the block itself, without decoration."""
    base = "quote" if _is_quoted(block) else ""
    if block.kind == "code":
        return _code(block, width, live)
    if block.kind == "table":
        return _table(block, width)
    if block.kind == "rule":
        return [Line((("─" * width, "rule"),))]
    if block.kind == "verbatim":
        runs: list[Run] = [(_display(block), "verbatim")]
    else:
        if block.kind == "heading":
            base = f"h{min(block.level, 4)}"
        text = block.text if block.closed else close_open_marks(block.text)
        runs = inline(text, base)
    return [Line(tuple(row), joint=joint) for row, joint in wrap_runs(runs, width, growing=live.text if live else None)]


def _display(block: Block) -> str:
    """A formula that stands alone, readable once it is whole; what is none as it is."""
    text = block.text.strip()
    for opens, closes in _DISPLAY:
        if block.closed and text.startswith(opens) and text.endswith(closes) and len(text) >= 4:
            return formula(text) if (shown := formula(text)) == text else _indented(shown)
    return block.text


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _code(block: Block, width: int, live: Live | None) -> list[Line]:
    lines: list[Line] = []
    if block.first and (block.info or block.closed):
        label = f" {block.info}"
        label = label[: fold(label, width)[0][1]]
        lines.append(Line(((label, "code.label"),), fill="fence", action="copy"))
    text, context = block.text.expandtabs(TAB), block.context.expandtabs(TAB)
    rows = (live.code.rows if live else highlight)(text, block.info, context)
    for row in rows:
        for part, joint in wrap_runs(row, max(1, width - 2), folded=True):
            lines.append(Line(((" ", "code.text"), *part), fill="fence", lead=1, joint=joint))
    return lines


def _table(block: Block, width: int) -> list[Line]:
    if block.first:
        _, _, *rows = block.text.split("\n")
        source = block.text
        if not block.closed and len(rows) > 1:
            # The row that is being written takes the columns as they are, so that they do not move at each letter.
            source = source[: source.rindex("\n")]
        shape = layout(source, width)
        lines = shape.heading()
    else:
        shape = layout(block.context, width)
        rows = block.text.split("\n")
        lines = []
    for row in rows:
        lines += shape.row(row)
    return [Line(tuple(line)) for line in lines]


def render(block: Block, width: int, live: Live | None = None) -> list[Line]:
    """The rows of a block in `width` cells, with the empty row before it where it wants one. `live` remembers
    what is already highlighted and broken into rows of a block that is still being written."""
    first, rest, before, used = _prefixes(block, width)
    lines = [Line(tuple(before), lead=sum(len(text) for text, _ in before)) if before else BLANK] if block.gap else []
    lead = first
    for line in _body(block, max(1, width - used), live):
        if lead:
            size = sum(len(text) for text, _ in lead)
            line = line._replace(runs=(*lead, *line.runs), lead=line.lead + size)
        lines.append(line)
        lead = rest
    return lines
