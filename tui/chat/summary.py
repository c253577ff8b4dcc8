"""A long conversation that goes on with a summary in the place of its oldest messages: pure functions. The
conversation that was summarised stays as it is."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from tui.chat.conversation import Conversation, Turn, copy_with_new_ids, user_turn
from tui.words import tr

MOST_TOKENS = 600
"""Of a summary."""


def n_summarised(turns: Sequence[Turn], n_least: int) -> int:
    """How many of the oldest turns a summary is to stand for: `n_least` at least, about half of them, whole exchanges.
    0 where that cannot be, or leaves nothing out."""
    wanted = max(n_least, len(turns) // 2)
    last = len(turns) - 1 if turns and turns[-1].role == "user" else len(turns)
    ends = [n for n in range(2, last + 1) if turns[n - 1].role == "assistant"]
    return next((n for n in ends if n >= wanted), 0)


def to_summarise(conversation: Conversation, n: int) -> Conversation:
    """A new conversation of the first `n` turns, which asks for a summary of them."""
    turns = (*conversation.turns[:n], user_turn(_request()))
    asked = msgspec.structs.replace(
        conversation,
        turns=turns,
        title=tr("Summary of: {title}", title=conversation.title),
        thinking=False,
        max_tokens=MOST_TOKENS,
        answer_format=None,
        created_at=time.time(),
        updated_at=time.time(),
    )
    return copy_with_new_ids(asked)


def summarised(conversation: Conversation, n: int, summary: Turn) -> Conversation:
    """A new conversation that begins with the summary in the place of the first `n` turns, and goes on as this one."""
    now = time.time()
    turns = (user_turn(_request()), summary, *conversation.turns[n:])
    return copy_with_new_ids(msgspec.structs.replace(conversation, turns=turns, created_at=now, updated_at=now))


def _request() -> str:
    return tr(
        "Summarize our conversation so far: what was asked, what was found and decided, and every name, number and "
        "piece of code that may matter later. Be brief."
    )
