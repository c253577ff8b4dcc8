"""How a search is answered: which messages hold all words, the best first. Functions of a connection that reads the
database, in whatever thread that is.

Each word is looked for as it is typed, in any case, wherever it stands in a text. The index only says where it is worth
looking; what it does not know yet, and single letters, are found by looking through the texts themselves, which takes
one to two milliseconds for each megabyte.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from tui.base.text import one_line
from tui.chat.search.wanted import Wanted

MOST_HITS = 500
"""Messages that are given at most, the newest ones of all that hold the words."""
FIRST_BATCH_S, BATCH_S = 0.015, 0.15
"""What was found so far is given after this time."""
BEFORE, AFTER = 60, 240
"""Characters of a snippet around its first word."""
_MOST_PLACES = 40
"""In one message: more make no difference to its rank."""
_HALF_LIFE_DAYS = 90.0
_LENGTH = 1500.0
"""Characters of an ordinary message."""
_MOST_TRIGRAMS = 40

Part = Literal["text", "thinking"]


class Snippet(msgspec.Struct, frozen=True):
    """A piece of a text in one line."""

    text: str
    lit: tuple[tuple[int, int], ...]
    """Where the words stand in it: first character and the one behind the last."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A message that holds all words."""

    conversation_id: str
    turn_id: str
    role: str
    part: Part
    """Where the snippet is from."""
    created_at: float
    score: float
    snippet: Snippet


def pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Finds any of the words, in any case; never the empty text."""
    longest_first = sorted(filter(None, words), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)


def find(connection: sqlite3.Connection, wanted: Wanted, now: float, *, has_index: bool) -> Iterator[list[Hit]]:
    """What was found since the last time that something was given, at most `MOST_HITS` in all; `has_index` as
    `attach_index` says. Raises sqlite3.OperationalError when the connection is interrupted."""
    if not wanted.words:
        return
    sources = [_EVERYTHING]
    if has_index and (indexed := _indexed(connection, wanted.words)) is not None:
        sources = [indexed, _NOT_INDEXED]
    finder = _Finder(wanted, now)
    given_at, pause_s = time.monotonic(), FIRST_BATCH_S
    batch: list[Hit] = []
    condition, values = _condition(wanted)
    for source in sources:
        for row in connection.execute(source.statement(condition), (*source.values, *values)):
            hit = finder.hit(row)
            if hit is not None:
                batch.append(hit)
            if finder.n_hits >= MOST_HITS:
                yield batch
                return
            if batch and time.monotonic() - given_at > pause_s:
                yield batch
                batch = []
                given_at, pause_s = time.monotonic(), BATCH_S
    if batch:
        yield batch


class _Source(msgspec.Struct, frozen=True):
    """Where messages come from, in the order in which they are given."""

    tables: str
    order: str = ""
    values: tuple[str, ...] = ()

    def statement(self, condition: str) -> str:
        return f"SELECT {_COLUMNS} FROM {self.tables} {condition} {self.order}"


_COLUMNS = "t.id, t.conversation_id, t.role, t.text, t.reasoning, t.created_at"
# "LIMIT -1" has SQLite sort the conversations only, rather than all that is found in them.
_EVERYTHING = _Source(
    "(SELECT * FROM main.conversations ORDER BY updated_at DESC LIMIT -1) c"
    " CROSS JOIN main.turns t ON t.conversation_id = c.id WHERE"
)
_NOT_INDEXED = _Source(
    "(SELECT c.* FROM main.conversations c LEFT JOIN found.conversations i ON i.id = c.id"
    " WHERE i.updated_at IS NOT c.updated_at ORDER BY c.updated_at DESC LIMIT -1) c"
    " CROSS JOIN main.turns t ON t.conversation_id = c.id WHERE"
)


def _indexed(connection: sqlite3.Connection, words: Sequence[str]) -> _Source | None:
    """Where the index says that it is worth looking; None where it cannot tell, or
    makes nothing quicker."""
    if letters := _letters(words):
        return _Source(
            "found.letters l CROSS JOIN main.turns t ON t.position = l.rowid"
            " CROSS JOIN main.conversations c ON c.id = t.conversation_id WHERE l.letters MATCH ? AND",
            "ORDER BY l.rowid DESC",
            (letters,),
        )
    # Groups of three that begin with two: the list of groups is in the order of the alphabet.
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.groups USING fts5vocab(found, letters, instance)")
    for word in words:
        pair = word.lower()
        span = (pair, f"{pair}\U0010ffff")
        if len(pair) == 2:
            n = connection.execute(f"SELECT count(*) FROM (SELECT 1 {_GROUPS} LIMIT {_COMMON})", span).fetchone()[0]
            if n < _COMMON:
                return _Source(
                    f"(SELECT DISTINCT doc {_GROUPS} ORDER BY doc DESC LIMIT -1) l"
                    " CROSS JOIN main.turns t ON t.position = l.doc"
                    " CROSS JOIN main.conversations c ON c.id = t.conversation_id WHERE",
                    values=span,
                )
    return None


_GROUPS = "FROM temp.groups WHERE term >= ? AND term < ?"
_COMMON = 5000
"""Two letters that stand so often are soon found without the index."""


def _letters(words: Sequence[str]) -> str:
    """What the index is asked for: all groups of three letters of the words; empty where none has three."""
    groups = dict.fromkeys(word[at : at + 3] for word in words if "\0" not in word for at in range(len(word) - 2))
    return " ".join('"' + group.replace('"', '""') + '"' for group in list(groups)[:_MOST_TRIGRAMS])


def _condition(wanted: Wanted) -> tuple[str, list[str | float]]:
    """What must hold of a turn `t` and its conversation `c`."""
    parts: list[str] = ["t.writer IS NULL"]
    values: list[str | float] = []
    for word in wanted.words:
        likes = [f"%{_escaped(form)}%" for form in _forms(word)]
        tests = ["t.text LIKE ? ESCAPE '\\' OR t.reasoning LIKE ? ESCAPE '\\'"] * len(likes)
        parts.append(f"({' OR '.join(tests)})")
        values += [like for like in likes for _ in range(2)]
    if wanted.model:
        parts.append("(c.model_path LIKE ? ESCAPE '\\' OR t.model LIKE ? ESCAPE '\\')")
        values += [f"%{_escaped(wanted.model)}%"] * 2
    if wanted.after:
        parts.append("t.created_at >= ?")
        values.append(wanted.after)
    if wanted.before:
        parts.append("t.created_at < ?")
        values.append(wanted.before)
    if wanted.is_pinned:
        parts.append("c.is_pinned")
    if wanted.is_archived:
        parts.append("c.is_archived")
    for tag in wanted.tags:
        parts.append("EXISTS (SELECT 1 FROM json_each(c.tags) WHERE value LIKE ? ESCAPE '\\')")
        values.append(_escaped(tag))
    return " AND ".join(parts), values


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _forms(word: str) -> tuple[str, ...]:
    """SQLite ignores the case of ASCII only: other letters are looked for in each."""
    if word.isascii():
        return (word,)
    return tuple(dict.fromkeys((word.lower(), word, word.upper(), word.capitalize(), word.title())))


class _Finder:
    """Makes hits of rows."""

    def __init__(self, wanted: Wanted, now: float) -> None:
        self._words = [word.casefold() for word in wanted.words]
        self._pattern = pattern(wanted.words)
        self._now = now
        self._seen: set[str] = set()
        """Messages that the index knows and that are looked through as well, for their conversation has changed."""

    @property
    def n_hits(self) -> int:
        return len(self._seen)

    def hit(self, row: tuple[str, str, str, str, str, float]) -> Hit | None:
        turn_id, conversation_id, role, text, reasoning, created_at = row
        if turn_id in self._seen:
            return None
        self._seen.add(turn_id)
        in_text, at = self._look(text)
        part: Part = "text"
        score = in_text
        if at < 0 or reasoning:
            in_thoughts, thought_at = self._look(reasoning)
            score += 0.3 * in_thoughts
            if at < 0:
                part, text, at = "thinking", reasoning, max(thought_at, 0)
        age_days = max(0.0, self._now - created_at) / 86_400
        return Hit(
            conversation_id=conversation_id,
            turn_id=turn_id,
            role=role,
            part=part,
            created_at=created_at,
            score=score * (0.5 + 0.5 * 0.5 ** (age_days / _HALF_LIFE_DAYS)),
            snippet=self._snippet(text, at),
        )

    def _look(self, text: str) -> tuple[float, int]:
        """How well the text goes with the words, and where it does so best: the place from which on most of them are
        near; -1 where none is. It is BM25 but for the words' rarity, for each message has all of them."""
        places: list[tuple[int, str]] = []
        counts = dict.fromkeys(self._words, 0)
        n_whole = 0
        for found in self._pattern.finditer(text):
            start, stop = found.span()
            word = found[0].casefold()
            counts[word] = counts.get(word, 0) + 1
            n_whole += not (text[start - 1 : start].isalnum() or text[stop : stop + 1].isalnum())
            places.append((start, word))
            if len(places) >= _MOST_PLACES:
                break
        if not places:
            return 0.0, -1
        norm = 1.2 * (0.25 + 0.75 * len(text) / _LENGTH)
        score = sum(n / (n + norm) for n in counts.values() if n) + 0.5 * n_whole / len(places)
        best, most = places[0][0], 0
        for number, (start, _) in enumerate(places if len(self._words) > 1 else ()):
            near = {word for at, word in places[number : number + 10] if at < start + AFTER // 2}
            if len(near) > most:
                best, most = start, len(near)
        return score, best

    def _snippet(self, text: str, at: int) -> Snippet:
        start, stop = max(0, at - BEFORE), at + AFTER
        line = one_line(text[start:stop]).strip()
        if start > 0:
            line = "…" + line
        if stop < len(text):
            line += "…"
        return Snippet(line, tuple(found.span() for found in self._pattern.finditer(line)))
