"""What a chat template can do, as far as its text tells: the roles that it knows, how thinking is switched, tools.
Nothing is rendered; of the model that is loaded the engine knows it exactly (`Loaded`)."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Thinking = Literal["no", "always", "switch", "levels", "words"]
"""Not at all; in each answer; switched by a variable of the template; by a level of effort; by words in the prompt."""

_SWITCHES = ("enable_thinking", "thinking_budget", "thinking", "thinking_mode", "reasoning")
_LEVELS = ("reasoning_effort", "thinking_effort", "reasoning_strength", "low_effort", "medium_effort")
_WORDS = re.compile(r"(?<!<)/no_?think\b|detailed thinking o(?:n|ff)")
_MARKS = ("<think>", "<thinking>", "[THINK]", "<|channel|>analysis", "<|START_THINKING|>", "<thought>", "<reasoning>")
_VARIABLE = r"(?<![\w.'\"-]){name}(?![\w'\"-])"
_TEXT = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_TOOLS = ("tools", "available_tools", "builtin_tools", "functions", "xml_tools", "json_tools")
_REFUSES = re.compile(r"""['"]system['"]\s*-?%\}\s*\{\{-?\s*raise_exception""")
"""A template that ends with an error where there is a system message."""
_CODE = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
_SYSTEM = re.compile(r"""['"](system|developer)['"]""")


class TemplateAbilities(msgspec.Struct, frozen=True, kw_only=True):
    """Of one chat template."""

    takes_system: bool
    thinking: Thinking
    switch: str = ""
    """Name of the variable, or the words, that switch thinking."""
    takes_tools: bool


def abilities(template: str) -> TemplateAbilities:
    """Read it. A variable counts where the template looks at it, not where it writes its name."""
    code = "\n".join(_CODE.findall(template))
    names_in_code = _TEXT.sub("''", code)

    def looked_at(names: tuple[str, ...]) -> str:
        seen = (name for name in names if re.search(_VARIABLE.format(name=name), names_in_code))
        return next((name for name in seen if _is_given(name, names_in_code)), "")

    thinking: Thinking
    switch = ""
    if switch := looked_at(_LEVELS):
        thinking = "levels"
    elif switch := looked_at(_SWITCHES):
        thinking = "switch"
    elif words := _WORDS.search(template):
        thinking, switch = "words", words[0]
    else:
        thinking = "always" if any(mark in template for mark in _MARKS) else "no"
    return TemplateAbilities(
        takes_system=_SYSTEM.search(code) is not None and not _REFUSES.search(template),
        thinking=thinking,
        switch=switch,
        takes_tools=bool(looked_at(_TOOLS)),
    )


def _is_given(name: str, code: str) -> bool:
    """Whether a variable comes from outside: the template does not set it, or asks whether it is there."""
    is_asked_for = re.search(rf"\b{name}(\s+is\s+(not\s+)?defined|\s*\|\s*default)", code) is not None
    return is_asked_for or re.search(rf"\b(set|for)\s+{name}\b", code) is None
