"""The incremental block parser: takes a text in chunks of any size and gives out Markdown blocks as soon as they are
closed. It looks at complete lines only, so the blocks depend on the text and not on how it was cut into chunks.

It follows CommonMark with tables, and departs from it where text from a model is better served: every list item is a
block of its own, long fences and tables come in pieces, `---` under a paragraph is a rule, `\\[ \\]` and `$$` open a
formula, and reference links stay as they are written, for their targets come after the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from tui.app.markdown.blocks import Block, BlockKind, Container
from tui.app.markdown.syntax import (
    DELIMITER,
    FENCE,
    HEADING,
    HTML,
    ITEM,
    MATH,
    MAX_DEPTH,
    ONLY_MARKUP,
    QUOTE,
    RULE,
    SETEXT,
    TAB,
    TASK,
    cells_of,
    closes,
    heading_of,
    indent_of,
    inner_fences,
)
from tui.base.text import clean_piece, without_towers

FENCE_PIECE = 24
"""A fence is cut at the first empty line after so many, or at twice as many: a piece is what is highlighted at once."""
FENCE_CONTEXT = 12
"""Lines before a piece that are lexed with it, so that a comment or string that began there is still known."""
TABLE_PIECE = 24
"""Rows that decide a table's column widths; later rows come in pieces of `TABLE_ROWS`."""
TABLE_ROWS = 8
MAX_COLUMNS = 100
VERBATIM_PIECE = 48
_MARKDOWN = ("markdown", "md", "mdx")
"""Languages of blocks whose text has fences of its own."""
_TIGHT = {("paragraph", "paragraph"), ("paragraph", "list"), ("list", "list"), ("paragraph", "verbatim"),
          ("verbatim", "paragraph"), ("quote", "quote")}  # fmt: skip
"""Neighbours at the top level that stand as close as the source has them."""
_BULLETS = ("•", "◦", "▪")


@dataclass(slots=True)
class _Open:
    """A container that is open. `indent` is the column of an item's content and `mark` of its marker."""

    kind: str
    indent: int = 0
    mark: int = 0
    number: int = -1
    marker: str = ""
    fresh: bool = True


@dataclass(slots=True)
class _Leaf:
    """The block that is being written."""

    kind: BlockKind
    depth: int
    gap: bool
    lines: list[str] = field(default_factory=list)
    level: int = 0
    info: str = ""
    fence: str = ""
    """The fence's own marker, or what closes a formula; "" when an empty line closes the block."""
    inner: tuple[tuple[str, int], ...] = ()
    """Fences that are open within a block of Markdown: their markers and indents."""
    context: str = ""
    first: bool = True


class BlockSplitter:
    """Feed text, get closed blocks; `tail` shows what is open, `finish` closes it. Text is cleaned on the way in."""

    def __init__(self) -> None:
        self._partial = ""
        self._now, self._n_columns = "", 0
        """The line that is looked at, with its tabs, and how long it is without."""
        self._stack: list[_Open] = []
        self._leaf: _Leaf | None = None
        self._empty_line = False
        self._last: BlockKind | None = None
        self._last_top = ""
        """What the last block was at the top level: "list", "quote", or its own kind."""
        self._out: list[Block] = []

    def feed(self, text: str) -> list[Block]:
        """Take more text and return the blocks that it closed."""
        self._partial += clean_piece(text)
        if "\n" in self._partial:
            *lines, self._partial = self._partial.split("\n")
            for line in lines:
                self._line(line)
        return self._take()

    def finish(self) -> list[Block]:
        """The text is complete: return the blocks that were still open."""
        if self._partial:
            self._line(self._partial)
            self._partial = ""
        self._close_leaf()
        self._pop(0)
        return self._take()

    def tail(self) -> list[Block]:
        """The open blocks as they would be if the text ended here, `closed` being False. A beginning of a line that
        may turn out to be mere markup is left out."""
        if self._leaf is None and not self._partial:
            return []
        ahead = BlockSplitter()
        ahead._stack = [replace(container) for container in self._stack]
        ahead._leaf = leaf = self._leaf and replace(self._leaf, lines=self._leaf.lines.copy())
        ahead._empty_line, ahead._last, ahead._last_top = self._empty_line, self._last, self._last_top
        is_markup = ONLY_MARKUP.match(self._partial) is not None
        if is_markup and leaf is not None and leaf.fence[:1] in ("`", "~"):
            is_markup = self._partial.lstrip().startswith(leaf.fence[0])
        if not is_markup:
            ahead._partial = self._partial
        if ahead._partial:
            ahead._line(ahead._partial)
            ahead._partial = ""
        if ahead._leaf is None and not ahead._out:
            return []
        return [block._replace(closed=False) for block in ahead.finish()]

    def _take(self) -> list[Block]:
        blocks, self._out = self._out, []
        return blocks

    def _line(self, line: str) -> None:
        self._now = without_towers(line)
        line = self._now.expandtabs(TAB)
        self._n_columns = len(line)
        rest, depth = self._match(line)
        leaf = self._leaf
        if leaf is not None and leaf.fence and self._continue_fence(leaf, rest, depth):
            return
        if not rest.strip():
            self._blank_line(depth)
            return
        if leaf is not None and leaf.kind == "code" and not leaf.fence:
            if depth >= leaf.depth and indent_of(rest) >= 4:
                self._add_code(leaf, self._with_tabs(rest[4:]))
                return
            self._close_leaf()
        if leaf is not None and leaf.kind == "verbatim" and depth >= leaf.depth:
            self._add(leaf, rest, VERBATIM_PIECE)
            return
        paragraph = self._leaf is not None and self._leaf.kind == "paragraph"
        if paragraph and depth < len(self._stack) and not self._starts_block(rest):
            assert self._leaf is not None
            self._leaf.lines.append(rest.strip(" "))
            return
        if depth < len(self._stack):
            self._close_leaf()
            number = self._pop(depth)
        else:
            number = -1
        self._open_containers(rest, number)

    def _with_tabs(self, rest: str) -> str:
        """An end of the line as its source has it. Of a tab in the middle of which it begins, the rest are spaces."""
        if "\t" not in self._now:
            return rest
        start, column = self._n_columns - len(rest), 0
        for place, char in enumerate(self._now):
            if column >= start:
                return " " * (column - start) + self._now[place:]
            column += TAB - column % TAB if char == "\t" else 1
        return " " * (column - start)

    def _match(self, line: str) -> tuple[str, int]:
        """What is left of a line behind the prefixes of the open containers, and how many of them it continues."""
        depth = 0
        is_blank = not line.strip()
        for container in self._stack:
            if container.kind == "quote":
                match = QUOTE.match(line)
                if match is None:
                    break
                line = line[match.end() :]
                is_blank = not line.strip()
            elif not is_blank:
                indent = indent_of(line)
                if indent < container.indent:
                    # Models indent an item under "10." by two or three as well, where CommonMark wants four; what
                    # follows in the outer item is then as little indented.
                    if indent < container.mark + 2 or not ITEM.match(line.lstrip(" ")):
                        break
                    container.indent = indent
                line = line[container.indent :]
            depth += 1
        return line, depth

    def _continue_fence(self, leaf: _Leaf, rest: str, depth: int) -> bool:
        """Take a line into an open fence or formula. False when the line ends its quote and has to be looked at."""
        quotes = [number for number, container in enumerate(self._stack) if container.kind == "quote"]
        if quotes and depth <= quotes[-1]:
            self._close_leaf()
            return False
        if leaf.kind == "verbatim":
            leaf.lines.append(rest)
            if rest.rstrip().endswith(leaf.fence) or not rest.strip():
                self._close_leaf()
            return True
        # A fence in a list item may be indented less than the item: its lines are taken as they are.
        most_indent = 3 if depth >= leaf.depth else len(rest)
        if not leaf.inner and closes(rest, leaf.fence, most_indent):
            self._close_leaf()
            return True
        if leaf.info.lower() in _MARKDOWN:
            leaf.inner = inner_fences(leaf.inner, leaf.fence, rest)
        self._add_code(leaf, self._with_tabs(rest[min(indent_of(rest), leaf.level) :]))
        return True

    def _blank_line(self, depth: int) -> None:
        leaf = self._leaf
        if leaf is not None and leaf.kind == "code":
            self._add_code(leaf, "")
            return
        self._close_leaf()
        while len(self._stack) > depth:
            self._pop(len(self._stack) - 1)
        self._empty_line = True

    def _starts_block(self, rest: str) -> bool:
        """Whether a line would interrupt a paragraph that it could otherwise continue lazily."""
        return any(
            pattern.match(rest) for pattern in (QUOTE, ITEM, FENCE, HEADING, RULE, MATH, HTML)
        )  # fmt: skip

    def _open_containers(self, rest: str, number: int) -> None:
        """Open the quotes and items that a line begins with, then its leaf. `number` goes on for a sibling item."""
        while True:
            paragraph = self._leaf is not None and self._leaf.kind == "paragraph"
            if (not paragraph and indent_of(rest) >= 4) or len(self._stack) >= MAX_DEPTH:
                break
            if match := QUOTE.match(rest):
                self._close_leaf()
                self._stack.append(_Open("quote"))
                rest = rest[match.end() :]
                number = -1
                if not rest.strip():
                    return
                continue
            match = None if RULE.match(rest) else ITEM.match(rest)
            if match is None:
                break
            mark, spaces = match[2], match[3]
            is_empty = not rest[match.end() :]
            if paragraph and (is_empty or (mark[:-1].isdigit() and int(mark[:-1]) != 1)):
                break
            self._close_leaf()
            rest = self._open_item(rest, match, mark, spaces, number)
            number = -1
            if is_empty:
                return
        self._open_leaf(rest)

    def _open_item(self, rest: str, match: re.Match[str], mark: str, spaces: str, number: int) -> str:
        width = len(match[1]) + len(mark)
        padding = len(spaces) if 1 <= len(spaces) <= 4 else 1
        rest = rest[width + padding :]
        if mark[:-1].isdigit():
            number = number + 1 if number >= 0 else int(mark[:-1])
            marker = f"{number}{mark[-1]}"
        else:
            number = -1
            marker = _BULLETS[sum(1 for container in self._stack if container.kind == "item") % len(_BULLETS)]
        item = _Open("item", width + padding, len(match[1]), number, marker)
        if task := TASK.match(rest):
            item.marker = "☐" if task[1] == " " else "☑"
            rest = rest[task.end() :]
        self._stack.append(item)
        return rest

    def _open_leaf(self, rest: str) -> None:
        leaf = self._leaf
        if leaf is not None and leaf.kind == "table":
            if "|" in rest and not self._starts_block(rest):
                self._add(leaf, rest.strip(), TABLE_PIECE + 2 if leaf.first else TABLE_ROWS)
                return
            self._close_leaf()
            leaf = None
        paragraph = leaf if leaf is not None and leaf.kind == "paragraph" else None
        if match := FENCE.match(rest):
            self._start("code", info=match[2].strip().split(" ")[0], fence=match[1], level=indent_of(rest))
        elif match := HEADING.match(rest):
            self._start("heading", heading_of(match[2] or ""), level=len(match[1]))
            self._close_leaf()
        elif paragraph and SETEXT.match(rest):
            paragraph.kind, paragraph.level = "heading", 1
            self._close_leaf()
        elif RULE.match(rest):
            self._start("rule")
            self._close_leaf()
        elif match := MATH.match(rest):
            closer = "$$" if match[1] == "$$" else "\\]"
            self._start("verbatim", rest.strip(), fence=closer)
            if rest.strip().endswith(closer) and len(rest.strip()) > 2:
                self._close_leaf()
        elif paragraph and DELIMITER.match(rest.strip(" ")) and self._to_table(paragraph, rest):
            return
        elif paragraph:
            paragraph.lines.append(rest.strip(" "))
        elif HTML.match(rest):
            self._start("verbatim", rest)
        elif indent_of(rest) >= 4:
            self._start("code", self._with_tabs(rest[4:]))
        else:
            self._start("paragraph", rest.strip(" "))

    def _to_table(self, paragraph: _Leaf, delimiter: str) -> bool:
        """Make the paragraph's last line a table's head when it has as many cells as the delimiter row."""
        head = paragraph.lines[-1]
        if "|" not in head or len(cells_of(head)) != len(cells_of(delimiter)) or head.count("|") > MAX_COLUMNS:
            return False
        paragraph.lines.pop()
        if paragraph.lines:
            self._close_leaf()
        else:
            self._leaf = None
        self._start("table", head, gap=paragraph.gap)
        assert self._leaf is not None
        self._leaf.lines.append(delimiter.strip())
        return True

    def _start(
        self, kind: BlockKind, *lines: str, gap: bool = False, info: str = "", fence: str = "", level: int = 0
    ) -> None:
        self._close_leaf()
        gap = gap or self._empty_line or self._needs_gap(kind)
        # A heading belongs to what follows it.
        gap = gap and self._last not in (None, "heading")
        gap = gap or (kind == "heading" and self._last is not None)
        self._leaf = _Leaf(kind, len(self._stack), gap, list(lines), level, info, fence)
        self._empty_line = False

    def _needs_gap(self, kind: BlockKind) -> bool:
        """Whether a block at the top level is set apart even when the source has no empty line there."""
        if self._stack and not self._stack[0].fresh:
            return False
        top = self._top(kind)
        return (self._last_top, top) not in _TIGHT

    def _top(self, kind: BlockKind) -> str:
        if not self._stack:
            return kind
        return "quote" if self._stack[0].kind == "quote" else "list"

    def _add(self, leaf: _Leaf, line: str, limit: int) -> None:
        """Add a line to a table or verbatim block, after giving out a piece when `limit` lines are there."""
        if len(leaf.lines) >= limit:
            self._emit(leaf)
            if leaf.kind == "table" and leaf.first:
                leaf.context = "\n".join(leaf.lines)
            leaf.lines, leaf.first, leaf.gap = [], False, False
        leaf.lines.append(line)

    def _add_code(self, leaf: _Leaf, line: str) -> None:
        count = len(leaf.lines)
        if count >= 2 * FENCE_PIECE or (count >= FENCE_PIECE and not line):
            self._emit(leaf)
            leaf.context = "\n".join(leaf.lines[-FENCE_CONTEXT:])
            leaf.lines, leaf.first, leaf.gap = [], False, False
        leaf.lines.append(line)

    def _close_leaf(self) -> None:
        leaf, self._leaf = self._leaf, None
        if leaf is None:
            return
        if leaf.kind == "code" and not leaf.fence:
            while leaf.lines and not leaf.lines[-1]:
                leaf.lines.pop()
                self._empty_line = True
            if not leaf.lines:
                return
        self._emit(leaf)

    def _emit(self, leaf: _Leaf) -> None:
        self._out.append(
            Block(
                leaf.kind,
                "\n".join(leaf.lines),
                self._containers(leaf.depth),
                leaf.gap,
                leaf.level,
                leaf.info,
                leaf.context,
                leaf.first,
            )
        )
        self._last, self._last_top = leaf.kind, self._top(leaf.kind)

    def _containers(self, depth: int) -> tuple[Container, ...]:
        result = []
        for container in self._stack[:depth]:
            kind = "quote" if container.kind == "quote" else "item"
            result.append(Container(kind, container.marker, container.fresh))  # type: ignore[arg-type]
            container.fresh = False
        return tuple(result)

    def _pop(self, depth: int) -> int:
        """Close the containers above `depth`; returns the number of the outermost one, -1 for a bullet or quote. An
        item without any block still shows its marker."""
        number = self._stack[depth].number if depth < len(self._stack) else -1
        if depth < len(self._stack) and self._stack[-1].kind == "item" and self._stack[-1].fresh:
            self._emit(_Leaf("paragraph", len(self._stack), self._empty_line and self._last is not None))
            self._empty_line = False
        del self._stack[depth:]
        return number
