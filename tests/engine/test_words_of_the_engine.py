"""What the engine words itself is in the language of whoever asks: from its start, and from one command to the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, TINY
from tui import words
from tui.engine.template import TemplateError
from tui.engines.interface import Engine, EngineError, share_language
from tui.engines.local import LocalEngine
from tui.protocol.messages import LANGUAGE_VARIABLE, Count
from tui.words.translate import catalogue_file


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    words.use("en")


async def complaint(engine: Engine) -> str:
    with pytest.raises(EngineError) as error:
        await engine.ask(Count(messages=()))
    return error.value.info.detail


pytestmark = pytest.mark.skipif(not Path(catalogue_file("zh")).exists(), reason="the catalogue was not compiled")


async def test_it_starts_in_the_language_of_the_front_end_and_follows_it() -> None:
    assert words.use("zh")
    async with LocalEngine() as engine:
        chinese = await complaint(engine)
        assert chinese == words.tr("no model is loaded") != "no model is loaded"
        words.use("en")
        assert await complaint(engine) == chinese
        await share_language(engine)
        assert await complaint(engine) == "no model is loaded"


async def test_what_is_asked_of_it_by_the_environment_goes_first() -> None:
    async with LocalEngine(env={LANGUAGE_VARIABLE: "zh"}) as engine:
        assert await complaint(engine) != "no model is loaded"


async def test_an_engine_that_does_not_run_is_told_when_it_starts() -> None:
    engine = LocalEngine()
    await share_language(engine)
    assert not engine.alive


async def test_a_note_about_a_template_is_one_sentence_in_chinese(tmp_path: Path) -> None:
    words.use("zh")
    async with LocalEngine() as engine:
        settings = msgspec.structs.replace(TINY, chat_template="{{ raise_exception('tools only') }}")
        note = (await engine.load(DENSE, settings)).llama.template_note
    assert note == words.tr(
        "Your chat template cannot be used ({reason}); the file's own is used.", reason="tools only"
    )
    assert note.endswith("。")


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_fault_of_a_template_is_told_in_a_sentence_and_in_a_few_words(language: words.Language) -> None:
    assert words.use(language)
    slow, failed = TemplateError("slow", "3"), TemplateError("render", "tools only")
    assert "3" in str(slow) and "3" in slow.reason and len(slow.reason) < len(str(slow))
    assert "tools only" in str(failed) and failed.reason == "tools only"
