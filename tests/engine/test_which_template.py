"""Which chat template a model is used with: its own, one of the user's, or one of llama.cpp's that goes with the
vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.engine.asking import ask, user
from tests.engine.test_chat_formats import HELLO, SETTINGS, Case, load
from tests.tape import CHATML, IM
from tui.engines.interface import Engine
from tui.protocol.bench_messages import BenchTest
from tui.protocol.messages import Count

NOTES = {
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}": "cannot be used",
    "{% for m in messages %}{{ m.content ": "cannot be used",
    "{{ raise_exception('tools only') }}": "cannot be used",
    "": "holds no chat template",
}


@pytest.mark.parametrize("source", NOTES)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_template_that_cannot_be_used_never_keeps_a_model_from_chatting(
    shared: Engine, tmp_path: Path, source: str
) -> None:
    loaded = await load(shared, tmp_path / "tape.gguf", source or None)
    assert NOTES[source] in loaded.llama.template_note and "used." in loaded.llama.template_note
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"
    assert (await shared.ask(BenchTest(n_prompt=8, n_gen=2))).elapsed_s > 0


@pytest.mark.parametrize("name", ["chatml", " chatml\n"])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_name_of_a_built_in_template_stands_for_that(shared: Engine, tmp_path: Path, name: str) -> None:
    loaded = await load(shared, tmp_path / "tape.gguf", name)
    assert loaded.llama.template_note == ""
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


@pytest.mark.asyncio(loop_scope="module")
async def test_without_a_template_one_is_used_that_goes_with_the_vocabulary(shared: Engine, tmp_path: Path) -> None:
    tokens = ("<start_of_turn>", "<end_of_turn>")
    case = Case("model\n", [*HELLO, tokens[1]], template=None, control=tokens, eos=tokens[1])
    loaded = await shared.load(case.write(tmp_path / "tape.gguf"), SETTINGS)
    assert "gemma" in loaded.llama.template_note
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


TEKKEN = ("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")


@pytest.mark.parametrize(("control", "after"), [(IM, "assistant\n"), (TEKKEN, "[/INST]")], ids=["ChatML", "tekken"])
@pytest.mark.asyncio(loop_scope="module")
async def test_without_a_template_a_tekken_vocabulary_is_told_what_the_user_says(
    shared: Engine, tmp_path: Path, control: Sequence[str], after: str
) -> None:
    case = Case(after, [*HELLO, control[1]], template=None, control=control, eos=control[1], rest={"pre": "tekken"})
    loaded = await shared.load(case.write(tmp_path / "tape.gguf"), SETTINGS)
    assert ("ChatML" if control is IM else "mistral-v7-tekken") in loaded.llama.template_note
    long = "Hi, what is the capital of Peru, and how large is it?"
    short, longer = [(await shared.ask(Count(messages=(user(text),)))).n_tokens for text in ("Hi", long)]
    assert longer - short == len(long) - len("Hi")  # a byte is a token here
    assert (await ask(shared, user(long), max_tokens=20)).text == "Hello there!"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_template_of_the_users_own_goes_before_the_files(shared: Engine, tmp_path: Path) -> None:
    path = Case("assistant\n", [*HELLO, IM[1]], template="{{ raise_exception('broken') }}").write(
        tmp_path / "tape.gguf"
    )
    loaded = await shared.load(path, msgspec.structs.replace(SETTINGS, chat_template=CHATML))
    assert loaded.llama.template_note == ""
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"


@pytest.mark.asyncio(loop_scope="module")
async def test_one_of_the_users_own_that_cannot_be_used_gives_way_to_the_files(shared: Engine, tmp_path: Path) -> None:
    path = Case("assistant\n", [*HELLO, IM[1]]).write(tmp_path / "tape.gguf")
    loaded = await shared.load(path, msgspec.structs.replace(SETTINGS, chat_template="{% if %}"))
    assert loaded.llama.template_note.startswith("Your chat template cannot be used (")
    assert loaded.llama.template_note.endswith("; the file's own is used.")
    assert (await ask(shared, user("Hi"), max_tokens=20)).text == "Hello there!"
