"""Open WebUI's exported chats: a tree of messages (`history`), of which `currentId` ends what was shown. Thoughts stand
in the text, as `<details type="reasoning">`."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tui.chat.foreign.nodes import LeftOut, Node, Talk, items_of, mapping_of, text_of, time_of

_DETAILS = re.compile(r'<details type="([a-z_]+)"[^>]*>\s*(?:<summary>.*?</summary>)?(.*?)</details>\s*', re.DOTALL)


def is_one(found: Mapping[str, Any]) -> bool:
    """Whether it looks like such a chat, or what is inside of one."""
    chat = found.get("chat", found)
    return isinstance(mapping_of(mapping_of(chat).get("history")).get("messages"), dict)


def talk_of(found: Mapping[str, Any]) -> Talk:
    """The conversation, with all branches."""
    chat = mapping_of(found.get("chat")) or found
    history = mapping_of(chat.get("history"))
    left_out: Counter[LeftOut] = Counter()
    nodes = [_node(str(id_), mapping_of(message), left_out) for id_, message in _messages(history)]
    models = [model for model in items_of(chat.get("models")) if isinstance(model, str)]
    tags = items_of(mapping_of(found.get("meta")).get("tags")) or items_of(chat.get("tags"))
    return Talk(
        id=text_of(found.get("id")) or text_of(chat.get("id")),
        title=text_of(found.get("title")) or text_of(chat.get("title")),
        created_at=time_of(found.get("created_at")) or time_of(chat.get("timestamp")),
        updated_at=time_of(found.get("updated_at")),
        system_prompt=text_of(mapping_of(chat.get("params")).get("system")) or text_of(chat.get("system")),
        model=models[0] if models else "",
        nodes=nodes,
        current=text_of(history.get("currentId")),
        left_out=left_out,
        tags=tuple(tag for tag in tags if isinstance(tag, str)),
        is_pinned=found.get("pinned") is True,
        is_archived=found.get("archived") is True,
    )


def _messages(history: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(mapping_of(history.get("messages")).items())


def _node(id_: str, message: Mapping[str, Any], left_out: Counter[LeftOut]) -> Node:
    text, reasoning = _apart(text_of(message.get("content")), left_out)
    for file in map(mapping_of, items_of(message.get("files"))):
        left_out["image" if text_of(file.get("type")).startswith("image") else "file"] += 1
    return Node(
        id=id_,
        parent=text_of(message.get("parentId")),
        role=text_of(message.get("role")),
        text=text,
        reasoning=reasoning,
        model=text_of(message.get("modelName")) or text_of(message.get("model")),
        created_at=time_of(message.get("timestamp")),
    )


def _apart(content: str, left_out: Counter[LeftOut]) -> tuple[str, str]:
    """What was said and what was thought."""
    thoughts: list[str] = []

    def take(found: re.Match[str]) -> str:
        if found[1] == "reasoning":
            lines = html.unescape(found[2]).strip().split("\n")
            thoughts.append("\n".join(re.sub("^> ?", "", line) for line in lines))
        else:
            left_out["tool"] += 1
        return ""

    text = _DETAILS.sub(take, content) if "<details" in content else content
    return text, "\n\n".join(thoughts)
