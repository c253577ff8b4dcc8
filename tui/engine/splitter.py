"""Splits what a model writes into what it thinks and what it answers, by the marks of its chat format, while it comes.

The text is that of `tui.engine.alphabet`: a mark that is a token of the vocabulary is one character that no text has,
so that a model that writes about a mark, letter by letter, is not taken for one that uses it. Where the vocabulary does
not have a mark as a token, its letters count. In either case what stands in quotation marks is text, and so is what
would open a thought in a block of code or in the middle of a line.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["thinking", "answer"]
Part = Literal["thinking", "answer", "between"]
"""Where an answer is; "between" is behind one message and before the text of the next, in formats with headers."""
Segments = list[tuple[Kind | Literal["recast"], str]]
"""Text by its kind, in order. "recast", without text: all that was given as answer before it was a thought, whose end
came though nothing had marked its beginning."""

_QUOTES = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "「": "」", "『": "』"}
_LONGEST_HEADER = 80
"""Characters between two messages; more of them are text after all."""
_LONGEST_CODE = 40
"""Characters behind a mark that are waited for to see whether it stands in code within a line."""
_FENCES = ("```", "~~~")
_WORD = re.compile(r"[A-Za-z_]+")
_TOKEN = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Pair:
    """The marks around a part."""

    opens: str
    closes: str


@dataclass(frozen=True)
class Marks:
    """What a chat format puts around the parts of an answer."""

    thoughts: tuple[Pair, ...] = ()
    """One that opens with nothing is opened by the prompt alone, without a mark."""
    answers: tuple[Pair, ...] = ()
    """What the answer itself may stand in. One that closes with nothing ends with the turn; one that opens with nothing
    may close any answer."""
    stops: tuple[str, ...] = ()
    """End the turn."""
    has_headers: bool = False
    """Each part is a message of its own, with a header before its text, as in harmony."""
    header_ends: str = ""
    """The token that ends each header; empty where headers end in different ways."""

    @property
    def opens(self) -> tuple[str, ...]:
        """What opens a thought."""
        return tuple(thought.opens for thought in self.thoughts if thought.opens)

    @property
    def closes(self) -> tuple[str, ...]:
        """What closes a thought."""
        return tuple(thought.closes for thought in self.thoughts)

    @property
    def answer_opens(self) -> tuple[str, ...]:
        """What begins the answer."""
        return tuple(pair.opens for pair in self.answers if pair.opens)

    def part_after(self, opening: str) -> Part:
        """Where an answer is that begins behind `opening`, the end of its prompt."""
        ends = [(opening.rfind(mark) + len(mark), "thinking") for mark in self.opens if mark in opening]
        ends += [(opening.rfind(mark) + len(mark), "close") for mark in self.closes if mark in opening]
        ends += [(opening.rfind(mark) + len(mark), "answer") for mark in self.answer_opens if mark in opening]
        last = max(ends, default=(0, "none"))[1]
        if last == "thinking" or (last == "none" and any(not thought.opens for thought in self.thoughts)):
            return "thinking"
        return "answer" if last == "answer" or not self.has_headers else "between"


def is_token(mark: str) -> bool:
    """Whether the mark begins with a token of the vocabulary."""
    return bool(_TOKEN.match(mark))


class AnswerSplitter:
    """One answer's way through its marks. `feed` and `rest` give what is certain, in order."""

    def __init__(self, marks: Marks, part: Part = "answer", user_stops: Sequence[str] = ()) -> None:
        """The answer begins in `part`. `user_stops` end the turn where they stand in the answer, never in a thought."""
        self._marks, self._user_stops = marks, tuple(stop for stop in user_stops if stop)
        self.ended = False
        """The turn is at its end; nothing more is taken."""
        self._held = ""
        """What may be the beginning of a mark, or is between two messages."""
        self._n_ticks = 0
        """Backticks on the line that is being written."""
        self._is_final = True
        """What is answered is the answer, and not something that is said on the way to it."""
        self._answer_closes = [pair.closes for pair in marks.answers if not pair.opens]
        self._has_thought = False
        self._answer: list[str] = []
        self._endings: dict[Kind, str] = {}
        """How what was written of each kind ends."""
        self._enter(part)

    def _enter(self, part: Part) -> None:
        self._part: Part = part
        self._blank, self._lead, self._before = True, "", ""
        self._n_ticks = 0
        self._has_thought = self._has_thought or part == "thinking"
        marks = self._marks
        if part == "between":
            here = [*marks.opens, *marks.answer_opens, *marks.closes, marks.header_ends, *marks.stops]
        elif part == "thinking":
            # A thought may hold a line that begins like the user's next turn.
            certain = [stop for stop in marks.stops if is_token(stop) or stop[:1] in "<["]
            here = [*marks.opens, *marks.closes, *filter(is_token, marks.answer_opens), *certain]
        else:
            here = [*marks.opens, *marks.closes, *marks.answer_opens, *self._answer_closes, marks.header_ends]
            here += [*marks.stops, *self._user_stops]
        self._here = sorted({mark for mark in here if mark}, key=len, reverse=True)
        self._firsts = frozenset(mark[0] for mark in self._here)

    @property
    def part(self) -> Part:
        """Where the answer is."""
        return self._part

    @property
    def kind(self) -> Kind:
        """What the next text would be."""
        return "thinking" if self._part == "thinking" else "answer"

    def copy(self) -> AnswerSplitter:
        """One that goes on from here by itself."""
        other = copy.copy(self)
        other._answer, other._endings = list(self._answer), dict(self._endings)
        return other

    def feed(self, text: str) -> Segments:
        """Take more of what the model writes."""
        done: Segments = []
        if not self._held and self._part != "between" and self._firsts.isdisjoint(text):
            self._emit(done, text)
        elif text:
            self._held += text
            self._work(done, is_last=False)
        return done

    def rest(self) -> Segments:
        """What is left when nothing more comes."""
        done: Segments = []
        self._work(done, is_last=True)
        return done

    def _work(self, done: Segments, *, is_last: bool) -> None:
        at = 0
        while not self.ended:
            start, mark = self._find(at, is_last=is_last)
            is_text = self._is_text(start, mark, is_last=is_last) if mark else None
            if is_text is None:
                break
            if is_text:
                at = start + len(mark)
                continue
            before, self._held, at = self._held[:start], self._held[start + len(mark) :], 0
            if self._part != "between":
                self._emit(done, before)
            if self._act(before, mark):
                done.append(("recast", ""))
        if self.ended:
            self._held = ""
        elif self._part != "between":
            start = len(self._held) if is_last else start
            text, self._held = self._held[:start], self._held[start:]
            self._emit(done, text)
        elif is_last or len(self._held) > _LONGEST_HEADER:
            text, self._held = self._held, ""
            self._enter("answer")
            if not (is_last and _TOKEN.search(text)):  # else it is a header that was broken off
                self._emit(done, _TOKEN.sub("", text))

    def _find(self, at: int, *, is_last: bool) -> tuple[int, str]:
        """The first place from `at` on where a mark stands, and the mark; "" where one may be about to stand."""
        held = self._held
        for start in range(at, len(held)):
            if held[start] not in self._firsts:
                continue
            for mark in self._here:
                if not is_last and len(mark) > len(held) - start and mark.startswith(held[start:]):
                    return start, ""
                if held.startswith(mark, start):
                    return start, mark
        return len(held), ""

    def _is_text(self, start: int, mark: str, *, is_last: bool) -> bool | None:
        """Whether the model only writes about the mark; None where the next character will tell."""
        if self._part == "between" or mark in self._user_stops:
            return False
        marks, before = self._marks, self._held[:start]
        last, following = before[-1:] or self._before, self._held[start + len(mark) :][:1]
        if last in _QUOTES:
            if not following and not is_last:
                return None
            if following == _QUOTES[last]:
                return True
        is_blank = self._blank and not before.strip()
        if self._part == "thinking":
            if mark in marks.opens:
                return not is_blank
            return mark in marks.closes and self._is_in_a_line_of_code(start, start + len(mark), is_last=is_last)
        if is_blank or mark in (*marks.stops, *self._answer_closes, marks.header_ends):
            return False
        if mark in marks.answer_opens:
            return not is_token(mark)
        if self._is_in_code(before):
            return True
        if mark in marks.opens:
            return last != "\n" and not (is_token(mark) and len(mark) > 1)
        # The end of a thought that never began. Behind it a line ends, or the text is about it.
        if not following and not is_last:
            return None
        return following not in ("", "\n") and not marks.has_headers

    def _is_in_a_line_of_code(self, start: int, end: int, *, is_last: bool) -> bool | None:
        """Whether what stands in the held text from `start` to `end` is between two backticks of one line; None where
        what follows will tell."""
        if self._ticks_behind(self._held[:start]) % 2 == 0:
            return False
        rest, tick, _ = self._held[end:].partition("`")
        if any(letter.isspace() for letter in rest) or len(rest) > _LONGEST_CODE:  # an answer has words
            return False
        if tick:
            return True
        return False if is_last else None

    def _ticks_behind(self, text: str) -> int:
        """Backticks on the line that `text` ends in."""
        _, newline, line = text.rpartition("\n")
        return line.count("`") + (0 if newline else self._n_ticks)

    def _is_in_code(self, before: str) -> bool:
        lines = "".join([*self._answer, before]).split("\n")
        return sum(line.lstrip().startswith(_FENCES) for line in lines) % 2 == 1

    def _act(self, before: str, mark: str) -> bool:
        """Go where the mark leads; `before` is what stood before it between two messages. Whether all so far was a
        thought."""
        marks = self._marks
        after_part: Part = "between" if marks.has_headers else "answer"
        if self._part == "thinking":
            if mark in marks.closes:
                self._enter(after_part)
            elif mark in marks.answer_opens:
                self._enter_answer(mark)
            elif mark in marks.stops:
                self.ended = True
        elif mark in marks.opens:
            self._enter("thinking")
        elif mark in marks.answer_opens:
            self._enter_answer(mark)
        elif self._part == "between":
            if mark == marks.header_ends:
                self._is_final = False
                self._enter("thinking" if self._is_thought(before) else "answer")
            elif mark in marks.stops and mark not in marks.closes:
                self.ended = True
        elif mark in marks.stops or mark in self._user_stops:
            if mark in marks.closes and not self._is_final:
                self._enter("between")
            else:
                self.ended = True
        elif mark in self._answer_closes or (mark in marks.closes and marks.has_headers):
            self._enter("between")
        elif mark in marks.closes and not self._has_thought and not self._blank:
            self._has_thought = True
            self._answer.clear()
            self._endings.clear()
            self._enter("answer")
            return True
        return False

    def _enter_answer(self, opens: str) -> None:
        self._is_final = True
        self._answer_closes += [pair.closes for pair in self._marks.answers if pair.opens == opens and pair.closes]
        if self._part == "answer":  # at its very beginning, or a token that is out of place
            before, blank = self._before, self._blank
            self._enter("answer")
            self._before, self._blank = before, blank
        else:
            self._enter("answer")

    def _is_thought(self, header: str) -> bool:
        words = _WORD.findall(header)
        return bool(words) and any(words[-1] in _WORD.findall(opens) for opens in self._marks.opens)

    def _emit(self, done: Segments, text: str) -> None:
        """`text` belongs to the part that is being written; empty lines at its beginning do not, but one stands between
        two parts of one kind."""
        kind = self.kind
        if self._blank:
            self._lead += text
            if not self._lead.strip():
                return
            text, self._lead, self._blank = self._lead.lstrip("\n"), "", False
            if ending := self._endings.get(kind):
                text = "\n" * (2 - ending.count("\n")) + text
        if not text:
            return
        self._n_ticks = self._ticks_behind(text)
        self._before, self._endings[kind] = text[-1], (self._endings.get(kind, "") + text)[-2:]
        if kind == "answer":
            self._answer.append(text)
        if done and done[-1][0] == kind:
            done[-1] = (kind, done[-1][1] + text)
        else:
            done.append((kind, text))
