"""Chat templates: a conversation as the text that the model was trained on. A file's own template is rendered in a
process of its own (`template_host`). What the text means is in `chatformat`, how it becomes tokens in `prompt`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from tui.words import mark, tr
from tui.words.later import Later, later

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As a template in Jinja says it."""

SAID = "\ufdd0{}\ufdd1"
"""Stands in a message for what templates must not look at, by a number: between two code points that no text has."""

Turn = Mapping[str, Any]
"""A message as templates know it: "role", "content" and what else there is."""

FaultKind = Literal["compile", "render", "slow", "memory", "source_size", "prompt_size", "ignores_user", "unknown"]
_FAULTS: dict[FaultKind, tuple[str, str]] = {
    "compile": (mark("The chat template does not compile: {detail}"), ""),
    "render": (mark("The chat template failed: {detail}"), ""),
    "slow": (
        mark("The chat template took more than {detail} s, or its process ended."),
        mark("it took more than {detail} s, or its process ended"),
    ),
    "memory": (
        mark("The chat template takes more than {detail} of memory."),
        mark("it takes more than {detail} of memory"),
    ),
    "source_size": (
        mark("The chat template is longer than {detail} characters."),
        mark("it is longer than {detail} characters"),
    ),
    "prompt_size": (
        mark("The chat template makes a prompt of more than {detail}."),
        mark("it makes a prompt of more than {detail}"),
    ),
    "ignores_user": (
        mark("The chat template leaves out what the user says."),
        mark("it leaves out what the user says"),
    ),
    "unknown": (mark("llama.cpp has no such chat template."), mark("llama.cpp has no such template")),
}
"""As a sentence, and as what stands in brackets behind one that a template cannot be used; "" for the detail alone."""


class TemplateError(Exception):
    """The chat template cannot be used, or not with this conversation. `str()` says so in a sentence; `reason` only
    says why. `detail` is the template engine's own words, or the limit that was exceeded."""

    def __init__(self, kind: FaultKind, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail

    def __str__(self) -> str:
        return str(self.why)

    @property
    def why(self) -> Later:
        """The sentence, to be worded when it is shown."""
        return later(_FAULTS[self.kind][0], detail=self.detail)

    @property
    def reason(self) -> str:
        """Why, in a few words without an end."""
        reason = _FAULTS[self.kind][1]
        return tr(reason, detail=self.detail) if reason else self.detail


class ChatTemplate(Protocol):
    """Something that makes a prompt of a conversation."""

    source: str
    """What it was made of; empty where that is not known."""
    variables: frozenset[str]
    """Names that it looks up beside the messages."""

    def render(self, turns: Sequence[Turn], *, opening: bool, variables: Mapping[str, Any]) -> str:
        """The prompt, with `opening` ready for the model to go on with its answer. Raises `TemplateError`."""


class ChatMLTemplate:
    """For files without a template: `CHATML`, the format that most small chat models understand."""

    source = CHATML
    variables: frozenset[str] = frozenset()

    def render(self, turns: Sequence[Turn], *, opening: bool, variables: Mapping[str, Any]) -> str:
        """See `ChatTemplate`; variables are without effect."""
        said = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)
        return f"{said}<|im_start|>assistant\n" if opening else said
