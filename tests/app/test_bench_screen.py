"""The bench in the app, with the real engine: rows and chart while it runs, stopping, a dead engine, what is kept, and
the chat's model afterwards."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tui.app.screens.bench import BenchScreen
from tui.app.widgets.bench_board import BenchBoard, BenchState
from tui.app.widgets.key_bar import KeyBar
from tui.config import paths
from tui.config.settings import ChosenLoad
from tui.config.state import StateStore, TunedLoad
from tui.measure.history import History
from tui.measure.machine import this_machine
from tui.planning.exact import Confirmed
from tui.planning.verdict import Verdict
from tui.session.loads import LoadRequest


@pytest.fixture(autouse=True)
def library(home: Path) -> None:
    """Both tiny models are in the user's folder."""
    folder = paths.models_dir()
    folder.mkdir(parents=True)
    for model in (DENSE, MOE):
        shutil.copy(model, folder)


@pytest.fixture
def start(start: StartApp) -> StartApp:
    """The app measures with one thread: as many as a large machine has would wait for each other while it does other
    things as well."""
    return functools.partial(start, more_settings="[load]\nn_threads = 1\n")


async def opened(person: Person) -> BenchScreen:
    await person.app.run_action("screen.bench")
    await person.wait_for(lambda: isinstance(person.app.screen, BenchScreen))
    assert isinstance(person.app.screen, BenchScreen)
    return person.app.screen


def footer(person: Person) -> str:
    return person.app.screen.query_one(KeyBar).rows_as_text[0].strip()


def is_done(screen: BenchScreen) -> bool:
    return screen._measuring is None and bool(screen.state.comparison.reports) and not screen.state.doing


def bench_engine(person: Person) -> int:
    """Process id of the engine that measures."""
    chat = person.app.controller.engine.pid
    (child,) = [child for child in psutil.Process().children() if child.pid != chat and "worker" in child.cmdline()[-1]]
    return child.pid


def test_names_and_complaints_on_the_board_are_no_commands_to_the_terminal() -> None:
    evil = "a\x1b[2J\x9b31m\u202ename"
    board = BenchBoard()
    board.state = BenchState(plan=evil, doing=evil, trouble=(evil,))
    text = "".join(text for row in board.compose_rows(80, 20) for text, _ in row)
    assert text.count("name") == 3 and not {"\x1b", "\x9b", "\u202e"} & set(text)


async def test_the_loaded_model_is_measured_kept_compared_with_the_first_run_and_loaded_again(start: StartApp) -> None:
    async with start(DENSE) as person:
        screen = await opened(person)
        assert footer(person) == "esc Close  enter Run  m Choose models  h Show earlier runs"
        await person.press("enter")
        await person.wait_for(lambda: "making room" in person.screen_text() or screen._runner)
        assert footer(person) == "esc Stop  h Show earlier runs"
        await person.wait_for(lambda: screen._runner is not None)
        assert person.app.controller.engine.loaded is None and not screen.query_one("#buttons").display
        await person.wait_for(lambda: is_done(screen))
        assert footer(person).startswith("esc Close  enter Run")
        text = person.screen_text()
        assert "pp t/s" in text and "end to end, through the app" in text and "Decode tg128" in text
        assert "tok/s that memory allows" in text
        (kept,) = History(paths.bench_file()).list()
        assert kept.model_path == str(DENSE) and set(kept.tests) >= {"pp512", "tg128"}
        await person.press("enter")
        await person.wait_for(lambda: screen._measuring is not None)
        await person.wait_for(lambda: is_done(screen))
        assert "against run 1 of" in person.screen_text()
        await person.press("h")
        await person.wait_for(lambda: screen.state.earlier is not None)
        assert [kept.id for kept in screen.state.earlier or ()] == [2, 1]
        assert "date (UTC)" in person.screen_text()
        await person.press("escape")
        await person.wait_until_ready()
        assert person.loaded.path == str(DENSE)


async def test_opening_the_bench_says_what_it_would_measure_and_leaves_the_model_loaded(start: StartApp) -> None:
    async with start(DENSE) as person:
        loaded = person.app.controller.engine.loaded
        screen = await opened(person)
        await person.wait_for(lambda: "Run (enter)" in person.screen_text())
        text = person.screen_text()
        assert "Tiny Qwen3 0.001B Q8_0 on CPU: pp512, tg128, 3 runs" in text
        assert "reads a prompt of 512 tokens" in text and "writes 128 tokens" in text
        await person.wait_for(lambda: "It takes roughly" in person.screen_text())
        await person.press("m")
        await person.wait_for(lambda: "2 models on CPU" in person.screen_text())
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is not screen)
        assert person.app.controller.engine.loaded is loaded and person.phase == "ready"


async def test_a_bench_that_is_left_while_it_makes_room_leaves_the_model_in_the_end(start: StartApp) -> None:
    async with start(DENSE) as person:
        screen = await opened(person)
        os.kill(person.engine_pid, signal.SIGSTOP)
        await person.press("enter")
        await person.wait_for(lambda: screen._measuring is not None)
        await person.press("escape")
        await person.wait_for(lambda: screen._measuring is None)
        await person.press("escape")
        os.kill(person.engine_pid, signal.SIGCONT)
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.engine.loaded)
        assert "esc Stop" in footer(person)


async def test_looking_at_the_bench_changes_nothing_of_what_is_remembered(start: StartApp) -> None:
    remembered = StateStore()
    remembered.remember_load(DENSE, ChosenLoad(n_ctx=2048, backend="cpu"))
    remembered.remember_tuned(DENSE, TunedLoad(load={"n_ubatch": 64}, machine=this_machine().hardware))
    before = remembered.state
    async with start(DENSE) as person:
        await opened(person)
        await person.press("escape")
        await person.wait_until_ready()
        assert person.loaded.llama.n_ubatch == 64
    assert remembered.read() == []
    assert (remembered.state.loads, remembered.state.tuned) == (before.loads, before.tuned)


async def test_stopping_keeps_what_was_measured_and_a_second_esc_leaves(start: StartApp) -> None:
    async with start(DENSE) as person:
        screen = await opened(person)
        await person.press("m", "enter")
        await person.wait_for(lambda: any(report.results for report in screen.state.comparison.reports))
        await person.press("escape")
        await person.wait_for(lambda: screen._measuring is None)
        assert person.app.screen is screen and "pp512" in History(paths.bench_file()).list()[0].tests
        await person.press("escape")
        await person.wait_until_ready()


async def test_quitting_while_it_measures_ends_everything_and_keeps_what_was_measured(
    start: StartApp, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(DENSE) as person:
        screen = await opened(person)
        await person.press("enter")
        await person.wait_for(lambda: any(report.results for report in screen.state.comparison.reports))
        await person.app.run_action("quit")
        await person.wait_for(lambda: person.app._exit)
    assert "pp512" in History(paths.bench_file()).list()[0].tests
    assert "While llmtui ended" not in caplog.text


async def test_an_engine_that_is_killed_while_it_measures_is_a_sentence_and_the_app_lives(start: StartApp) -> None:
    async with start(DENSE) as person:
        screen = await opened(person)
        await person.press("enter")
        await person.wait_for(lambda: screen._runner is not None and screen._runner.comparison.reports)
        os.kill(bench_engine(person), signal.SIGKILL)
        await person.wait_for(lambda: screen._measuring is None)
        assert "on CPU:" in person.screen_text() and "SIGKILL" in "".join(screen.state.trouble)
        await person.press("escape")
        await person.wait_until_ready()


async def test_while_an_answer_is_written_the_bench_does_not_open(start: StartApp) -> None:
    async with start(DENSE) as person:
        async with person.slowly():
            await person.send("Count to 20")
            await person.wait_for(lambda: person.phase == "answering")
            await person.app.run_action("screen.bench")
            await person.pilot.pause()
            assert not isinstance(person.app.screen, BenchScreen)
        assert "stop it first" in person.told


async def test_while_a_model_is_loading_or_that_is_prepared_the_bench_does_not_open_and_says_so(
    start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, judge = asyncio.Event(), Confirmed.judge

    async def slowly(self: Confirmed, choice: ChosenLoad) -> Verdict:
        await go_on.wait()
        return await judge(self, choice)

    async with start(DENSE) as person:
        controller = person.app.controller
        os.kill(person.engine_pid, signal.SIGSTOP)
        controller.load(LoadRequest(path=MOE, choice=controller.model.choice))
        await person.wait_for(lambda: person.phase == "loading")
        await says_that_it_loads(person)
        os.kill(person.engine_pid, signal.SIGCONT)
        await person.wait_until_ready()
        monkeypatch.setattr(Confirmed, "judge", slowly)
        person.app.main.models.open_model(DENSE)
        await says_that_it_loads(person)
        go_on.set()
        await person.wait_for(lambda: person.phase == "ready" and controller.model.path == DENSE)


async def says_that_it_loads(person: Person) -> None:
    person.app.clear_notifications()
    await person.app.run_action("screen.bench")
    await person.wait_for(lambda: person.notices)
    assert person.notices == ["The model is still loading."] and not isinstance(person.app.screen, BenchScreen)
