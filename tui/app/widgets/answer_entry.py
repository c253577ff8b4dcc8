"""An answer of the transcript: its thinking, its Markdown, and under them how it goes or went. Streamed text goes in,
lines come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.app.markdown.text import BLANK, Line
from tui.app.widgets.transcript_entries import AnswerMessage, Entry, Part, Words, n_rows, said, wrapped
from tui.base.text import one_line
from tui.words import tr

if TYPE_CHECKING:
    from tui.app.markdown.blocks import CodeBlock
    from tui.app.markdown.stream import MarkdownStream

PREVIEW_ROWS = 4
"""Rows of folded thinking that show while it is being written."""
ROOM = 4
"""Empty rows at most between an answer that comes and the line under it: the text grows into them before that line has
to move, which costs as many bytes as three tokens each time."""


class AnswerEntry(Entry):
    """An answer: label, thinking, Markdown, and at its end progress, how it goes, or the footer."""

    role = "answer"

    def __init__(self, record: AnswerMessage, *, complete: bool, expanded: bool | None = None) -> None:
        super().__init__(record.turn_id)
        self.label = one_line(record.label)
        self.thinking_label = record.thinking_label
        self.progress: Words = ""
        self.live: Words = ""
        self.footer = record.footer
        self.is_complete = complete
        self.expanded = expanded
        """Whether the thinking shows whole; None shows its last rows while it is being written."""
        self._source = record.text
        self._thinking_source = record.thinking
        self._body: MarkdownStream | None = None
        self._thinking: MarkdownStream | None = None
        self._foot_at = 0
        """The row under an answer that comes, counted from its first one; 0 before there is one."""

    @property
    def text(self) -> str:
        return self._body.source if self._body else self._source

    @property
    def thinking_text(self) -> str:
        """The source of the thinking part."""
        return self._thinking.source if self._thinking else self._thinking_source

    def estimate(self, width: int) -> int:
        return n_rows(self.text, width) + 4 + bool(self.thinking_text)

    def code_blocks(self) -> list[CodeBlock]:
        """The code blocks of the answer, in order."""
        return (self._body or _stream(80, self._source, complete=self.is_complete)).code_blocks()

    def lay_out(self, width: int) -> None:
        self.width = width
        if self._body is None:
            self._body = _stream(width, self._source, complete=self.is_complete)
        elif self._body.width != width:
            self._body.resize(width)
        inner = max(1, width - 2)
        if self._thinking is not None and self._thinking.width != inner:
            self._thinking.resize(inner)
        self._refresh_head()
        self._refresh_foot()

    def append(self, part: Part, text: str) -> int:
        """Take more of the thinking or the answer; returns the first row that changed."""
        first = self._append(part, text)
        self._keep_foot()
        return first

    def _append(self, part: Part, text: str) -> int:
        had_progress, self.progress = bool(self.progress), ""
        if self._body is None:
            self.lay_out(self.width or 80)
        assert self._body is not None
        if part == "thinking":
            starts = not self.thinking_text
            if self._thinking is None:
                self._thinking = _stream(max(1, self.width - 2), self._thinking_source)
            first = self._refresh_head(self._thinking.append(text))
            if starts or had_progress:
                self._refresh_foot()
            return first
        starts = not (self._body.source and self._body.lines)
        changed = self._body.append(text)
        if starts or had_progress:
            before = self.height
            self._refresh_head()
            self._refresh_foot()
            return 0 if starts else min(before, len(self.parts[0]) + changed)
        return len(self.parts[0]) + changed

    def take_up(self, label: str) -> int:
        """The answer goes on behind what it has; returns the first row that changed."""
        self._thinking_source, self._source = self.thinking_text, self.text
        self._thinking = self._body = None
        self.label, self.footer, self.is_complete, self._foot_at = one_line(label), "", False, 0
        self.lay_out(self.width or 80)
        return 0

    def recast(self) -> int:
        """The answer so far was thinking; returns the first row that changed."""
        self._thinking_source, self._source = self.thinking_text + self.text, ""
        self._thinking = self._body = None
        self.lay_out(self.width or 80)
        return 0

    def set_progress(self, text: Words) -> int:
        """Show a line where the answer will come, in place of how it goes; returns the first row that changed."""
        self.progress = text
        return self._refresh_foot()

    def set_live(self, text: Words) -> int:
        """Show how the answer goes where its footer will be; returns the first row that changed."""
        self.live = text
        return self._refresh_foot()

    def set_thinking_label(self, label: Words) -> int:
        """Name the thinking part; returns the first row that changed."""
        self.thinking_label = label
        self._refresh_head()
        return 0

    def finish(self, footer: Words) -> int:
        """The answer is complete; returns the first row that changed."""
        self.progress = self.live = ""
        self.footer = footer
        self.is_complete = True
        if self._body is None:
            self.lay_out(self.width or 80)
        assert self._body is not None
        changed = self._body.finish()
        n_head = len(self.parts[0])
        if self._thinking is not None:
            self._thinking.finish()
        self._refresh_head()
        self._refresh_foot()
        return 0 if self.thinking_text or len(self.parts[0]) != n_head else n_head + changed

    def toggle_thinking(self, expanded: bool | None = None) -> bool:
        """Fold or unfold the thinking; returns whether it is unfolded now."""
        self.expanded = not self.expanded if expanded is None else expanded
        if self.parts:  # else it is laid out when it comes into view
            self._refresh_head()
            self._refresh_foot()
        return self.expanded

    def toggle(self) -> bool:
        self.toggle_thinking()
        return bool(self.thinking_text) or not self.is_complete

    def _refresh_head(self, first: int = 0) -> int:
        """Make the rows before the answer again; returns the first that differs."""
        old = self.parts[0] if self.parts else []
        lines = [BLANK, self.head(self.label, "answer.label")]
        if self.thinking_text:
            is_open = not self.is_complete and not (self._body and self._body.source)
            if self._thinking is None and self.expanded:
                inner = max(1, self.width - 2)
                self._thinking = _stream(inner, self._thinking_source, complete=self.is_complete)
            sign = "▾" if self.expanded else "▸"
            label = said(self.thinking_label) or (tr("thinking…") if is_open else tr("thoughts"))
            lines.append(Line(((f"{sign} {label}", "thinking.label"),), action="thinking"))
            thoughts = self._thinking.lines if self._thinking else []
            if self.expanded:
                n_known = len(lines) + first
                lines += old[len(lines) : n_known] if len(old) >= n_known else [_thought(t) for t in thoughts[:first]]
                lines += [_thought(thought) for thought in thoughts[first:]]
                lines.append(BLANK)
            elif self.expanded is None and is_open:
                lines += [_thought(thought) for thought in thoughts[-PREVIEW_ROWS:]]
        same = 0
        for before, after in zip(old, lines, strict=False):
            if before != after:
                break
            same += 1
        body = self._body.lines if self._body else []
        foot = self.parts[2] if self.parts else []
        self.parts = (lines, body, foot)
        return same

    def _refresh_foot(self) -> int:
        """Make the rows after the answer again, behind a blank one; returns the first of them."""
        text, style = (self.progress, "progress") if self.progress else (self.live or self.footer, "footer")
        foot = wrapped(shown, self.width, style) if (shown := said(text)) else []
        head, body = self.parts[:2]
        if foot and (body or head[-1] is not BLANK) and len(head) + len(body) > 2:
            foot.insert(0, BLANK)
        self.parts = (head, body, foot)
        self._keep_foot()
        return len(head) + len(body)

    def _keep_foot(self) -> None:
        """While the answer comes, leave what stands under it where it is, as long as one to `ROOM` empty rows are
        between them."""
        head, body, foot = self.parts
        rows = [line for line in foot if line is not BLANK]
        n_text = len(head) + len(body)
        if not self.live or not rows or n_text <= 2:
            return
        n_empty = self._foot_at - n_text
        if not 1 <= n_empty <= ROOM:
            n_empty = ROOM if self._foot_at else 1
        self._foot_at = n_text + n_empty
        self.parts = (head, body, [*[BLANK] * n_empty, *rows])


def _thought(line: Line) -> Line:
    runs = (
        ("│ ", "thinking.bar"),
        *((text, f"{style}+thinking" if style else "thinking") for text, style in line.runs),
    )
    return line._replace(runs=runs, lead=line.lead + 2, action="")


def _stream(width: int, source: str, *, complete: bool = False) -> MarkdownStream:
    """Imported with the first answer, which the first paint does not wait for."""
    from tui.app.markdown.stream import MarkdownStream

    return MarkdownStream(width, source, complete=complete)
