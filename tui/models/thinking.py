"""How models mark what they think, and whether one can, as far as its chat template tells without rendering it. The
engine learns exactly what a template does when it loads the model."""

from __future__ import annotations

KNOWN_THOUGHTS = (
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<|channel>thought", "<channel|>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
    ("", "[BEGIN FINAL RESPONSE]"),
    ("Here is my thought process:", "Here is my response:"),
    ("<start_working_out>", "<end_working_out>"),
    ("<thought>", "</thought>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<think>", "</think>"),
)
"""For templates that drop what was thought: used where the vocabulary has the mark as a token, or the template names
it. The last one is what most models use, whatever their template says."""

_SWITCHES = (
    "enable_thinking", "reasoning_effort", "thinking_effort", "reasoning_strength", "thinking_budget",
    "detailed thinking",
)  # fmt: skip
"""What templates ask about thinking."""
_ENDS_ANYTHING = {"", "<|end|>"}


def can_think(template: str) -> bool:
    """Whether the template of a model names a way to think."""
    marks = {mark for pair in KNOWN_THOUGHTS for mark in pair} - _ENDS_ANYTHING
    return any(text in template for text in (*_SWITCHES, *marks))
