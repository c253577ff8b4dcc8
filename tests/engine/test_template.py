"""Chat templates: rendering, the sandbox, and templates that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tui.engine.jinja_template import JinjaTemplate
from tui.engine.template import CHATML, ChatMLTemplate, TemplateError


def render(source: str, *contents: str, opening: bool = True, **variables: Any) -> str:
    turns = [{"role": "user", "content": content} for content in contents]
    return JinjaTemplate(source, "<s>", "</s>").render(turns, opening=opening, variables=variables)


def test_chatml_for_files_without_a_template() -> None:
    assert render(CHATML, "Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{ 1 }}\n"}]
    for opening in (True, False):
        as_jinja = JinjaTemplate(CHATML, "", "").render(turns, opening=opening, variables={})
        assert ChatMLTemplate().render(turns, opening=opening, variables={}) == as_jinja


def test_variables_reach_the_template_and_it_tells_which_it_looks_up() -> None:
    source = "{{ 'on' if enable_thinking else 'off' }}{{ bos_token }}{% set mine = 1 %}{{ mine }}"
    assert (render(source, enable_thinking=True), render(source, enable_thinking=False)) == ("on<s>1", "off<s>1")
    assert "enable_thinking" in JinjaTemplate(source, "", "").variables


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages[0].append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ raise_exception('no system role, please') }}",
        "{{ messages[5].content.strip() }}",
    ],
)
def test_a_hostile_or_broken_template_is_an_error_not_an_accident(source: str) -> None:
    with pytest.raises(TemplateError, match="chat template failed"):
        render(source, "Hi")


def test_a_template_that_does_not_compile_says_so() -> None:
    with pytest.raises(TemplateError, match="does not compile"):
        JinjaTemplate("{% for %}", "", "")


def test_generation_blocks_of_training_templates_are_passed_through() -> None:
    assert render("{% generation %}{{ messages[0].content }}{% endgeneration %}", "Hi") == "Hi"


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ("", '{"b": "é", "a": 1}'),
        ("ensure_ascii=true", '{"b": "\\u00e9", "a": 1}'),
        ("separators=(',', ':'), sort_keys=true", '{"a":1,"b":"é"}'),
        ("indent=1", '{\n "b": "é",\n "a": 1\n}'),
    ],
)
def test_tojson_takes_all_that_the_library_takes_that_templates_are_written_for(options: str, right: str) -> None:
    assert render("{{ {'b': 'é', 'a': 1} | tojson(" + options + ") }}") == right
