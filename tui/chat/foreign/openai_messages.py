"""Messages as OpenAI's interface takes them, which most programs and data sets use: `{"messages": [{"role": …,
"content": …}]}`, or the list alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tui.chat.foreign.nodes import LeftOut, Node, Talk, items_of, mapping_of, text_of, time_of


def is_one(found: Mapping[str, Any]) -> bool:
    """Whether it looks like such a conversation."""
    return any("role" in mapping_of(message) for message in items_of(found.get("messages")))


def talk_of(found: Mapping[str, Any]) -> Talk:
    """The conversation, one message after the other."""
    left_out: Counter[LeftOut] = Counter()
    nodes: list[Node] = []
    for number, message in enumerate(map(mapping_of, items_of(found.get("messages")))):
        role = text_of(message.get("role"))
        if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
            left_out["tool"] += 1
        nodes.append(
            Node(
                id=str(number),
                parent=str(number - 1) if number else "",
                role="system" if role == "developer" else role,
                text=_text(message.get("content"), left_out),
                reasoning=text_of(message.get("reasoning_content")) or text_of(message.get("reasoning")),
                model=text_of(message.get("model")),
                created_at=time_of(message.get("created_at")) or time_of(message.get("timestamp")),
            )
        )
    return Talk(
        id=text_of(found.get("id")),
        title=text_of(found.get("title")) or text_of(found.get("name")),
        created_at=time_of(found.get("created_at")) or time_of(found.get("created")),
        model=text_of(found.get("model")),
        nodes=nodes,
        left_out=left_out,
    )


def _text(content: object, left_out: Counter[LeftOut]) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in items_of(content):
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = text_of(mapping_of(part).get("type"))
        if kind in ("text", "input_text", "output_text"):
            texts.append(text_of(mapping_of(part).get("text")))
        else:
            left_out["image" if "image" in kind else "file"] += 1
    return "\n\n".join(filter(None, texts))
