"""LM Studio's conversations: each message has `versions`, one of which is selected; an answer is made of steps, of
which thoughts are marked by their style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tui.chat.foreign.nodes import LeftOut, Node, Talk, items_of, mapping_of, text_of, time_of


def is_one(found: Mapping[str, Any]) -> bool:
    """Whether it looks like such a conversation."""
    return any("versions" in mapping_of(message) for message in items_of(found.get("messages")))


def talk_of(found: Mapping[str, Any]) -> Talk:
    """The conversation; versions that were not selected are branches of one message."""
    left_out: Counter[LeftOut] = Counter()
    nodes: list[Node] = []
    before = ""
    for number, message in enumerate(map(mapping_of, items_of(found.get("messages")))):
        versions = items_of(message.get("versions"))
        selected = message.get("currentlySelected")
        at = selected if isinstance(selected, int) and 0 <= selected < len(versions) else len(versions) - 1
        for place, version in enumerate(map(mapping_of, versions)):
            node = _node(f"{number}.{place}", version, left_out)
            node.parent = before
            nodes.append(node)
        if versions:
            before = f"{number}.{at}"
    last = mapping_of(found.get("lastUsedModel"))
    return Talk(
        title=text_of(found.get("name")),
        created_at=time_of(found.get("createdAt")),
        updated_at=time_of(found.get("userLastMessagedAt")) or time_of(found.get("assistantLastMessagedAt")),
        system_prompt=text_of(found.get("systemPrompt")),
        model=text_of(last.get("identifier")) or text_of(last.get("indexedModelIdentifier")),
        nodes=nodes,
        current=before,
        left_out=left_out,
        is_pinned=found.get("pinned") is True,
    )


def _node(id_: str, version: Mapping[str, Any], left_out: Counter[LeftOut]) -> Node:
    node = Node(id=id_, role=text_of(version.get("role")))
    node.model = text_of(mapping_of(version.get("senderInfo")).get("senderName"))
    if "steps" not in version:
        node.text = _text(version.get("content"), left_out)
        return node
    texts: list[str] = []
    thoughts: list[str] = []
    for step in map(mapping_of, items_of(version.get("steps"))):
        kind = text_of(step.get("type"))
        if kind == "contentBlock":
            is_thought = text_of(mapping_of(step.get("style")).get("type")) == "thinking"
            (thoughts if is_thought else texts).append(_text(step.get("content"), left_out))
        elif kind.startswith("tool"):
            left_out["tool"] += 1
    node.text, node.reasoning = "\n\n".join(filter(None, texts)), "\n\n".join(filter(None, thoughts))
    return node


def _text(content: object, left_out: Counter[LeftOut]) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in map(mapping_of, items_of(content)):
        kind = text_of(part.get("type"))
        if kind == "text":
            texts.append(text_of(part.get("text")))
        elif kind.startswith("tool"):
            left_out["tool"] += 1
        elif kind:
            left_out["image" if "image" in (kind, part.get("fileType")) else "file"] += 1
    return "".join(texts)
