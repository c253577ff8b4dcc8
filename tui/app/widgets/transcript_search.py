"""Where words stand in a conversation as it is shown: how often in each entry, and in which of its cells. Entries that
are not laid out are counted by their source."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from tui.app.markdown.text import Line, Run
from tui.app.widgets.answer_entry import AnswerEntry
from tui.app.widgets.transcript_entries import Entry, UserEntry

Spans = dict[int, list[tuple[int, int, int]]]
"""By row of an entry: first character, the one behind the last, and which of the entry's hits that is a part of."""

_DECORATION = ("head", "thinking", "fold", "copy", "choice")
"""Rows that are no part of what was said."""


class TextSearch:
    """One search. `current` is the hit that was gone to: an entry, and which of its hits."""

    def __init__(self, words: Sequence[str]) -> None:
        """A hit is any of the words, in any case; where one has blanks, a line may break."""
        self.words = tuple(word for word in words if word.strip())
        longest_first = sorted(self.words, key=len, reverse=True)
        forms = [r"\s+".join(map(re.escape, word.split())) for word in longest_first]
        self._pattern = re.compile("|".join(forms) or r"(?!)", re.IGNORECASE)
        self._plain = self.words[0].casefold() if len(self.words) == 1 and not re.search(r"\s", self.words[0]) else ""
        self.current: tuple[Entry, int] | None = None
        self._counts: dict[Entry, tuple[int, int]] = {}
        self._spans: dict[Entry, tuple[tuple[list[Line], ...], int, Spans]] = {}

    def count(self, entry: Entry) -> int:
        """Hits in an entry: as many as can be gone to where it is laid out and nothing of it is folded."""
        if entry.parts and not is_folded(entry):
            spans = self.spans(entry)
            return 1 + max((number for row in spans.values() for _, _, number in row), default=-1)
        return self._count_source(entry)

    def _count_source(self, entry: Entry) -> int:
        texts = _sources(entry)
        size = sum(map(len, texts))
        known = self._counts.get(entry)
        if known is None or known[0] != size:
            known = self._counts[entry] = size, sum(map(self._count_in, texts))
        return known[1]

    def _count_in(self, text: str) -> int:
        if self._plain:
            return text.casefold().count(self._plain)
        return sum(1 for _ in self._pattern.finditer(text))

    def is_in_folded(self, entry: Entry) -> bool:
        """Whether it stands in what is folded of the entry."""
        if isinstance(entry, AnswerEntry):
            return is_folded(entry) and self._count_in(entry.thinking_text) > 0
        shown = 1 + max((number for row in self.spans(entry).values() for _, _, number in row), default=-1)
        return is_folded(entry) and self._count_source(entry) > shown

    def spans(self, entry: Entry) -> Spans:
        """Where its hits are, of an entry that is laid out."""
        size = entry.height + sum(map(len, _sources(entry)))
        known = self._spans.get(entry)
        if known is None or known[0] is not entry.parts or known[1] != size:
            known = self._spans[entry] = entry.parts, size, self._find(entry)
        return known[2]

    def _find(self, entry: Entry) -> Spans:
        text, starts, rows = "", [], []
        pieces: list[str] = []
        at = 0
        for row, line in _said(entry):
            joint = "\n" if line.joint is None else line.joint
            pieces.append(joint)
            at += len(joint)
            starts.append(at)
            rows.append((row, line.lead))
            said = line.text[line.lead :]
            pieces.append(said)
            at += len(said)
        text = "".join(pieces)
        found: Spans = {}
        for number, hit in enumerate(self._pattern.finditer(text)):
            first, last = hit.span()
            place = max(0, bisect_right(starts, first) - 1)
            while place < len(starts) and starts[place] < last:
                row, lead = rows[place]
                end = starts[place + 1] if place + 1 < len(starts) else at
                start, stop = max(first, starts[place]), min(last, end)
                if start < stop:
                    begin = start - starts[place] + lead
                    found.setdefault(row, []).append((begin, begin + stop - start, number))
                place += 1
        return found


def is_folded(entry: Entry) -> bool:
    """Whether something that was said is out of sight."""
    if isinstance(entry, AnswerEntry):
        return bool(entry.thinking_text) and not entry.expanded
    return isinstance(entry, UserEntry) and entry.is_cut


def unfold(entry: Entry) -> None:
    """Show all of it."""
    if is_folded(entry):
        entry.toggle()


def light(runs: Sequence[Run], spans: Sequence[tuple[int, int, bool]]) -> tuple[Run, ...]:
    """The runs of a line with these characters lit; True for the hit that was gone to."""
    lit: list[Run] = []
    offset = 0
    for text, name in runs:
        at = 0
        for first, last, is_current in spans:
            start, stop = max(first - offset, at), min(last - offset, len(text))
            if start < stop:
                lit += [(text[at:start], name), (text[start:stop], f"{name}+{'found.now' if is_current else 'found'}")]
                at = stop
        lit.append((text[at:], name))
        offset += len(text)
    return tuple((text, name) for text, name in lit if text)


def _said(entry: Entry) -> Iterator[tuple[int, Line]]:
    """The rows of what was said, with their numbers."""
    parts = entry.parts[:2] if isinstance(entry, AnswerEntry) else entry.parts
    row = 0
    for part in parts:
        for line in part:
            if line.action not in _DECORATION:
                yield row, line
            row += 1


def _sources(entry: Entry) -> tuple[str, ...]:
    return (entry.thinking_text, entry.text) if isinstance(entry, AnswerEntry) else (entry.text,)
