"""Chat templates: rendering, the sandbox, and templates that are wrong."""

from __future__ import annotations

import pytest

from tests.engine.asking import user
from tui.engine.records import Message
from tui.engine.template import ChatTemplate, TemplateError


def test_without_a_template_chatml_is_used():
    prompt = ChatTemplate("", "", "").render([user("Hi")], thinking=False)
    assert prompt == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


def test_thinking_reaches_the_template():
    template = ChatTemplate("{{ 'on' if enable_thinking else 'off' }}", "", "")
    assert template.can_think
    assert template.render([], thinking=True) == "on" and template.render([], thinking=False) == "off"


def test_reasoning_reaches_the_template_under_the_name_that_qwen3_uses():
    template = ChatTemplate("{{ messages[0].reasoning_content }}", "", "")
    turn = Message(role="assistant", content="x", reasoning="because")
    assert template.render([turn], thinking=True) == "because"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ raise_exception('no system role, please') }}",
        "{{ messages[5].content.strip() }}",
    ],
)
def test_a_hostile_or_broken_template_is_an_error_not_an_accident(source):
    with pytest.raises(TemplateError, match="chat template failed"):
        ChatTemplate(source, "", "").render([user("Hi")], thinking=False)


def test_a_template_that_does_not_compile_says_so():
    with pytest.raises(TemplateError, match="does not compile"):
        ChatTemplate("{% for %}", "", "")


def test_generation_blocks_of_training_templates_are_passed_through():
    template = ChatTemplate("{% generation %}{{ messages[0].content }}{% endgeneration %}", "", "")
    assert template.render([user("Hi")], thinking=False) == "Hi"


OPENS = "{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}<bot>{{ opened }}{% endif %}"


@pytest.mark.parametrize("opened", ["", "<think>\n", "<think>\n\n</think>\n\n"])
@pytest.mark.parametrize("said", ["hello", "<think>", "<bot>"])
def test_what_the_template_opens_is_told_apart_from_what_was_said(opened, said):
    template = ChatTemplate(OPENS.replace("{{ opened }}", opened.replace("\n", "{{ '\\n' }}")), "", "")
    assert template.opening([user(said)], thinking=True) == f"<bot>{opened}"


def test_a_template_that_ends_a_finished_prompt_otherwise_still_tells_what_it_opens():
    template = ChatTemplate("[{{ messages[0].content }}]{{ '<bot>' if add_generation_prompt else '<end>' }}", "", "")
    assert template.opening([user("hello")], thinking=True) == "bot>"
