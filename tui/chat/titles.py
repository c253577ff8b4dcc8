"""Titles that a model makes: what it is asked for, and what of its answer can be one. Pure functions."""

from __future__ import annotations

import re

from tui.base.text import cells, one_line
from tui.chat.conversation import Conversation, title_from
from tui.words import tr

MOST_TOKENS = 40
"""Of an answer: six words in any language, with what a model puts around them."""
MOST_COLUMNS = 60
MOST_WORDS = 9
"""More than were asked for, as models count badly; what is longer is a sentence."""
_MOST_READ = 2000
"""Characters of an answer that are looked at."""

_THOUGHT = re.compile(r"<(think|thinking|thought)>.*?(?:</\1>|\Z)|\A.*?</(?:think|thinking|thought)>", re.DOTALL)
_BEFORE = re.compile(r"\A(?:[#>*\-•]+\s+|1[.)]\s+)+")
_LABEL = (
    r"(?:(?:sure|certainly|of course|okay|ok|here)\b.{0,60}?|(?:conversation|chat|suggested|possible|short|the)\s+)?"
    "title|标题|題目|標題"
)
_CALLED = re.compile(rf"\A(?:([*_]*)(?:{_LABEL})\1\s*[:：]|([*_]*)(?:{_LABEL})[:：]\2)\s*", re.IGNORECASE)
_AROUND = ("**", "__", "*", "_", "`", '"', "'", "“”", "‘’", "„“", "”", "«»", "「」", "『』", "《》", "【】", "[]")
"""What may stand around it, where it does not stand in it."""
_BEHIND = ".。．!！,，;；:："
_OF_A_TEMPLATE = re.compile(r"<\||\|>|\[/?INST\]")


def request() -> str:
    """What a model is asked for, as a prompt after the conversation."""
    return tr(
        "Give this conversation a title of at most six words, in the language in which it is written. "
        "Answer with the title alone."
    )


def has_own_title(conversation: Conversation) -> bool:
    """Whether somebody gave it its title; else that is made of its first words."""
    first = next((turn.text for turn in conversation.turns if turn.role == "user"), "")
    return conversation.title not in ("", title_from(first))


def title_in(answer: str, *, is_whole: bool) -> str:
    """The title that a model answered with, in one line, without what it put around it; "" where it is none: there is
    no text, or too much. `is_whole` says whether the answer came to its end."""
    text = _THOUGHT.sub("", answer[:_MOST_READ])
    lines = [line for line in map(one_line, text.splitlines()) if line]
    if not is_whole or len(answer) > _MOST_READ:
        del lines[-1:]  # the end of it is not there
    # "Here is one:" stands before it.
    found = next((line for line in map(_bare, lines) if line and line[-1] not in ":："), "")
    title = one_line(found.rstrip(f"{_BEHIND} "))
    is_title = any(char.isalnum() for char in title) and not _OF_A_TEMPLATE.search(title)
    return title if is_title and cells(title) <= MOST_COLUMNS and len(title.split()) <= MOST_WORDS else ""


def _bare(line: str) -> str:
    before = ""
    while line != before:
        before = line
        line = _CALLED.sub("", _BEFORE.sub("", line))
        end = line.rstrip(_BEHIND)
        for marks in _AROUND:
            if end == _without(end, marks):
                continue
            line = end = _without(end, marks)
    return line


def _without(line: str, marks: str) -> str:
    """`line` without the marks around it, which are one for both ends or one for each."""
    first, last = (marks, marks) if len(set(marks)) == 1 else (marks[0], marks[1])
    inner = line[len(first) : -len(last)]
    is_around = len(line) > len(first + last) and line.startswith(first) and line.endswith(last)
    return inner.strip() if is_around and first not in inner and last not in inner else line
