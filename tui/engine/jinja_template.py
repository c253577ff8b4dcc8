"""A file's own chat template, in Jinja: rendered in a sandbox, because it comes from strangers. Runs in the process for
templates only (`template_process`)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from tui.engine.template import TemplateError, Turn

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
