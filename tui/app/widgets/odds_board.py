"""The tokens of an answer, each by how likely it was, with the others that the model might have chosen instead of the
one under the cursor."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from rich.style import Style
from textual import events
from textual.message import Message

from tui.app.markdown.text import Run, width_of, wrap
from tui.app.widgets.lines import LineWidget, Row, shorten
from tui.app.widgets.readings import bar
from tui.base.text import clean
from tui.protocol.records import TokenOdds
from tui.words import tr

UNSURE = 0.5
"""Below this probability a token is coloured, and found by a key."""
_UNLIKELY = 0.1
_AT = "at"
_NAME, _BAR = 24, 30
_LINE_END = "↵"


class OddsBoard(LineWidget):
    """The text on top, the alternatives below it. A click goes to a token."""

    DEFAULT_CSS = "OddsBoard { width: 1fr; height: 1fr; }"

    class Moved(Message):
        """Another token is under the cursor."""

    def __init__(self, tokens: Sequence[TokenOdds]) -> None:
        super().__init__()
        self.tokens = tokens
        thoughts = [number for number, one in enumerate(tokens) if one.is_thought]
        self.at = min(thoughts[-1] + 1, len(tokens) - 1) if thoughts else 0
        """The token under the cursor."""
        self._shown = [_shown(one.text) for one in tokens]
        self._starts: list[int] = []
        length = 0
        for text in self._shown:
            self._starts.append(length)
            length += len(text)
        self._text = "".join(self._shown)
        self._laid_out: tuple[int, list[tuple[int, int]]] = (0, [])
        self._first, self._n_text_rows = 0, 0

    def go(self, at: int) -> None:
        """Put the cursor on this token, or the nearest that there is."""
        self.at = max(0, min(at, len(self.tokens) - 1))
        self.update_rows()
        self.post_message(self.Moved())

    def go_by_rows(self, by: int) -> None:
        """Put the cursor on a token so many rows further down."""
        rows = self._rows_of(self.size.width)
        row = max(0, min(self._row_of(self.at, rows) + by, len(rows) - 1))
        self.go(self._token_at(rows[row][0]))

    def go_to_unsure(self, way: int) -> None:
        """Put the cursor on the next token that was not likely, or the one before."""
        at = self.at + way
        while 0 <= at < len(self.tokens):
            if self.tokens[at].p < UNSURE:
                self.go(at)
                return
            at += way

    # How it is painted ------------------------------------------------------------------------------------------------

    def named_styles(self) -> dict[str, Style]:
        """With one for the cursor, which is seen without colours too."""
        return {**super().named_styles(), _AT: Style(reverse=True, bold=True)}

    def compose_rows(self, width: int, height: int) -> Sequence[Row]:
        """Text, a blank row, what is known of the token under the cursor."""
        if not self.tokens:
            return ()
        n_below = min(len(self.tokens[self.at].others) + 1, max(2, height // 2))
        self._n_text_rows = room = max(1, height - n_below - 1)
        rows = self._rows_of(width)
        row = self._row_of(self.at, rows)
        self._first = max(0, min(max(self._first, row - room + 1), row, max(0, len(rows) - room)))
        text = [tuple(self._runs(start, end)) for start, end in rows[self._first : self._first + room]]
        text += [()] * (room - len(text))
        return [*text, (), *self._below(width, n_below)]

    def _below(self, width: int, n: int) -> Iterator[Row]:
        token = self.tokens[self.at]
        place = tr("token {n} of {all}", n=f"{self.at + 1:,}", all=f"{len(self.tokens):,}")
        thought = f" · {tr('thought')}" if token.is_thought else ""
        yield ((shorten(f"{_named(token.text)}  {_percent(token.p)}  {place}{thought}", width), "strong"),)
        n_name, n_bar = min(_NAME, max(6, width // 3)), min(_BAR, max(0, width // 3))
        for text, p in token.others[: n - 1]:
            mark = "✓ " if text == token.text else "  "
            name = shorten(_named(text), n_name)
            filled, rest = bar(p, n_bar) if p * n_bar >= 1 else ("", "─" * n_bar)
            told: Row = ((mark, "good"), (name + " " * (n_name - width_of(name)), ""), (f" {_percent(p)}  ", ""))
            yield (*told, (filled, "key"), (rest, "faint"))

    def _runs(self, start: int, end: int) -> Iterator[Run]:
        at = self._token_at(start)
        while at < len(self.tokens) and self._starts[at] < end:
            first = max(start, self._starts[at])
            piece = self._shown[at][first - self._starts[at] : end - self._starts[at]]
            if piece := piece.rstrip("\n"):
                yield piece, self._style(at)
            at += 1

    def _style(self, at: int) -> str:
        if at == self.at:
            return _AT
        token = self.tokens[at]
        if token.p < UNSURE:
            return "full" if token.p < _UNLIKELY else "tight"
        return "muted" if token.is_thought else ""

    # Where things are -------------------------------------------------------------------------------------------------

    def _rows_of(self, width: int) -> list[tuple[int, int]]:
        """Offsets of the rows in the text; laid out once for a width."""
        if self._laid_out[0] != width:
            rows, base = list[tuple[int, int]](), 0
            for line in self._text.split("\n"):
                rows += [(base + start, base + end) for start, end in _whole(wrap(line, width), len(line))]
                base += len(line) + 1
            self._laid_out = width, rows
        return self._laid_out[1]

    def _token_at(self, offset: int) -> int:
        return max(0, bisect_right(self._starts, offset) - 1)

    def _row_of(self, at: int, rows: list[tuple[int, int]]) -> int:
        return max(0, bisect_right(rows, (self._starts[at], len(self._text) + 1)) - 1)

    def on_click(self, event: events.Click) -> None:
        """Go to the token below the mouse."""
        rows, row = self._rows_of(self.size.width), self._first + event.y
        if event.y >= self._n_text_rows or row >= len(rows):
            return
        start, end = rows[row]
        text, cells, offset = self._text[start:end], 0, start
        for character in text:
            cells += width_of(character)
            if cells > event.x:
                break
            offset += 1
        self.go(self._token_at(min(offset, max(start, end - 1))))


def _whole(rows: list[tuple[int, int]], length: int) -> Iterator[tuple[int, int]]:
    """The rows of a line with the blanks that wrapping leaves out at their ends, which belong to tokens too."""
    ends = [start for start, _ in rows[1:]] + [length]
    for (start, _), end in zip(rows, ends, strict=True):
        yield start, end


def _shown(text: str) -> str:
    return clean(text.replace("\r\n", "\n")).replace("\n", f"{_LINE_END}\n").replace("\t", "→")


def _named(text: str) -> str:
    """A token by itself: what is blank in it is seen."""
    return f"“{clean(text).replace(chr(10), _LINE_END).replace(chr(9), '→')}”"


def _percent(p: float) -> str:
    return f"{100 * p:5.1f}%" if p >= 0.001 or p == 0 else "<0.1%".rjust(6)
