"""A Markdown text that grows: keeps its blocks, its rendered lines, and how few of them each piece of text changes."""

from __future__ import annotations

from tui.app.markdown.blocks import Block, CodeBlock
from tui.app.markdown.render import Live, render
from tui.app.markdown.splitter import BlockSplitter
from tui.app.markdown.text import Line, wrap

PLAIN_TAIL = 2_000
"""An open paragraph longer than this many characters is shown as plain text until it closes, and only its last row is
wrapped again, so that the cost of a token does not grow with the paragraph."""


class MarkdownStream:
    """Append text, read `lines`. The same code lays out a text that comes at once and one that comes in pieces."""

    def __init__(self, width: int, text: str = "", *, complete: bool = False) -> None:
        self.width = width
        self.source = ""
        self.lines: list[Line] = []
        self.blocks: list[Block] = []
        self.is_complete = False
        self._splitter = BlockSplitter()
        self._n_closed = 0
        """Lines of closed blocks; those after them belong to the tail."""
        self._live = Live()
        self._plain: tuple[str, int, int] = ("", 0, 0)
        """Text of a plain tail, the offset where its last row starts, and that row's index in `lines`."""
        if text:
            self.append(text)
        if complete:
            self.finish()

    def append(self, text: str) -> int:
        """Take more text; returns the index of the first line that changed, `len(lines)` when none did."""
        self.source += text
        return self._update(self._splitter.feed(text), self._splitter.tail())

    def finish(self) -> int:
        """The text is complete; returns the index of the first line that changed."""
        self.is_complete = True
        return self._update(self._splitter.finish(), [])

    def resize(self, width: int) -> None:
        """Lay everything out for another width."""
        self.width = width
        self.lines, self._n_closed, self._plain = [], 0, ("", 0, 0)
        blocks, self.blocks = self.blocks, []
        self._update(blocks, [] if self.is_complete else self._splitter.tail())

    def code_blocks(self) -> list[CodeBlock]:
        """The code blocks in order, pieces joined."""
        found: list[CodeBlock] = []
        for block in [*self.blocks, *([] if self.is_complete else self._splitter.tail())]:
            if block.kind == "code":
                if block.first:
                    found.append(CodeBlock(block.text, block.info))
                else:
                    found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{block.text}")
        return found

    def _update(self, closed: list[Block], tail: list[Block]) -> int:
        if not closed and len(tail) == 1:
            row, last = self._plain[2], self.lines[self._plain[2] : self._plain[2] + 1]
            if self._extend_plain(tail[0]):
                return row if self.lines[row : row + 1] != last else row + 1
        old = self.lines[self._n_closed :]
        start = self._n_closed
        new: list[Line] = []
        for block in closed:
            new += render(block, self.width)
        self.blocks += closed
        self._n_closed += len(new)
        self._plain = ("", 0, 0)
        for block in tail:
            if block.kind == "paragraph" and len(block.text) > PLAIN_TAIL:
                self.lines[start:] = new
                self._start_plain(block)
                new = self.lines[start:]
            else:
                new += render(block, self.width, self._live)
        self.lines[start:] = new
        same = 0
        for before, after in zip(old, new, strict=False):
            if before != after:
                break
            same += 1
        return start + same

    def _start_plain(self, block: Block) -> None:
        """Append the lines of a long open paragraph as plain text."""
        self._plain_lines(block, 0, block.text)
        last = self.lines[-1]
        self._plain = (block.text, len(block.text) - (len(last.text) - last.lead), len(self.lines) - 1)

    def _plain_lines(self, block: Block, start: int, text: str) -> None:
        style = "quote" if any(container.kind == "quote" for container in block.containers) else ""
        stale = block._replace(text="", closed=True, gap=block.gap and start == 0)
        if start:
            stale = stale._replace(containers=tuple(c._replace(fresh=False) for c in block.containers))
        frame = render(stale, self.width)
        head = frame[-1]
        self.lines += frame[:-1]
        inside = max(1, self.width - sum(len(run) for run, _ in head.runs))
        rest = stale._replace(containers=tuple(c._replace(fresh=False) for c in block.containers), gap=False)
        indent = render(rest, self.width)[-1]
        for part in text.split("\n"):
            for first, last in wrap(part, inside):
                run = ((part[first:last], style),) if last > first else ()
                self.lines.append(Line((*head.runs, *run), lead=head.lead, joint=" " if first else None))
                head = indent

    def _extend_plain(self, block: Block) -> bool:
        """Wrap the last row of a plain tail again with what has come since."""
        text, offset, row = self._plain
        if not text or block.kind != "paragraph" or not block.text.startswith(text):
            return False
        joint = self.lines[row].joint  # it may go on from the row before
        del self.lines[row:]
        self._plain_lines(block, offset, block.text[offset:])
        self.lines[row] = self.lines[row]._replace(joint=joint)
        last = self.lines[-1]
        start = len(block.text) - (len(last.text) - last.lead)
        self._plain = (block.text, start, len(self.lines) - 1)
        return True
