"""Chat templates: rendering a conversation to the prompt that the model was trained on, in a sandbox, because templates
come from files that strangers made. Splitting thinking from the answer by token id is in `generate`."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from tui.engine.records import Message

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For files without a template: the format that most small chat models understand."""


class TemplateError(Exception):
    """The model's chat template cannot be used with this conversation. `str()` gives the template engine's reason."""


class _GenerationTag(jinja2.ext.Extension):
    """Accepts the `{% generation %}` block that training tools put into templates, and renders what is inside."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _raise(message: str) -> None:
    raise jinja2.TemplateRuntimeError(message)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


class ChatTemplate:
    """A model's template, compiled once.

    `source` empty takes ChatML. Raises `TemplateError` when it does not compile.
    """

    def __init__(self, source: str, bos: str, eos: str) -> None:
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        try:
            self._template = environment.from_string(source or CHATML)
        except jinja2.TemplateError as error:
            raise TemplateError(f"the model's chat template does not compile: {error}") from error
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self.can_think = "enable_thinking" in source or "<think>" in source

    def opening(self, messages: Sequence[Message], *, thinking: bool) -> str:
        """What the template writes behind the last message for the model to go on from. Raises `TemplateError`."""
        prompt = self.render(messages, thinking=thinking)
        without = self.render(messages, thinking=thinking, opening=False)
        if prompt.startswith(without):
            return prompt[len(without) :]
        return prompt[len(os.path.commonprefix([prompt, without])) :]  # noqa: RUF071 - not paths

    def render(self, messages: Sequence[Message], *, thinking: bool, opening: bool = True) -> str:
        """The prompt, with `opening` ready for the model to go on with its answer. Raises `TemplateError`."""
        turns = []
        for message in messages:
            turn = {"role": message.role, "content": message.content}
            if message.reasoning:
                turn["reasoning_content"] = message.reasoning
            turns.append(turn)
        try:
            return self._template.render(
                messages=turns, add_generation_prompt=opening, enable_thinking=thinking, tools=None, **self._tokens
            )
        except (
            jinja2.TemplateError,
            TypeError,
            ValueError,
            KeyError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise TemplateError(f"the model's chat template failed: {error}") from error
