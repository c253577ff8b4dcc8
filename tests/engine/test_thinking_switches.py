"""What a template offers to switch or to choose of thinking is learned, told and done: variables, levels, words."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from tests.engine.asking import user
from tests.engine.test_chat_formats import OPENED, load, opening
from tests.tape import CHATML
from tui.engines.interface import Engine
from tui.protocol.messages import Count
from tui.protocol.records import Effort, Message

SWITCHES: dict[str, tuple[str, bool, bool, bool, tuple[Effort, ...]]] = {
    "none": (CHATML, False, False, False, ()),
    "enable_thinking": (opening("{% if not enable_thinking %}<think></think>{% endif %}"), True, True, False, ()),
    "thinking": (opening("{% if thinking %}<think>\n{% endif %}"), True, True, False, ()),
    "always": (OPENED, True, False, True, ()),
    "effort": (
        "Reasoning: {{ reasoning_effort or 'medium' }}\n" + OPENED,
        True,
        False,
        True,
        ("low", "medium", "high"),
    ),
    "effort, of which one is none": (
        "{% set e = reasoning_effort or 'no_think' %}{{ e }}\n"
        + opening("{% if e == 'no_think' %}<think></think>{% endif %}"),
        True,
        True,
        False,
        ("low", "medium", "high"),
    ),
    "effort, which is the greatest unless told otherwise": (
        "Effort: {{ reasoning_effort if reasoning_effort in ['low', 'high'] else 'max' }}\n" + OPENED,
        True,
        False,
        True,
        ("low", "high", "max"),
    ),
    "effort that refuses what it does not know": (
        "{% set e = reasoning_effort|default('xhigh') %}{% if e not in ('xhigh', 'medium', 'low') %}"
        "{{ raise_exception('no such effort') }}{% endif %}{{ e }}" + OPENED,
        True,
        False,
        True,
        ("low", "medium", "xhigh"),
    ),
    "effort that is none or high, and passed on": (
        "{% set e = reasoning_effort or 'none' %}{% if e not in ['none', 'high'] %}"
        "{{ raise_exception('no such effort') }}{% endif %}[SET]{{ e + ('' if e == 'none' else '!') }}[/SET]" + CHATML,
        True,
        True,
        False,
        (),
    ),
    "effort that closes the thought where it is small": (
        "{% set e = reasoning_effort if reasoning_effort is defined else 'high' %}"
        + opening("{% if e in ['low', 'minimal'] %}<think></think>{% endif %}"),
        True,
        True,
        False,
        (),
    ),
    "a variable of its own for little effort": (
        opening("{% if not enable_thinking %}<think></think>{% elif low_effort %}{effort: low}{% endif %}"),
        True,
        True,
        False,
        ("low",),
    ),
    "words": (
        "{% set ns = namespace(on=true) %}{% for m in messages %}"
        "{% if '/no_think' in m.content %}{% set ns.on = false %}{% endif %}{% endfor %}"
        + opening("{% if not ns.on %}<think></think>{% endif %}"),
        True,
        True,
        False,
        (),
    ),
    "words in the system prompt": (
        "{% set off = messages[0].role == 'system' and '/no_think' in messages[0].content %}"
        + opening("{% if off %}<think></think>{% endif %}"),
        True,
        True,
        False,
        (),
    ),
    "detailed thinking, which the template begins with": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\ndetailed thinking on<|im_end|>\n{% endif %}" + CHATML,
        True,
        True,
        False,
        (),
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_template_offers_to_switch_is_told_and_switched(shared: Engine, tmp_path: Path, name: str) -> None:
    template, can_think, can_switch, always, efforts = SWITCHES[name]
    loaded = await load(shared, tmp_path / "tape.gguf", template)
    told = (loaded.can_think, loaded.can_switch_thinking, loaded.always_thinks, loaded.efforts)
    assert told == (can_think, can_switch, always, efforts)
    on, off = [
        (await shared.ask(Count(messages=(user("Hi"),), thinking=thinking))).n_tokens for thinking in (True, False)
    ]
    assert (on != off) == can_switch
    levels: tuple[Effort, ...] = efforts or ("low", "medium", "high")
    lengths = {(await shared.ask(Count(messages=(user("Hi"),), effort=effort))).n_tokens for effort in levels}
    assert len(lengths) == (len({len(effort) for effort in efforts}) or 1)
    unknown: list[Effort] = [effort for effort in get_args(Effort) if effort and effort not in efforts]
    plain = (await shared.ask(Count(messages=(user("Hi"),)))).n_tokens
    assert {(await shared.ask(Count(messages=(user("Hi"),), effort=effort))).n_tokens for effort in unknown} == {plain}


NEMOTRON = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content.split('</think>')[-1] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


NEMOTRON_SYSTEM = "<|start_header_id|>system<|end_header_id|>\n\n<|eot_id|>"


@pytest.mark.parametrize(("name", "switches"), [("Llama 3.1 Nemotron Nano 8B v1", True), ("Llama 3.1 8B", False)])
@pytest.mark.asyncio(loop_scope="module")
async def test_nemotron_is_told_in_the_system_prompt_what_its_template_does_not_know(
    shared: Engine, tmp_path: Path, name: str, switches: bool
) -> None:
    """With a byte to a token, the length of a prompt tells what was written."""
    loaded = await load(shared, tmp_path / "tape.gguf", NEMOTRON, name=name)
    assert loaded.can_switch_thinking == switches
    for turns in ([user("Hi")], [Message(role="system", content="Be brief."), user("Hi")]):
        on, off = [
            (await shared.ask(Count(messages=tuple(turns), thinking=thinking))).n_tokens for thinking in (True, False)
        ]
        assert off - on == (len("off") - len("on") if switches else 0)
    plain, brief = [(await shared.ask(Count(messages=(*system, user("Hi"))))).n_tokens for system in ([], turns[:1])]
    assert brief - plain == len("Be brief.") + (len("\n\n") if switches else len(NEMOTRON_SYSTEM))
