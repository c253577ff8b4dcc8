"""ChatGPT's `conversations.json`: a tree of messages for each conversation (`mapping`), of which `current_node` ends
what was shown. Thoughts, calls of tools and what these gave are nodes of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tui.chat.foreign.nodes import LeftOut, Node, Talk, items_of, mapping_of, text_of, time_of

_TEXTS = ("text", "multimodal_text")
_THOUGHTS = ("thoughts", "reasoning_recap")


def is_one(found: Mapping[str, Any]) -> bool:
    """Whether it looks like such a conversation."""
    return isinstance(found.get("mapping"), dict)


def talk_of(found: Mapping[str, Any]) -> Talk:
    """The conversation, with all branches."""
    left_out: Counter[LeftOut] = Counter()
    nodes = [_node(str(id_), mapping_of(node), left_out) for id_, node in mapping_of(found.get("mapping")).items()]
    return Talk(
        id=text_of(found.get("conversation_id")) or text_of(found.get("id")),
        title=text_of(found.get("title")),
        created_at=time_of(found.get("create_time")),
        updated_at=time_of(found.get("update_time")),
        model=text_of(found.get("default_model_slug")),
        nodes=nodes,
        current=text_of(found.get("current_node")),
        left_out=left_out,
        is_archived=found.get("is_archived") is True,
    )


def _node(id_: str, node: Mapping[str, Any], left_out: Counter[LeftOut]) -> Node:
    message = mapping_of(node.get("message"))
    content, about = mapping_of(message.get("content")), mapping_of(message.get("metadata"))
    role, kind = text_of(mapping_of(message.get("author")).get("role")), text_of(content.get("content_type"))
    result = Node(
        id=id_,
        parent=text_of(node.get("parent")),
        model=text_of(about.get("model_slug")),
        created_at=time_of(message.get("create_time")),
    )
    if not message or about.get("is_visually_hidden_from_conversation") is True or kind.endswith("editable_context"):
        return result
    if role == "tool" or text_of(message.get("recipient")) not in ("", "all"):
        left_out["tool"] += 1
    elif kind in _THOUGHTS:
        if kind == "thoughts":
            result.role, result.reasoning = "assistant", _thoughts(content)
    elif kind in _TEXTS:
        result.role, result.text = role, _parts(content, left_out)
    elif kind == "code" and role == "assistant":
        result.role, result.text = role, f"```\n{text_of(content.get('text'))}\n```"
    elif role != "system":
        left_out["unknown"] += 1
    return result


def _thoughts(content: Mapping[str, Any]) -> str:
    pieces = []
    for thought in map(mapping_of, items_of(content.get("thoughts"))):
        summary, text = text_of(thought.get("summary")), text_of(thought.get("content"))
        pieces.append(f"**{summary}**\n\n{text}" if summary and text else summary or text)
    return "\n\n".join(filter(None, pieces))


def _parts(content: Mapping[str, Any], left_out: Counter[LeftOut]) -> str:
    texts = []
    for part in items_of(content.get("parts")):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            kind = text_of(part.get("content_type"))
            if kind == "audio_transcription":
                texts.append(text_of(part.get("text")))
            else:
                left_out["image" if "image" in kind else "file"] += 1
    return "\n\n".join(filter(None, texts))
