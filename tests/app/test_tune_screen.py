"""The search for the fastest settings in the app, with the real engine: from the load settings and the palette, while
it runs, stopped, what is kept of it, and the chat's model afterwards."""

from __future__ import annotations

import functools
import os
import signal

import msgspec
import psutil
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tui.app.screens.load_settings import LoadScreen
from tui.app.screens.tune import TuneScreen
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.tune_board import TuneBoard, TuneState
from tui.config.settings import ChosenLoad
from tui.config.state import StateStore, TunedLoad
from tui.measure.machine import this_machine
from tui.measure.stats import RelativeDifference
from tui.measure.tune import Trial, TuneOutcome, Tuner
from tui.measure.tuned import kind_of
from tui.models.library import inspect
from tui.session import tuning

HERE = this_machine().hardware
LOAD = "[load]\nn_threads = 1\nn_ctx = 512\n"


@pytest.fixture
def start(start: StartApp) -> StartApp:
    """The app measures with one thread, and for three seconds at most."""
    return functools.partial(start, more_settings=f"{LOAD}[tune]\nseconds = 3.0\n")


def footer(person: Person) -> str:
    return person.app.screen.query_one(KeyBar).rows_as_text[0].strip()


async def opened(person: Person) -> TuneScreen:
    await person.app.run_action("screen.tune")
    await person.wait_for(lambda: isinstance(person.app.screen, TuneScreen))
    assert isinstance(person.app.screen, TuneScreen)
    return person.app.screen


def is_over(screen: TuneScreen) -> bool:
    return screen._searching is None and bool(screen.state.told)


def outcome(start: ChosenLoad, **changed: object) -> TuneOutcome:
    """A search that has found these settings to be a quarter faster."""
    best = msgspec.structs.replace(start, **changed)
    trials = (
        Trial(choice=start, prefill_tps=(100.0,), decode_tps=(10.0,), outcome="start"),
        Trial(choice=best, prefill_tps=(125.0,), decode_tps=(12.5,), outcome="best"),
    )
    gain = RelativeDifference(percent=25.0, low=22.0, high=28.0)
    return TuneOutcome(start=start, best=best, gain=gain, trials=trials, not_tried=(), n_too_large=0)


def finds(monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    """Whatever is measured: these settings are what comes of a search."""

    async def run(tuner: Tuner) -> TuneOutcome:
        return tuner.result

    monkeypatch.setattr(Tuner, "run", run)
    monkeypatch.setattr(Tuner, "result", property(lambda tuner: outcome(tuner._start, **changed)))


async def test_from_the_load_settings_to_a_verdict_and_the_model_is_loaded_again(start: StartApp) -> None:
    async with start(DENSE) as person:
        await person.press("ctrl+l")
        await person.wait_for(lambda: isinstance(person.app.screen, LoadScreen))
        await person.press("ctrl+t")
        await person.wait_for(lambda: isinstance(person.app.screen, TuneScreen))
        screen = person.app.screen
        assert isinstance(screen, TuneScreen)
        await person.wait_for(lambda: "left at most" in person.screen_text() or is_over(screen))
        assert person.app.controller.engine.loaded is None
        await person.wait_for(lambda: is_over(screen))
        assert "the settings as they are" in person.screen_text() and footer(person) == "esc Close"
        await person.press("enter")
        await person.wait_until_ready()
        assert person.loaded.path == str(DENSE) and person.loaded.n_ctx == 1024


async def test_what_is_faster_is_remembered_with_its_gain_used_and_said_in_the_load_settings(
    start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    finds(monkeypatch, n_ubatch=64, repack="off")
    async with start(DENSE) as person:
        screen = await opened(person)
        await person.wait_for(lambda: is_over(screen))
        assert "25.0% faster (22.0 to 28.0)" in person.screen_text()
        await person.press("escape")
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.llama.n_ubatch == 64)
        store = StateStore()
        store.read()
        kept = store.state.tuned[str(DENSE)]
        assert kept.load == {"n_ubatch": 64, "repack": "off"} and (kept.percent, kept.low, kept.high) == (25, 22, 28)
        assert kept.machine == HERE and kept.kind == kind_of(inspect(DENSE).info)
        await person.press("ctrl+l")
        await person.wait_for(lambda: "Tuned here: ubatch 64, repack off: 25.0% faster" in person.screen_text())
        await person.press("enter")
        await person.wait_until_ready()
        store.read()
        assert store.state.tuned[str(DENSE)] == kept  # loaded by hand with the same


async def test_esc_stops_and_leaves_the_settings_where_nothing_was_sure(start: StartApp) -> None:
    more = f"{LOAD}[tune]\nseconds = 1000.0\n"
    async with start(DENSE, more_settings=more) as person:
        screen = await opened(person)
        await person.wait_for(lambda: screen.state.outcome is not None)
        assert footer(person) == "esc Stop"
        await person.press("escape")
        await person.wait_for(lambda: is_over(screen))
        assert "the settings stay" in person.screen_text() and StateStore().state.tuned == {}
        await person.press("escape")
        await person.wait_until_ready()


async def test_an_engine_that_is_killed_meanwhile_is_a_sentence_and_the_model_comes_back(start: StartApp) -> None:
    async with start(DENSE, more_settings=f"{LOAD}[tune]\nseconds = 1000.0\n") as person:
        chat = person.engine_pid
        screen = await opened(person)
        await person.wait_for(lambda: screen.state.progress is not None)
        while not is_over(screen):  # one that ends with other settings than the present ones is a candidate less
            for child in psutil.Process().children():
                if child.pid != chat and "worker" in child.cmdline()[-1:]:
                    os.kill(child.pid, signal.SIGKILL)
            await person.pilot.pause()
            if screen.state.outcome is not None and len(screen.state.outcome.trials) > 2:
                await person.press("escape")
                await person.wait_for(lambda: is_over(screen))
        await person.press("escape")
        await person.wait_until_ready()


async def test_while_an_answer_is_written_it_does_not_open(start: StartApp) -> None:
    async with start(DENSE) as person, person.slowly():
        await person.send("Count to 20")
        await person.wait_for(lambda: person.phase == "answering")
        await person.app.run_action("screen.tune")
        await person.pilot.pause()
        assert not isinstance(person.app.screen, TuneScreen) and "stop it first" in person.told


async def test_it_is_offered_once_after_a_longer_answer(start: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "LEAST_BYTES", 1)
    monkeypatch.setattr(tuning, "LEAST_TOKENS", 2)
    async with start(DENSE) as person:
        await person.send("Count to 5")
        await person.wait_until_ready()
        await person.wait_for(lambda: "faster load settings for" in person.told)
        n = person.told.count("faster load settings for")
        await person.send("Count to 5")
        await person.wait_until_ready()
        assert person.told.count("faster load settings for") == n
    store = StateStore()
    store.read()
    assert store.state.offered == (str(DENSE),)


async def test_it_is_not_offered_where_the_settings_say_so(start: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "LEAST_BYTES", 1)
    monkeypatch.setattr(tuning, "LEAST_TOKENS", 2)
    async with start(DENSE, more_settings=f"{LOAD}[tune]\noffer = false\n") as person:
        await person.send("Count to 5")
        await person.wait_until_ready()
        assert "faster load settings" not in person.told


async def test_what_was_tuned_for_a_model_of_the_same_kind_is_taken_up_and_said(start: StartApp) -> None:
    tuned = TunedLoad(
        machine=HERE, kind=kind_of(inspect(DENSE).info), backend="cpu", load={"flash_attn": "off", "n_ubatch": 64}
    )
    StateStore().remember_tuned(MOE.with_name("another.gguf"), tuned)
    async with start(DENSE, more_settings="[load]\nn_threads = 1\n") as person:
        await person.wait_for(lambda: "Taken from another.gguf" in person.told)
        assert person.loaded.llama.flash_attn is False and person.loaded.llama.n_ubatch == 512


def test_names_on_the_board_are_no_commands_to_the_terminal() -> None:
    evil = "a\x1b[2J\x9b31m\u202ename"
    board = TuneBoard(TuneState())
    board.state = TuneState(model=evil, doing=evil, told=(evil,))
    text = "".join(text for row in board.compose_rows(80, 20) for text, _ in row)
    assert text.count("name") == 3 and not {"\x1b", "\x9b", "\u202e"} & set(text)
