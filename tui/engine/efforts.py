"""Which levels of effort a chat template understands, learned by rendering it with their names and with one that no
template knows. What there may be stands in `thoughtswitch`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tui.engine.template import ChatTemplate
from tui.engine.thoughtswitch import CLOSING, EFFORT_FLAGS, EFFORTS, LEVELS, NONE, USUAL
from tui.protocol.records import Effort

_UNKNOWN = "qjxx"
_CODE = re.compile(r"\{[{%].*?[%}]\}", re.DOTALL)

Levels = dict[Effort, Mapping[str, Any]]
"""What asks for each level, from short thoughts to long ones."""


class Efforts:
    """Those of one template."""

    def __init__(self, template: ChatTemplate, prompt: Callable[[Mapping[str, Any]], str]) -> None:
        """`prompt` renders a question with these variables; "" where the template refuses them."""
        self._template, self._prompt = template, prompt
        self.name = next((name for name in EFFORTS if name in template.variables), "")
        """The variable that takes the name of a level; empty where there is none."""

    def levels(self, on: Mapping[str, Any]) -> Levels:
        """Those that are understood and make a prompt of their own, where `on` has the template let the model think."""
        plain = self._prompt(on)
        unknown = self._prompt({**on, self.name: _UNKNOWN}) if self.name else ""
        found: dict[str, tuple[Effort, Mapping[str, Any]]] = {}
        for level in reversed(LEVELS):  # of two that are alike, the name of the higher one stays
            ways: list[Mapping[str, Any]] = [{self.name: level}]
            ways += [{flag: True} for flag, means in EFFORT_FLAGS if means == level]
            for asked in ways:
                if not asked.keys() <= self._template.variables or not (prompt := self._prompt({**on, **asked})):
                    continue
                if self.name not in asked:
                    is_understood = prompt != plain
                else:
                    is_understood = self._names(level) or (level in USUAL and prompt != unknown)
                if is_understood:
                    found.setdefault(prompt, (level, asked))
        if not found.keys() - {plain}:
            return {}
        return dict(sorted(found.values(), key=lambda each: LEVELS.index(each[0])))

    def none(self, levels: Levels, closes: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
        """What asks for no thinking by a level of effort, which is then taken out of `levels`; empty where nothing
        does, or nothing asks for thinking either. `closes` tells whether a prompt ends behind a closed thought."""
        for level in (*CLOSING, *NONE) if self.name else ():
            asked = {self.name: level}
            if not (prompt := self._prompt(asked)):
                continue
            # Some write any word into the prompt: only what closes the thought is understood, or what they name.
            if (level in CLOSING and closes(asked)) or (level in NONE and self._names(level)):
                left = {other: how for other, how in levels.items() if self._prompt(how) != prompt}
                if left or self._prompt({}) != prompt:
                    levels.clear()
                    levels.update(left)
                    return asked
        return {}

    def _names(self, level: str) -> bool:
        """Whether a tag of the template that looks at the effort names this level of it."""
        quoted = re.compile(rf"""['"]{level}['"]""", re.IGNORECASE)
        return any(self.name in tag and quoted.search(tag) for tag in _CODE.findall(self._template.source))
