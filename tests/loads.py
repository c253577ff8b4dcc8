"""Records of loads, from flat facts: what every engine knows and what only llama.cpp knows, by the names of fields."""

from __future__ import annotations

from typing import Any

import msgspec

from tui.protocol.messages import Loaded
from tui.protocol.records import LlamaLoad


def loaded_as(**facts: Any) -> Loaded:
    """A load with these facts."""
    of_llama = {name: facts.pop(name) for name in LlamaLoad.__struct_fields__ if name in facts}
    return Loaded(**facts, llama=LlamaLoad(**of_llama))


def but(loaded: Loaded, **facts: Any) -> Loaded:
    """The same load with other facts."""
    of_llama = {name: facts.pop(name) for name in LlamaLoad.__struct_fields__ if name in facts}
    return msgspec.structs.replace(loaded, **facts, llama=msgspec.structs.replace(loaded.llama, **of_llama))
