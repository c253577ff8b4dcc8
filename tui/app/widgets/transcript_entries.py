"""What a transcript is made of: prompts, notices and cards, each able to lay itself out as lines of a given width;
answers are in `answer_entry.py`. Records go in (`UserMessage`, `AnswerMessage`, `Notice`, `Card`), lines come out; no
widget here."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Literal

import msgspec

from tui.app.markdown.text import BLANK, Line, Run, width_of, wrap_runs
from tui.base.text import clean, fit_columns
from tui.config.keymap import display_keys
from tui.words import tr, trn

TurnId = Hashable
NoticeStyle = Literal["dim", "info", "warning", "error"]
Part = Literal["thinking", "answer"]

Words = str | Callable[[], str]
"""A text, or what makes it: in the language that is in use whenever it is laid out."""

Fork = tuple[int, int]
"""Which of several siblings, from 1, and how many they are."""
FORK, FORK_GAP = "‹ {}/{} ›", "  "
"""How that is written behind who speaks: both ends can be clicked."""

MOST_ROWS = 20
"""A prompt of more rows is folded."""
FOLDED_ROWS = 10
"""What it shows then."""
MOST_FILES = 4
"""Of the files of a prompt, so many are named."""


class UserMessage(msgspec.Struct, frozen=True):
    """What the user wrote; shown as written, not as Markdown."""

    turn_id: TurnId
    text: str
    label: str = ""
    """Who it was, where that is not the one in front of the app."""
    files: tuple[Words, ...] = ()
    """What it is about: a line for each file, with its name and size."""


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


def wrapped(text: str, width: int, style: str, fill: str = "") -> list[Line]:
    """Plain text as rows of that width."""
    runs: list[Run] = [(clean(text).expandtabs(4), style)]
    return [Line(tuple(row), fill, joint=joint) for row, joint in wrap_runs(runs, max(1, width))]


class Entry:
    """One item of the transcript. `parts` hold its lines once `lay_out` has run for a width."""

    role = ""

    def __init__(self, turn_id: TurnId = None) -> None:
        self.turn_id = turn_id
        self.width = 0
        """The width that `parts` are laid out for; 0 before that."""
        self.is_replaced = False
        """Something else is about to take its place."""
        self.fork: Fork | None = None
        """Which of its siblings it is, and how many they are; None where it has none."""
        self.parts: tuple[list[Line], ...] = ()

    def lay_out(self, width: int) -> None:
        """Make the lines for a width."""
        raise NotImplementedError

    def estimate(self, width: int) -> int:
        """About how many lines `lay_out` would make, at a fraction of its cost."""
        return n_rows(self.text, width) + 2

    def show_fork(self, fork: Fork | None) -> None:
        """It has siblings now, or none any more."""
        self.fork = fork
        if self.parts:  # else it is laid out when it comes into view
            self.lay_out(self.width)

    def head(self, label: str, style: str, fill: str = "") -> Line:
        """The row that says who speaks, and which of its siblings this is."""
        runs: tuple[Run, ...] = ((label, style),)
        if self.fork is not None:
            runs = (*runs, (FORK_GAP, ""), (FORK.format(*self.fork), "code.copy"))
        return Line(runs, fill, action="head")

    def reword(self) -> None:
        """Another language is in use: lay out again before it is shown."""
        self.parts = ()

    def toggle(self) -> bool:
        """Fold what can be folded, or unfold it; False when there is nothing, and none to come."""
        return False

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


def _shortened(text: str, width: int) -> str:
    """One line of at most so many cells."""
    return fit_columns(clean(text), max(1, width))


def n_rows(text: str, width: int) -> int:
    """About how many rows a text takes."""
    return text.count("\n") + len(text) // max(1, width) + 1


class UserEntry(Entry):
    """A message of the user. A long one, as what was pasted often is, shows its beginning."""

    role = "user"

    def __init__(self, record: UserMessage) -> None:
        super().__init__(record.turn_id)
        self.record = record
        self.is_whole = False
        """All of it is wanted."""
        self._is_long = False

    @property
    def text(self) -> str:
        return self.record.text

    @property
    def is_cut(self) -> bool:
        """Only its beginning is shown."""
        return self._is_long and not self.is_whole

    def estimate(self, width: int) -> int:
        whole = super().estimate(width) + min(len(self.record.files), MOST_FILES)
        return whole if self.is_whole or whole <= MOST_ROWS + 2 else FOLDED_ROWS + 3

    def lay_out(self, width: int) -> None:
        self.width = width
        label = self.head(self.record.label or tr("You"), "user.label", "user")
        rows = wrapped(self.record.text.rstrip(), width - 1, "user.text", "user")
        self._is_long = len(rows) > MOST_ROWS
        if self._is_long:
            n = len(rows)
            fold = tr("▾ show less") if self.is_whole else trn("▸ show all {n} line", "▸ show all {n} lines", n)
            rows = rows if self.is_whole else rows[:FOLDED_ROWS]
            rows.append(Line(((fold, "thinking.label"),), "user", action="fold"))
        self.parts = ([BLANK, label, *self._file_lines(width), *rows],)

    def _file_lines(self, width: int) -> list[Line]:
        """A line for each file, folded; a click opens it."""
        files = self.record.files
        named = files if len(files) <= MOST_FILES else files[: MOST_FILES - 1]
        texts = [said(words) for words in named]
        if len(named) < len(files):
            n = len(files) - len(named)
            texts.append(trn("{n} more file", "{n} more files", n))
        return [
            Line(((f"▸ {_shortened(text, width - 3)}", "thinking.label"),), "user", action="file") for text in texts
        ]

    def toggle(self) -> bool:
        if self._is_long:
            self.is_whole = not self.is_whole
            self.lay_out(self.width)
        return self._is_long


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
        self.parts = ([BLANK, *wrapped(self.text, width, f"notice.{self.record.style}")],)


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
        for number, line in enumerate(wrapped(card.title, inner, f"{style}+strong")):
            lines.append(line._replace(runs=((sign if number == 0 else "  ", style), *line.runs), lead=2))
        body = wrapped(card.body, inner, "") if card.body else []
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
