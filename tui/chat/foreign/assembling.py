"""From the messages of a file to a conversation of ours: a tree whatever the file says, roles that alternate, texts and
times that can be shown."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable

from tui.chat import tree
from tui.chat.conversation import Conversation, Turn, WholeConversation, encodable, new_id, title_from
from tui.chat.export import MAX_TURN_CHARS, MAX_TURNS
from tui.chat.foreign.nodes import Node, Talk, Unreadable
from tui.chat.mending import mended, mended_turn, moment
from tui.words import tr

_NAMES = uuid.UUID("5b1a6a0e-6f0c-4a51-9b43-1f0c6f6f2a18")
"""Ids of imported conversations are made from where they come from, so that none is imported twice."""


def assembled(talk: Talk, source: str, now: float) -> WholeConversation:
    """The conversation, with all its branches. `source` and the talk's own id make its id. Raises `Unreadable`."""
    nodes = list(_in_order(talk.nodes))
    path = _path(nodes, talk.current)
    kept: list[tuple[Node, str]] = []
    stands_for: dict[str, str] = {}
    by_id: dict[str, Node] = {}
    thoughts: dict[str, str] = {}
    system_prompt = talk.system_prompt
    for node in nodes:
        parent = stands_for.get(node.parent, "")
        before = by_id.get(parent)
        reasoning = "\n\n".join(filter(None, (thoughts.get(node.parent, ""), node.reasoning)))
        stands_for[node.id] = parent
        if node.role == "system":
            if not kept and not system_prompt:
                system_prompt = node.text
            elif node.text.strip():
                talk.left_out["system"] += 1
        elif node.role == "assistant" and not node.text.strip():
            thoughts[node.id] = reasoning  # of the answer that follows
        elif node.role == "assistant" and before is not None and before.role == "assistant" and node.id in path:
            # What followed a call of a tool goes on with the answer.
            before.text = "\n\n".join((before.text, node.text))
            before.reasoning = "\n\n".join(filter(None, (before.reasoning, reasoning)))
        elif node.role in ("user", "assistant") and (node.text.strip() or reasoning):
            node.reasoning = reasoning if node.role == "assistant" else ""
            kept.append((node, parent))
            by_id[node.id] = node
            stands_for[node.id] = node.id
        elif node.role in ("", "user", "assistant", "tool", "function"):
            thoughts[node.id] = thoughts.get(node.parent, "")
        else:
            talk.left_out["unknown"] += 1
    _check(kept, system_prompt)
    shown_ids = {stands_for[id_] for id_ in path} - {""}
    return _whole(talk, source, now, kept, shown_ids, system_prompt)


def _whole(
    talk: Talk, source: str, now: float, kept: list[tuple[Node, str]], shown_ids: set[str], system_prompt: str
) -> WholeConversation:
    names = {node.id: new_id() for node, _ in kept}
    began, ended = moment(talk.created_at), moment(talk.updated_at)
    times = [time for node, _ in kept if (time := moment(node.created_at))]
    began = began or min(times, default=now)
    ended = ended or max(times, default=began)
    places = tree.agreed(
        (names[node.id], names.get(parent), 0.0 if node.id in shown_ids else moment(node.created_at) or ended or 1.0)
        for node, parent in kept
    )
    turns = {names[node.id]: _turn(node, names[node.id], talk.model, began) for node, _ in kept}
    path = tree.shown(places)
    first = next((turns[id_].text for id_ in path if turns[id_].role == "user"), "")
    is_branched = len(path) < len(places)
    conversation = Conversation(
        id=uuid.uuid5(_NAMES, f"{source}\n{talk.id}\n{talk.updated_at}").hex,
        created_at=began,
        updated_at=ended,
        title=encodable(talk.title.strip()) or title_from(first),
        system_prompt=encodable(system_prompt),
        turns=tuple(turns[id_] for id_ in path),
        places=places if is_branched else (),
    )
    hidden = tuple(turns[place.id] for place in places if place.left_at)
    return WholeConversation(shown=mended(conversation), hidden=tuple(map(mended_turn, hidden)))


def _turn(node: Node, id_: str, model: str, began: float) -> Turn:
    is_answer = node.role == "assistant"
    return Turn(
        id=id_,
        role="assistant" if is_answer else "user",
        text=encodable(node.text.strip("\n")),
        reasoning=encodable(node.reasoning.strip("\n")),
        created_at=moment(node.created_at) or began,
        stop="stop" if is_answer else None,
        model=encodable(node.model or model) if is_answer else "",
    )


def _in_order(nodes: Iterable[Node]) -> Iterable[Node]:
    """Each behind the one that it follows. What follows itself, or nothing that is there, begins anew or is not
    reached."""
    known = {node.id: node for node in nodes}
    after: dict[str, list[Node]] = defaultdict(list)
    for node in known.values():
        after[node.parent if node.parent in known else ""].append(node)
    waiting = list(reversed(after[""]))
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(after.pop(node.id, []))


def _path(nodes: list[Node], current: str) -> set[str]:
    """The ids of what was shown."""
    by_id = {node.id: node for node in nodes}
    at = current if current in by_id else nodes[-1].id if nodes else ""
    path: set[str] = set()
    while at in by_id and at not in path:
        path.add(at)
        at = by_id[at].parent
    return path


def _check(kept: list[tuple[Node, str]], system_prompt: str) -> None:
    longest = max((len(node.text) + len(node.reasoning) for node, _ in kept), default=0)
    if not kept:
        raise Unreadable(tr("it has no messages"))
    if max(longest, len(system_prompt)) > MAX_TURN_CHARS:
        raise Unreadable(tr("one of its messages has more than {n} characters", n=f"{MAX_TURN_CHARS:,}"))
    if len(kept) > MAX_TURNS:
        raise Unreadable(tr("it has more than {n} messages", n=f"{MAX_TURNS:,}"))
