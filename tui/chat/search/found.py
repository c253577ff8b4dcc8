"""What a search comes to: conversations, the best first, with the messages in them that hold the words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tui.chat.rows import Summary
from tui.chat.search.query import Hit
from tui.chat.search.wanted import Wanted

TITLE_SCORE = 4.0
"""More than any message gets: who types a title looks for it."""
MOST_SHOWN = 3
"""Messages of one conversation that are shown; how many there are is said."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation whose title or messages hold the words."""

    conversation: Summary
    hits: tuple[Hit, ...] = ()
    """The best first, at most `MOST_SHOWN`."""
    n_hits: int = 0
    """All that were found in it."""


def together(conversations: Sequence[Summary], wanted: Wanted, hits: Sequence[Hit]) -> list[Found]:
    """Conversations whose title holds all words, and those of the hits. Without words, all that pass the filters, in
    their order. Of archived ones only what words were found in, or what `wanted` asks for. Some milliseconds for
    10,000."""
    if not wanted.words:
        shown = (one for one in conversations if one.is_archived == wanted.is_archived and _passes(one, wanted))
        return [Found(conversation=one) for one in shown]
    by_conversation: dict[str, list[Hit]] = {}
    for hit in hits:
        by_conversation.setdefault(hit.conversation_id, []).append(hit)
    first, *others = (word.casefold() for word in wanted.words)
    titles = [one.title.casefold() for one in conversations]
    named = {
        one.id
        for one, title in zip(conversations, titles, strict=True)
        if first in title and all(word in title for word in others) and _passes(one, wanted)
    }
    found: list[tuple[float, Found]] = []
    for one in conversations:
        if one.id in by_conversation or one.id in named:
            own = sorted(by_conversation.get(one.id, ()), key=lambda hit: -hit.score)
            score = (own[0].score + 0.1 * math.log(len(own))) if own else 0.0
            score += TITLE_SCORE * (one.id in named)
            found.append((score, Found(conversation=one, hits=tuple(own[:MOST_SHOWN]), n_hits=len(own))))
    found.sort(key=lambda pair: -pair[0])  # which leaves what is equally good in the order of the list
    return [one for _, one in found]


def _passes(one: Summary, wanted: Wanted) -> bool:
    return (
        wanted.model.casefold() in one.model_path.casefold()
        and one.updated_at >= wanted.after
        and (not wanted.before or one.created_at < wanted.before)
        and (one.is_pinned or not wanted.is_pinned)
        and (one.is_archived or not wanted.is_archived)
        and set(wanted.tags) <= set(one.tags)
    )
