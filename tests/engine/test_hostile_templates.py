"""Templates come from strangers: none ends the engine, none takes more than its share of time and memory, and each
model can be talked to, with another template, which is said."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.conftest import until
from tests.engine.asking import GREEDY, Reply, ask, user
from tests.tape import CHATML, IM, Tape, build
from tui.engines.interface import Engine
from tui.protocol.messages import Generate, Unload
from tui.protocol.records import LoadSettings, Message

SETTINGS = LoadSettings(n_ctx=4096, n_threads=1)
FOR_EVER = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"

HOSTILE = {
    "loops in loops": FOR_EVER,
    "a loop in a macro that calls itself": (
        "{% macro m(n) %}{% for i in range(9) %}{{ m(n + 1) }}{% endfor %}{% endmacro %}{{ m(0) }}"
    ),
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "folded while it compiles": "{{ 'a' * 10**10 }}",
    "a power": "{{ (9 ** (9 ** 9)) | string }}",
    "multiplied": "{% set a = messages[0].content * 10**9 %}{{ a }}",
    "centred": "{{ 'a' | center(10**10) }}",
    "joined": (
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}"
    ),
    "formatted": "{{ '%099999999999d' % 1 }}",
    "a very long source": "a" * (10 << 20),
    "150 ifs in each other": "{% if true %}" * 150 + "{% endif %}" * 150,
    "5,000 brackets in each other": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "of an undefined thing": "{{ messages | map(attribute=none) | list }}{{ undefined_thing.more.of.it }}",
    "an include": "{{ messages[0][none] }}{% include 'x' %}",
    "a codec that is not there": "{{ 'a'.encode('nothing') }}",
    "a key that is not there": "{{ '%(x)s' % {} }}",
    "a number that is none": "{{ 'a' | int(base=99) }}{{ 'a'.index('b') }}",
    "division by nothing": "{{ 1 // 0 }}",
    "an extension that is not there": "{% trans %}a{% endtrans %}",
    "a filter that is not there": "{{ 1 | nothing }}",
    "an import": "{% import 'os' as os %}{{ os }}",
    "nothing of what is said": "Hello.",
}


def model(path: Path, template: str) -> Path:
    build(path, [Tape("assistant\n", ["Hello", " there!", IM[1]])], template=template, eos=IM[1], control=IM)
    return path


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_hostile_template_is_replaced_and_the_model_answers(shared: Engine, tmp_path: Path, name: str) -> None:
    loaded = await shared.load(model(tmp_path / "tape.gguf", HOSTILE[name]), SETTINGS)
    assert loaded.llama.template_note.startswith("The file's chat template cannot be used (")
    assert "\n" not in loaded.llama.template_note and len(loaded.llama.template_note) < 300
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


def renderers(engine: Engine) -> list[psutil.Process]:
    """The processes that render templates."""
    found = []
    for child in psutil.Process(engine.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "tui.engine.template_process" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def seconds_of_rendering(engine: Engine) -> float:
    """CPU time of the process that renders templates; 0 without one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return sum(float(renderer.cpu_times().user) for renderer in renderers(engine))
    return 0.0


async def test_models_in_turn_have_one_process_for_their_templates_and_another_when_that_has_ended(
    engine: Engine, tmp_path: Path
) -> None:
    await engine.load(model(tmp_path / "first.gguf", CHATML), SETTINGS)
    (first,) = renderers(engine)
    bang = CHATML.replace("assistant\n", "assistant\n!")
    second = tmp_path / "second.gguf"
    build(second, [Tape("assistant\n!", ["It is", " mine.", IM[1]])], template=bang, eos=IM[1], control=IM)
    loaded = await engine.load(second, SETTINGS)
    assert renderers(engine) == [first] and loaded.llama.template_note == ""
    assert (await ask(engine, user("Hi"), max_tokens=20)).text == "It is mine."
    first.kill()
    await until(lambda: not renderers(engine))
    loaded = await engine.load(tmp_path / "first.gguf", SETTINGS)
    assert loaded.llama.template_note == "" and first not in renderers(engine)
    assert (await ask(engine, user("Hi"), max_tokens=20)).text == "Hello there!"
    await engine.ask(Unload())
    assert not renderers(engine)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_load_is_stopped_while_a_template_is_tried_that_takes_for_ever(shared: Engine, tmp_path: Path) -> None:
    loading = asyncio.create_task(shared.load(model(tmp_path / "tape.gguf", FOR_EVER), SETTINGS))
    await until(lambda: seconds_of_rendering(shared) > 0.5)  # to start takes less
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await shared.load(model(tmp_path / "sound.gguf", CHATML), SETTINGS)
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


LATE = CHATML + "{% if messages | length > 3 %}" + FOR_EVER + "{% endif %}"
"""Takes for ever when a conversation is long enough, and no sooner."""
LONG = [user("1"), Message(role="assistant", content="2"), user("3"), Message(role="assistant", content="4"), user("5")]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_template_that_hangs_later_can_be_stopped_and_the_model_stays(shared: Engine, tmp_path: Path) -> None:
    loaded = await shared.load(model(tmp_path / "tape.gguf", LATE), SETTINGS)
    assert loaded.llama.template_note == ""
    reply = Reply()
    answer = shared.generate(Generate(messages=tuple(LONG), sampling=GREEDY))
    answer.cancel()
    async for event in answer:
        reply.add(event)
    assert reply.done is not None and reply.done.stop == "cancelled"
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


REFUSES = CHATML + "{% if messages | length > 3 %}{{ raise_exception('Too many.') }}{% endif %}"


@pytest.mark.parametrize("template", [LATE, REFUSES])
@pytest.mark.asyncio(loop_scope="module")
async def test_one_that_fails_at_a_later_conversation_is_replaced_then_which_is_said(
    shared: Engine, tmp_path: Path, template: str
) -> None:
    await shared.load(model(tmp_path / "tape.gguf", template), SETTINGS)
    assert (await ask(shared, user("Hi"), max_tokens=20)).started.template_note == ""
    late = await ask(shared, *LONG, max_tokens=20)
    assert late.text == "Hello there!"
    assert late.started.template_note.startswith("The file's chat template cannot be used (")
    assert late.started.template_note.endswith("ChatML is used.")
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


@pytest.mark.asyncio(loop_scope="module")
async def test_one_of_the_users_that_fails_later_gives_way_to_the_files(shared: Engine, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, chat_template=REFUSES)
    await shared.load(model(tmp_path / "tape.gguf", CHATML), settings)
    late = await ask(shared, *LONG, max_tokens=20)
    assert late.text == "Hello there!"
    assert late.started.template_note == "Your chat template cannot be used (Too many.); the file's own is used."
