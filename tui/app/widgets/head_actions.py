"""What can be done with a message, as words at the right end of its head: which they are, and which of them is hit."""

from __future__ import annotations

from tui.app.bindings import small_title_of
from tui.app.markdown.text import Line, Run, width_of
from tui.app.widgets.answer_entry import AnswerEntry
from tui.app.widgets.transcript_entries import Entry, UserEntry

_BETWEEN = " · "
_STYLE = "code.copy"


def offered(entry: Entry) -> tuple[str, ...]:
    """Ids of the actions, in the order in which they stand there; none for what is no message."""
    match entry:
        case UserEntry(record=record) if record.files:
            return "message_files", "message_copy", "message_edit", "message_regenerate"
        case UserEntry():
            return "message_copy", "message_edit", "message_regenerate"
        case AnswerEntry(is_complete=True):
            return "message_copy", "message_regenerate"
        case AnswerEntry():
            return ("message_copy",)
        case _:
            return ()


def words(actions: tuple[str, ...]) -> tuple[Run, ...]:
    """Their words, the same as in the key bar, with a blank behind them."""
    return ((_BETWEEN.join(map(_word, actions)) + " ", _STYLE),) if actions else ()


def hit(actions: tuple[str, ...], x: int) -> str:
    """The action whose word is at this cell, counted from the first of them; "" for none."""
    start = 0
    for action in actions:
        stop = start + width_of(_word(action))
        if start <= x < stop:
            return action
        start = stop + width_of(_BETWEEN)
    return ""


def way_at(line: Line, x: int) -> str:
    """The action that a click on a head takes at this cell: to the sibling before, or after; "" beside them."""
    if len(line.runs) < 3:
        return ""
    start = sum(width_of(text) for text, _ in line.runs[:2])
    n = width_of(line.runs[2][0])
    if not start <= x < start + n:
        return ""
    return "message_branch_previous" if x < start + n // 2 else "message_branch_next"


def _word(action: str) -> str:
    return small_title_of(action)
