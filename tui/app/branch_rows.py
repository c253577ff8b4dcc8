"""The tree of a conversation as rows of text: what is shown is a straight line, and what stood in its place is drawn
off to the right before it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from tui.chat import tree
from tui.chat.store import Node

MOST_LEVELS = 12
"""Branches of branches that are drawn apart; those of a deeper level stand under each other."""


class BranchRow(msgspec.Struct, frozen=True):
    """One message of the tree."""

    node: Node
    lines: str
    """What is drawn before it: "│ ├─"."""

    @property
    def id(self) -> str:
        """That of the message."""
        return self.node.place.id


def branch_rows(nodes: Sequence[Node]) -> tuple[BranchRow, ...]:
    """All messages, each below the one that it follows."""
    by_id = {node.place.id: node for node in nodes}
    after = tree.children(tuple(node.place for node in nodes))
    return tuple(_rows(by_id, after))


def _rows(by_id: dict[str, Node], after: dict[str, list[tree.Place]]) -> Iterator[BranchRow]:
    """Branches that were left come first, the one that goes on straight, which was shown last, after them. Without
    recursion: a conversation may have thousands of messages."""
    waiting: list[tuple[str, str, str]] = []  # id, what its first row begins with, and what all after that do

    def put(parent: str, before: str) -> None:
        following = after.get(parent, [])
        if not following:
            return
        straight = tree.latest(following)
        waiting.append((straight.id, before, before))
        aside = [place for place in following if place is not straight]
        is_deep = len(before) >= 2 * MOST_LEVELS
        first, rest = (before, before) if is_deep else (f"{before}├─", f"{before}│ ")
        waiting.extend((place.id, first, rest) for place in reversed(aside))

    put("", "")
    while waiting:
        id_, first, rest = waiting.pop()
        yield BranchRow(by_id[id_], first)
        put(id_, rest)
