"""An engine that died, and files that are no model or not any more: a card says what happened, and a key goes on."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from tests.app.conftest import StartApp
from tests.conftest import DENSE
from tui.app.widgets.header import EngineStopped, Header
from tui.app.widgets.prompt import Prompt
from tui.session.events import AnswerGrew


async def test_a_dead_engine_is_one_card_and_one_key_brings_it_back(start: StartApp) -> None:
    async with start() as person:
        await person.ask("My name is Ada.")
        await person.type("What is my name?")
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        assert isinstance(person.app.main.query_one(Header).state, EngineStopped)
        shown = person.screen_text()
        assert "The engine stopped" in shown and "conversation is safe" in shown and "SIGKILL" in shown
        await person.press("ctrl+up", "r")
        await person.wait_until_ready()
        assert "The engine stopped" not in person.screen_text()
        assert person.app.main.query_one(Prompt).text == "What is my name?"
        await person.press("enter")
        await person.wait_for(lambda: len(person.turns) == 4 and person.turns[-1].stop)
        assert "Ada" in person.turns[-1].text


async def test_a_letter_that_is_typed_just_when_the_engine_dies_chooses_nothing(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.type("Who is Ada")
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        await person.press("r")
        assert person.phase == "dead" and person.app.main.query_one(Prompt).text == "Who is Adar"
        assert "To choose, leave the prompt with alt+↑ or ^↑." in person.screen_text()
        await person.press("ctrl+up")
        assert person.app.main.transcript.selected is None
        await person.press("r")
        await person.wait_until_ready()


async def test_killed_while_answering_the_text_so_far_is_kept_and_marked(start: StartApp) -> None:
    async with start() as person:
        pid = person.engine_pid
        person.at_the_first(AnswerGrew, lambda: os.kill(pid, signal.SIGKILL))
        async with person.slowly():
            await person.send("Count to 100")
            await person.wait_for(lambda: person.phase == "dead")
        saved = await person.app.store.open(person.app.controller.conversation.id)
        assert saved.turns[-1] == person.turns[-1] and saved.turns[-1].stop == "crashed"
        assert saved.turns[-1].reasoning and "interrupted" in person.screen_text()


async def test_a_model_file_cut_short_while_loaded_is_one_card_and_mended_by_one_key(
    start: StartApp, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    shutil.copy(DENSE, path)
    async with start(model=path) as person:
        await person.ask("My name is Ada.")
        os.truncate(path, 4096)
        await person.send("What is my name?")
        await person.wait_for(lambda: person.phase == "dead")
        assert "the model file changed or its disk failed" in person.screen_text()
        assert [turn.text for turn in person.turns if turn.role == "user"] == ["My name is Ada.", "What is my name?"]
        await person.press("r")
        await person.wait_for(lambda: "model.gguf could not be loaded" in person.screen_text())
        assert "The engine stopped" not in person.screen_text() and person.phase == "no_model"
        shutil.copy(DENSE, path)
        await person.press("r")
        await person.wait_until_ready()
        assert "could not be loaded" not in person.screen_text()
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop == "stop")
        assert "Ada" in person.turns[-1].text


async def test_a_file_that_is_no_model_can_be_tried_again_when_it_is_whole(start: StartApp, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"half")
    async with start() as person:
        person.app.main.models.open_model(path)
        await person.wait_for(lambda: "cannot be loaded" in person.screen_text())
        shutil.copy(DENSE, path)
        await person.press("r")
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.model.path == path)
        assert "cannot be loaded" not in person.screen_text()


async def test_a_broken_model_is_a_card_with_a_reason(start: StartApp, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DENSE.read_bytes()[:-5000])
    async with start() as person:
        person.app.main.models.open_model(broken)
        await person.wait_for(lambda: "broken.gguf" in person.screen_text())
        assert person.phase == "ready"  # the model that was loaded still is
