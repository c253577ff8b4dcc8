"""What a transcript is made of: messages, answers with their thinking, notices and cards, each able to lay itself out
as lines of a given width. Records go in (`UserMessage`, `AnswerMessage`, `Notice`, `Card`), lines come out; no widget
here."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Literal

import msgspec

from tui.app.markdown.blocks import CodeBlock
from tui.app.markdown.stream import MarkdownStream
from tui.app.markdown.text import BLANK, Line, Run, width_of, wrap_runs
from tui.base.text import clean, one_line
from tui.config.keymap import display_keys
from tui.words import tr

TurnId = Hashable
NoticeStyle = Literal["dim", "info", "warning", "error"]
Part = Literal["thinking", "answer"]

Words = str | Callable[[], str]
"""A text, or what makes it: in the language that is in use whenever it is laid out."""

PREVIEW_ROWS = 4
"""Rows of folded thinking that show while it is being written."""


class UserMessage(msgspec.Struct, frozen=True):
    """What the user wrote; shown as written, not as Markdown."""

    turn_id: TurnId
    text: str
    label: str = ""
    """Who it was, where that is not the one in front of the app."""


class AnswerMessage(msgspec.Struct, frozen=True):
    """A complete answer, as it is loaded from a saved conversation."""

    turn_id: TurnId
    label: str
    text: str
    thinking: str = ""
    thinking_label: Words = ""
    """Such as "thought for 3.2 s · 96 tokens"."""
    footer: Words = ""


class Notice(msgspec.Struct, frozen=True):
    """A line between messages that belongs to none."""

    text: Words
    style: NoticeStyle = "dim"


class CardChoice(msgspec.Struct, frozen=True):
    """One way on from a card."""

    action: str
    """Id in the table of actions."""
    keys: tuple[str, ...]
    """In Textual's spelling; the first is shown."""
    label: str
    """What it does, such as "reload with ubatch 128"."""

    @property
    def shown(self) -> str:
        """The key in brackets: "[r]"."""
        return f"[{display_keys(self.keys, limit=1)}]"


class Card(msgspec.Struct, frozen=True):
    """Something that needs a decision: what happened, details, and keys to choose from."""

    card_id: str
    title: str
    body: str
    choices: tuple[CardChoice, ...] = ()
    style: NoticeStyle = "error"


Record = UserMessage | AnswerMessage | Notice | Card


def said(words: Words) -> str:
    """The text."""
    return words if isinstance(words, str) else words()


def _wrapped(text: str, width: int, style: str, fill: str = "") -> list[Line]:
    runs: list[Run] = [(clean(text).expandtabs(4), style)]
    return [Line(tuple(row), fill, joint=joint) for row, joint in wrap_runs(runs, max(1, width))]


class Entry:
    """One item of the transcript. `parts` hold its lines once `lay_out` has run for a width."""

    role = ""

    def __init__(self, turn_id: TurnId = None) -> None:
        self.turn_id = turn_id
        self.width = 0
        """The width that `parts` are laid out for; 0 before that."""
        self.parts: tuple[list[Line], ...] = ()

    def lay_out(self, width: int) -> None:
        """Make the lines for a width."""
        raise NotImplementedError

    def estimate(self, width: int) -> int:
        """About how many lines `lay_out` would make, at a fraction of its cost."""
        return _estimate(self.text, width) + 2

    def reword(self) -> None:
        """Another language is in use: lay out again before it is shown."""
        self.parts = ()

    @property
    def text(self) -> str:
        """The source of the message, as it is copied."""
        return ""

    @property
    def height(self) -> int:
        """Number of lines, once laid out."""
        return sum(len(part) for part in self.parts)

    def line(self, row: int) -> Line:
        """One line, once laid out; a blank one past the end."""
        for part in self.parts:
            if row < len(part):
                return part[row]
            row -= len(part)
        return BLANK


def _estimate(text: str, width: int) -> int:
    return text.count("\n") + len(text) // max(1, width) + 1


class UserEntry(Entry):
    """A message of the user."""

    role = "user"

    def __init__(self, record: UserMessage) -> None:
        super().__init__(record.turn_id)
        self.record = record

    @property
    def text(self) -> str:
        return self.record.text

    def lay_out(self, width: int) -> None:
        self.width = width
        label = Line(((self.record.label or tr("You"), "user.label"),), "user")
        self.parts = ([BLANK, label, *_wrapped(self.record.text.rstrip(), width - 1, "user.text", "user")],)


class NoticeEntry(Entry):
    """A notice."""

    role = "notice"

    def __init__(self, record: Notice) -> None:
        super().__init__()
        self.record = record

    @property
    def text(self) -> str:
        return said(self.record.text)

    def lay_out(self, width: int) -> None:
        self.width = width
        self.parts = ([BLANK, *_wrapped(self.text, width, f"notice.{self.record.style}")],)


class CardEntry(Entry):
    """A card; a choice stays on one line with its key where it fits."""

    role = "card"

    def __init__(self, record: Card, again: Callable[[], Card] | None = None) -> None:
        """`again` makes the record in another language; it stays as it is without."""
        super().__init__(record.card_id)
        self.record, self.again = record, again

    def reword(self) -> None:
        super().reword()
        if self.again is not None:
            self.record = self.again()

    @property
    def text(self) -> str:
        return f"{self.record.title}\n{self.record.body}"

    def lay_out(self, width: int) -> None:
        self.width = width
        card = self.record
        style = f"notice.{card.style}"
        sign = "✗ " if card.style == "error" else "! "
        inner = max(4, width - 2)
        lines = [BLANK]
        for number, line in enumerate(_wrapped(card.title, inner, f"{style}+strong")):
            lines.append(line._replace(runs=((sign if number == 0 else "  ", style), *line.runs), lead=2))
        body = _wrapped(card.body, inner, "") if card.body else []
        lines += [line._replace(runs=(("  ", ""), *line.runs), lead=2) for line in body]
        row: list[Run] = []
        used = 0
        for choice in card.choices:
            size = width_of(choice.shown) + width_of(choice.label) + 4
            if row and used + size > width:
                lines.append(Line(tuple(row), action="choice"))
                row, used = [], 0
            row += [("  ", ""), (choice.shown, "key"), (f" {choice.label} ", "")]
            used += size
        if row:
            lines.append(Line(tuple(row), action="choice"))
        self.parts = (lines,)


class AnswerEntry(Entry):
    """An answer: label, thinking, Markdown, and either progress or the footer at its end."""

    role = "answer"

    def __init__(self, record: AnswerMessage, *, complete: bool, expanded: bool | None = None) -> None:
        super().__init__(record.turn_id)
        self.label = one_line(record.label)
        self.thinking_label = record.thinking_label
        self.progress: Words = ""
        self.footer = record.footer
        self.is_complete = complete
        self.expanded = expanded
        """Whether the thinking shows whole; None shows its last rows while it is being written."""
        self._source = record.text
        self._thinking_source = record.thinking
        self._body: MarkdownStream | None = None
        self._thinking: MarkdownStream | None = None

    @property
    def text(self) -> str:
        return self._body.source if self._body else self._source

    @property
    def thinking_text(self) -> str:
        """The source of the thinking part."""
        return self._thinking.source if self._thinking else self._thinking_source

    def estimate(self, width: int) -> int:
        return _estimate(self.text, width) + 3 + bool(self.thinking_text)

    def code_blocks(self) -> list[CodeBlock]:
        """The code blocks of the answer, in order."""
        return (self._body or MarkdownStream(80, self._source, complete=self.is_complete)).code_blocks()

    def lay_out(self, width: int) -> None:
        self.width = width
        if self._body is None:
            self._body = MarkdownStream(width, self._source, complete=self.is_complete)
        elif self._body.width != width:
            self._body.resize(width)
        inner = max(1, width - 2)
        if self._thinking is not None and self._thinking.width != inner:
            self._thinking.resize(inner)
        self._refresh_head()
        self._refresh_foot()

    def append(self, part: Part, text: str) -> int:
        """Take more of the thinking or the answer; returns the first row that changed."""
        self.progress = ""
        if self._body is None:
            self.lay_out(self.width or 80)
        assert self._body is not None
        if part == "thinking":
            if self._thinking is None:
                self._thinking = MarkdownStream(max(1, self.width - 2), self._thinking_source)
            first = self._thinking.append(text)
            return self._refresh_head(first)
        starts = not self._body.source
        changed = self._body.append(text)
        if starts or self.parts[2]:
            before = self.height
            self._refresh_head()
            self._refresh_foot()
            return 0 if starts else min(before, len(self.parts[0]) + changed)
        return len(self.parts[0]) + changed

    def recast(self) -> int:
        """The answer so far was thinking; returns the first row that changed."""
        self._thinking_source, self._source = self.thinking_text + self.text, ""
        self._thinking = self._body = None
        self.lay_out(self.width or 80)
        return 0

    def set_progress(self, text: Words) -> int:
        """Show a line where the answer will come; returns the first row that changed."""
        self.progress = text
        self._refresh_foot()
        return self.height - len(self.parts[2])

    def set_thinking_label(self, label: Words) -> int:
        """Name the thinking part; returns the first row that changed."""
        self.thinking_label = label
        self._refresh_head()
        return 0

    def finish(self, footer: Words) -> int:
        """The answer is complete; returns the first row that changed."""
        self.progress = ""
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
        return self.expanded

    def _refresh_head(self, first: int = 0) -> int:
        """Make the rows before the answer again; returns the first that differs."""
        old = self.parts[0] if self.parts else []
        lines = [BLANK, Line(((self.label, "answer.label"),))]
        if self.thinking_text:
            is_open = not self.is_complete and not (self._body and self._body.source)
            if self._thinking is None and self.expanded:
                inner = max(1, self.width - 2)
                self._thinking = MarkdownStream(inner, self._thinking_source, complete=self.is_complete)
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

    def _refresh_foot(self) -> None:
        foot = _wrapped(said(self.progress), self.width, "progress") if self.progress else []
        if footer := said(self.footer):
            foot += _wrapped(footer, self.width, "footer")
        self.parts = (*self.parts[:2], foot)


def _thought(line: Line) -> Line:
    runs = (
        ("│ ", "thinking.bar"),
        *((text, f"{style}+thinking" if style else "thinking") for text, style in line.runs),
    )
    return line._replace(runs=runs, lead=line.lead + 2, action="")


def make_entry(record: Record, *, expanded: bool | None = None) -> Entry:
    """The entry that shows a record; `expanded` as in `AnswerEntry`."""
    match record:
        case UserMessage():
            return UserEntry(record)
        case AnswerMessage():
            return AnswerEntry(record, complete=True, expanded=expanded)
        case Notice():
            return NoticeEntry(record)
        case Card():
            return CardEntry(record)
