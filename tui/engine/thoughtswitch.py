"""How thinking is switched: what templates and models are known to heed, and what was found of one of them. Looks at no
template itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tui.protocol.records import Effort

SWITCHES: tuple[tuple[str, Any, Any], ...] = (
    ("enable_thinking", True, False),
    ("thinking", True, False),
    ("thinking_mode", "enabled", "disabled"),
    ("enable_reasoning", True, False),
    ("reasoning", True, False),
    ("skip_thinking", False, True),
    ("thinking_budget", None, 0),
)
"""Variables that switch thinking, on and off; None leaves it to the template."""
KEEPS_THOUGHTS = ("preserve_thinking", "preserved_thinking")
"""Variables that have a template write what was thought in earlier turns."""
WORDS = (
    ("user", " /think", " /no_think"),
    ("user", " /think", " /nothink"),
    ("system", "/think", "/no_think"),
)
"""Words that templates react to, on and off, and whose message they belong into."""
DETAILED = ("detailed thinking on", "detailed thinking off")
"""Words of the system prompt that models react to themselves, whatever their template does with them."""
NEMOTRON = ("nemotron", "<|start_header_id|>", "</think>")
"""What tells a model that was trained with `DETAILED` and whose template does not name them, NVIDIA's of Llama 3: a
part of its name, and what stands in its template."""
EFFORTS = ("reasoning_effort", "thinking_effort", "reasoning_strength")
"""Variables that take the name of a level."""
EFFORT_FLAGS: tuple[tuple[str, Effort], ...] = (("low_effort", "low"), ("medium_effort", "medium"))
"""Variables that ask for one level, as NVIDIA's Nemotron 3 have."""
CLOSING = ("none", "no_think", "minimal", "low")
"""Levels that mean no thinking to templates which then close the thought themselves."""
NONE = ("none", "no_think")
"""Levels that mean no thinking to models whose templates name them and only pass them on."""
LEVELS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")
"""From the shortest thoughts to the longest."""
USUAL: tuple[Effort, ...] = ("low", "medium", "high")
"""Levels that a template may pass on to its model without naming them; the others count where they are named."""


@dataclass(frozen=True)
class Switch:
    """How a template is told to let the model think, or not."""

    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    has_effect: bool = False
    words: tuple[str, str] = ("", "")
    """What is said to the model, on and off, where its template knows no variable and it heeds words."""
    in_system: bool = False
    """The words begin the system prompt; else the last message ends with them."""
    levels: Mapping[Effort, Mapping[str, Any]] = field(default_factory=dict)
    """What asks for each level that makes a difference."""

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """The levels, from short thoughts to long ones."""
        return tuple(self.levels)

    def variables(self, *, thinking: bool, effort: Effort = "") -> dict[str, Any]:
        """What the template is given; an effort that it does not know is left out."""
        if not thinking:
            return dict(self.off)
        return {**self.on, **self.levels.get(effort, {})}
