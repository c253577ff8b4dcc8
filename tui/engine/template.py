"""Chat templates: a conversation as the text that the model was trained on. A file's own template is rendered in a
sandbox, because it comes from strangers. What the text means is in `chatformat`, how it becomes tokens in `prompt`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from tui.words import mark, tr
from tui.words.later import Later, later

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For files without a template: the format that most small chat models understand."""

SAID = "\ufdd0{}\ufdd1"
"""Stands in a message for what templates must not look at, by a number: between two code points that no text has."""

Turn = Mapping[str, Any]
"""A message as templates know it: "role", "content" and what else there is."""

_FAILURES = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a template may raise that does not go with what it is given."""


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


class _GenerationTag(jinja2.ext.Extension):
    """Accepts the `{% generation %}` block that training tools put into templates, and renders what is inside."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _raise(message: str) -> None:
    raise jinja2.TemplateRuntimeError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Sequence[str] | None = None,
    sort_keys: bool = False,
) -> str:
    pair = (separators[0], separators[1]) if separators else None
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=pair, sort_keys=sort_keys)
    return text.replace("\\ufdd0", "\ufdd0").replace("\\ufdd1", "\ufdd1")  # see SAID


class JinjaTemplate:
    """A template in Jinja, compiled once. Raises `TemplateError` when it does not compile."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        """`bos` and `eos` are the vocabulary's beginning and end of text, as text."""
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        try:
            self.variables = frozenset(jinja2.meta.find_undeclared_variables(environment.parse(source)))
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateError("compile", str(error)) from error
        self.source = source
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def render(self, turns: Sequence[Turn], *, opening: bool, variables: Mapping[str, Any]) -> str:
        """See `ChatTemplate`."""
        try:
            return self._template.render(
                messages=list(turns), add_generation_prompt=opening, **{**self._tokens, **variables}
            )
        except _FAILURES as error:
            raise TemplateError("render", str(error)) from error
