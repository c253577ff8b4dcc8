"""What all formats come to before they are conversations: messages that each follow another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

LeftOut = Literal["image", "file", "tool", "system", "unknown"]
"""What a message may have that has no place here: pictures, attached files, calls of tools and what they gave, system
messages behind the first one, and what is of no known kind."""


_MOST_TIME = 1e30


class Unreadable(Exception):
    """One conversation cannot be read; `str()` says why, in the language in use."""


class Node(msgspec.Struct, kw_only=True):
    """A message, or something between messages that others follow."""

    id: str
    parent: str = ""
    role: str = ""
    """Only "user", "assistant" and "system" are kept; what follows another one follows what that followed."""
    text: str = ""
    reasoning: str = ""
    model: str = ""
    created_at: float = 0.0


class Talk(msgspec.Struct, kw_only=True):
    """A conversation as a file has it."""

    id: str = ""
    """That of the program that wrote it."""
    title: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    system_prompt: str = ""
    model: str = ""
    nodes: list[Node] = []
    current: str = ""
    """The last message of what was shown; empty for the last one."""
    left_out: Counter[LeftOut] = msgspec.field(default_factory=Counter)
    tags: tuple[str, ...] = ()
    is_pinned: bool = False
    is_archived: bool = False


def text_of(value: object) -> str:
    """A text, or nothing where it is something else."""
    return value if isinstance(value, str) else ""


def time_of(value: object) -> float:
    """A time as a number, in whatever unit; 0 where it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # No unit makes more of it, and whole numbers of any length do not all fit into a float.
    return float(value) if is_number and abs(value) < _MOST_TIME else 0.0  # type: ignore[arg-type]


def mapping_of(value: object) -> Mapping[str, Any]:
    """An object of JSON, an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def items_of(value: object) -> Sequence[Any]:
    """A list of JSON, an empty one where it is something else."""
    return value if isinstance(value, list) else ()
