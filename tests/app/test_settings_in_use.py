"""Settings that change what a person sees in the app."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.app.conftest import GREEDY, Person, StartApp
from tui.app import phrases
from tui.app.widgets.sidebar import Sidebar
from tui.config.settings import ChosenLoad
from tui.protocol.messages import Delta
from tui.session.events import AnswerGrew
from tui.session.loads import LoadRequest


class StartWith(Protocol):
    def __call__(self, text: str, **options: Any) -> AbstractAsyncContextManager[Person]: ...


@pytest.fixture
def with_settings(start: StartApp, tmp_path: Path) -> StartWith:
    """Start the app with a settings file of this text."""

    def start_with(text: str, **options: Any) -> AbstractAsyncContextManager[Person]:
        file = tmp_path / "mine.toml"
        file.write_text(GREEDY + text)
        return start(settings_file=file, **options)

    return start_with


async def test_thinking_is_shown_whole_when_it_shall_not_be_folded(with_settings: StartWith) -> None:
    unfolded = "[ui]\nfold_thinking = false\n"
    async with with_settings(unfolded) as person:
        await person.ask("hello")
        assert "The user greets me" in person.screen_text()
        await person.press("ctrl+f")
        assert "The user greets me" not in person.screen_text()
    async with with_settings(unfolded, continue_last=True) as person:
        assert "The user greets me" in person.screen_text()


async def test_the_keys_of_the_card_can_be_changed(with_settings: StartWith) -> None:
    async with with_settings('[keys]\ncard_reload = "z"\n') as person:
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        assert "[z] reload" in person.screen_text() and "[d] show engine log" in person.screen_text()
        assert "[r]" not in person.screen_text()
        await person.press("z")
        await person.wait_until_ready()


async def test_sentences_name_the_keys_that_were_chosen(with_settings: StartWith, tmp_path: Path) -> None:
    keys = '[keys]\npick_model = "alt+q"\ncard_other_model = "x"\ncard_load_settings = []\nstop = []\n'
    async with with_settings(keys, model=None) as person:
        await person.wait_without_a_model()
        person.app.controller.load(LoadRequest(path=tmp_path / "gone.gguf", choice=ChosenLoad()))
        await person.wait_for(lambda: "gone.gguf could not be loaded" in person.screen_text())
        shown = " ".join(person.screen_text().split())
        assert (
            "pick another model (alt+q)" in shown
            and "[x] choose other model" in shown
            and "change load settings" not in shown
        )
        await person.press("x")
        await person.wait_for(lambda: "No models were found" in person.screen_text())
        assert phrases.still_answering(person.app.keymap).endswith("stop it first.")


async def test_the_context_meter_moves_while_the_answer_is_written(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        # The tiny models write an answer between two readings: what the engine tells on the way is told by hand.
        delta = Delta(kind="answer", text="", n_decode=5, decode_tps=30.0, n_used=777)
        person.app.main.hear(AnswerGrew(turn_id=person.turns[-1].id, delta=delta))
        await person.app.controller.monitoring.read()
        assert person.app.main.query_one(Sidebar).figures.context == (777, 1024)
