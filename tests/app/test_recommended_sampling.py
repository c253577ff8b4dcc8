"""The sampling that a model's file recommends, in the app and in the bench: used, shown as such, and left for what the
user wants instead."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from tests.app.conftest import NO_RESERVE, Person, StartApp
from tests.conftest import DENSE
from tests.models.gguf_files import Typed, add_metadata
from tests.running import llmtui
from tui.app.screens.main import MainScreen
from tui.app.screens.sampling import SamplingScreen
from tui.config import paths
from tui.engines.interface import AnswerStream
from tui.engines.local import LocalEngine
from tui.protocol.messages import Generate
from tui.protocol.records import PartialSampling, Sampling

HINTS = {"general.sampling.temp": 0.15, "general.sampling.top_k": Typed(5, 7)}


@pytest.fixture
def recommending(tmp_path: Path) -> Path:
    """The tiny model, whose file recommends a temperature and a top k."""
    return add_metadata(DENSE, tmp_path / "models" / "recommending.gguf", HINTS)


class Begin(Protocol):
    def __call__(self, model: Path, text: str = "", **options: Any) -> AbstractAsyncContextManager[Person]: ...


@pytest.fixture
def begin(start: StartApp, tmp_path: Path) -> Begin:
    """Start the app with a settings file that has this text only: that of the other tests asks for greedy answers."""

    def begin(model: Path, text: str = "", **options: Any) -> AbstractAsyncContextManager[Person]:
        file = tmp_path / "mine.toml"
        file.write_text(NO_RESERVE + text)
        return start(model, settings_file=file, **options)

    return begin


def asked_for(person: Person) -> list[Sampling]:
    """The sampling of each answer that the engine is asked for from now on."""
    engine = person.controller.engine
    asked: list[Sampling] = []
    generate = engine.generate

    def noting(command: Generate) -> AnswerStream:
        asked.append(command.sampling)
        return generate(command)

    engine.generate = noting  # type: ignore[method-assign]
    return asked


async def open_sampling(person: Person) -> SamplingScreen:
    await person.app.run_action("screen.sampling")
    await person.wait_for(
        lambda: isinstance(person.app.screen, SamplingScreen) and "Temperature" in person.screen_text()
    )
    assert isinstance(person.app.screen, SamplingScreen)
    return person.app.screen


async def back(person: Person) -> None:
    await person.wait_for(lambda: isinstance(person.app.screen, MainScreen))


async def test_the_engine_gets_what_the_file_recommends_with_and_without_thinking(
    begin: Begin, recommending: Path
) -> None:
    async with begin(recommending) as person:
        asked = asked_for(person)
        await person.ask("hello")
        person.app.controller.configure(thinking=False)
        await person.ask("hello")
        thinking, plain = asked
        assert (thinking.temperature, thinking.top_k, thinking.top_p) == (0.15, 7, 0.95)
        assert (plain.temperature, plain.top_k, plain.top_p) == (0.15, 7, 0.8)


async def test_a_file_that_recommends_nothing_is_answered_with_as_before(begin: Begin) -> None:
    async with begin(DENSE) as person:
        asked = asked_for(person)
        await person.ask("hello")
        assert asked == [Sampling(temperature=0.6, top_k=20, top_p=0.95)]


async def test_the_dialog_says_where_values_come_from_and_leads_back(begin: Begin, recommending: Path) -> None:
    async with begin(recommending, "[sampling.thinking]\ntop_p = 0.95\n") as person:
        asked = asked_for(person)
        await open_sampling(person)
        shown = person.screen_text()
        assert "0.15      0 is greedy · from the model file" in shown
        assert "7         0 is off · from the model file" in shown
        assert "1 is off · your settings" in shown
        await person.press("ctrl+u", "0", "full_stop", "9")
        await person.wait_for(lambda: "this conversation, else 0.15 (model file)" in person.screen_text())
        await person.press("ctrl+s")
        await back(person)
        assert person.app.controller.conversation.sampling == PartialSampling(temperature=0.9)
        await person.ask("hello")
        await open_sampling(person)
        assert "this conversation, else 0.15 (model file)" in person.screen_text()
        await person.press("ctrl+d")
        await person.press("ctrl+s")
        await back(person)
        assert not person.app.controller.conversation.sampling
        await person.ask("hello")
        assert [(s.temperature, s.top_k) for s in asked] == [(0.9, 7), (0.15, 7)]


async def test_what_a_conversation_has_of_its_own_follows_it_to_another_model_and_no_more(
    begin: Begin, recommending: Path
) -> None:
    async with begin(recommending) as person:
        asked = asked_for(person)
        person.app.controller.configure(sampling=PartialSampling(top_p=0.5))
        await person.ask("hello")
        person.app.main.models.open_model(DENSE)
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.model.path == DENSE)
        await person.ask("hello")
        assert [(s.temperature, s.top_k, s.top_p) for s in asked] == [(0.15, 7, 0.5), (0.6, 20, 0.5)]


async def test_what_the_user_wrote_goes_before_the_file(begin: Begin, recommending: Path) -> None:
    async with begin(recommending, "[sampling.thinking]\ntemperature = 0.6\n") as person:
        asked = asked_for(person)
        await person.ask("hello")
        assert (asked[0].temperature, asked[0].top_k) == (0.6, 7)


async def test_what_makes_no_sense_in_a_file_is_not_used(begin: Begin, tmp_path: Path) -> None:
    hints = {"general.sampling.temp": float("nan"), "general.sampling.top_p": 0.5}
    odd = add_metadata(DENSE, tmp_path / "odd.gguf", hints)
    async with begin(odd) as person:
        asked = asked_for(person)
        await person.ask("hello")
        assert asked == [Sampling(temperature=0.6, top_k=20, top_p=0.5)]


async def test_a_sampler_that_llmtui_does_not_have_is_told_once(begin: Begin, tmp_path: Path) -> None:
    hints = {"general.sampling.mirostat": Typed(5, 2)}
    odd = add_metadata(DENSE, tmp_path / "odd.gguf", hints)
    async with begin(odd) as person:
        words = "This model's file recommends Mirostat, which llmtui does not have."
        await person.wait_for(lambda: words in person.told)
        person.app.controller.restart()
        await person.wait_for(lambda: person.phase != "ready")
        await person.wait_until_ready()
        assert person.told.count(words) == 1


async def test_a_model_that_does_not_think_gets_the_values_for_answers_without_thinking(begin: Begin) -> None:
    async with begin(DENSE) as person:
        engine = person.controller.engine
        assert isinstance(engine, LocalEngine)
        engine._held = engine.loaded = msgspec.structs.replace(person.loaded, can_think=False)
        asked = asked_for(person)
        await person.ask("hello")
        assert asked == [Sampling()]


def test_end_to_end_answers_of_the_bench_are_chosen_as_the_file_recommends(recommending: Path) -> None:
    common = (*("-p", "32", "-n", "4", "-r", "1", "-t", "1"), *("--backend", "cpu", "--e2e", "--json", "--force"))
    settings = paths.user_settings_file()
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[sampling.plain]\ntop_k = 5\n")
    record, _ = json.loads(llmtui("--bench", recommending, *common).stdout)
    sampling = record["end_to_end"]["sampling"]
    assert (sampling["temperature"], sampling["top_k"], sampling["top_p"]) == (0.15, 5, 0.8)
