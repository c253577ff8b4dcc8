"""What the engine words itself is in the language of whoever asks: from its start, and from one command to the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE, TINY
from tests.words.chinese import is_chinese
from tui import words
from tui.engine.template import TemplateError
from tui.engines.interface import Engine, EngineError, share_language
from tui.engines.local import LocalEngine
from tui.protocol.messages import LANGUAGE_VARIABLE, Command, Count, Load
from tui.words.translate import catalogue_file


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    words.use("en")


async def note(engine: Engine) -> str:
    """A sentence of the engine's own: that a template cannot be used."""
    settings = msgspec.structs.replace(TINY, chat_template="{{ raise_exception('tools only') }}")
    return (await engine.load(DENSE, settings)).llama.template_note


pytestmark = pytest.mark.skipif(not Path(catalogue_file("zh")).exists(), reason="the catalogue was not compiled")


IN_ENGLISH = "Your chat template cannot be used (tools only); the file's own is used."


async def test_it_starts_in_the_language_of_the_front_end_and_follows_it() -> None:
    assert words.use("zh")
    async with LocalEngine() as engine:
        chinese = await note(engine)
        assert chinese.endswith("。") and chinese == words.tr(
            "Your chat template cannot be used ({reason}); the file's own is used.", reason="tools only"
        )
        words.use("en")
        assert await note(engine) == chinese
        await share_language(engine)
        assert await note(engine) == IN_ENGLISH


async def test_what_is_asked_of_it_by_the_environment_goes_first() -> None:
    async with LocalEngine(env={LANGUAGE_VARIABLE: "zh"}) as engine:
        assert (await note(engine)).endswith("。")


async def test_what_it_refuses_is_told_in_the_language_of_whoever_reads_it(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    async with LocalEngine() as engine:
        commands: tuple[Command[Any], ...] = (
            Count(messages=()),
            Load(path=str(tmp_path / "nowhere.gguf"), settings=TINY),
            Load(path=str(tmp_path / "page.gguf"), settings=TINY),
            Load(path=str(DENSE), settings=msgspec.structs.replace(TINY, devices=("Vulkan9",))),
            Load(path=str(DENSE), settings=msgspec.structs.replace(TINY, flash_attn="off", type_v="q8_0")),
        )
        for command in commands:
            with pytest.raises(EngineError) as error:
                await engine.ask(command)
            told = error.value.info
            english = told.text
            assert not is_chinese(english)
            words.use("zh")
            assert is_chinese(told.text)
            words.use("en")
            assert told.text == english


async def test_an_engine_that_does_not_run_is_told_when_it_starts() -> None:
    engine = LocalEngine()
    await share_language(engine)
    assert not engine.alive


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_fault_of_a_template_is_told_in_a_sentence_and_in_a_few_words(language: words.Language) -> None:
    assert words.use(language)
    slow, failed = TemplateError("slow", "3"), TemplateError("render", "tools only")
    assert "3" in str(slow) and "3" in slow.reason and len(slow.reason) < len(str(slow))
    assert "tools only" in str(failed) and failed.reason == "tools only"
