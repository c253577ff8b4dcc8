"""The app with its session in the background: its window may go at any time, and the next one is where it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, until
from tests.counting import SCRIPT, counted, counting
from tests.running import llmtui
from tui.app.new_session import VARIABLE, new_session
from tui.app.screens.leaving import END, STAY
from tui.app.widgets.prompt import Prompt
from tui.chat.store import Store
from tui.config import paths
from tui.config.options import AppOptions
from tui.config.settings import SessionSettings, Settings
from tui.config.state import StateStore
from tui.host import client
from tui.host.meeting import meeting
from tui.session import events

LONG = {"n_ctx": 8192}


@pytest.fixture(autouse=True)
def runtime(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`$XDG_RUNTIME_DIR`; no host outlives the test."""
    folder = home / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    if (folder / "llmtui").exists():
        llmtui("stop")


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a long answer, whose every part tells what is missing."""
    path = tmp_path_factory.mktemp("model") / "counting.gguf"
    counting(path)
    return path


async def host_pid() -> int:
    """The process of the host."""
    status = await client.status()
    assert status is not None
    return status.pid


def is_there() -> bool:
    """Whether a host is."""
    place = meeting()
    if place is None:
        return False
    with place:
        return place.is_locked()


async def begin_to_count(person: Person) -> None:
    """Ask for the long answer, and see its beginning."""
    await person.send("count")
    await person.wait_for(lambda: "w0010" in person.screen_text())


async def test_an_answer_goes_on_without_its_window_and_the_next_window_shows_it(
    start: StartApp, counting_model: Path
) -> None:
    async with start(counting_model, background=True, load=LONG) as person:
        await begin_to_count(person)
        seen = person.turns[-1].id
    async with start(None, background=True) as person:
        await person.wait_for(lambda: counted(person.screen_text()))
        assert person.turns[-1].id == seen
        assert person.loaded.path == str(counting_model)
        await person.wait_until_ready()
        assert person.turns[-1].text == SCRIPT
        await person.wait_for(lambda: "w1000" in person.screen_text())


async def test_who_quits_in_an_answer_is_asked_whether_it_goes_on(start: StartApp, counting_model: Path) -> None:
    async with start(counting_model, background=True, load=LONG) as person:
        await begin_to_count(person)
        await person.press("ctrl+q")
        await person.wait_for(lambda: "Let it go on" in person.screen_text())
        await person.press("escape")
        assert person.phase == "answering"
        await person.press("ctrl+q")
        await person.press("g")
        assert person.app.goes_on
    assert STAY != END and is_there()
    async with start(None, background=True) as person:
        await person.wait_for(lambda: counted(person.screen_text()))
        await person.press("ctrl+q")
        if person.phase == "answering":  # a quick machine has it complete by now
            await person.press("e")
    await until(lambda: not is_there())


async def test_quitting_with_nothing_to_do_ends_all(start: StartApp) -> None:
    async with start(DENSE, background=True) as person:
        assert await person.ask("hello")
        await person.press("ctrl+q")
    await until(lambda: not is_there())
    assert not list((Path(os.environ["XDG_RUNTIME_DIR"]) / "llmtui").iterdir())


async def test_a_second_window_shows_the_same_and_the_first_is_told_and_takes_it_back(start: StartApp) -> None:
    async with start(DENSE, background=True) as one:
        assert await one.ask("hello")
        async with start(None, background=True) as two:
            await two.wait_for(lambda: "hello" in two.screen_text())
            await one.wait_for(lambda: "Another window goes on" in one.told)
            assert not one.app.controller.has_keys
            n = len(one.turns)
            await one.send("hello")
            await one.wait_for(lambda: one.app.controller.has_keys)
            await two.wait_for(lambda: len(two.turns) == n + 2 and two.turns[-1].stop)
            assert [turn.text for turn in two.turns] == [turn.text for turn in one.turns]
            await two.press("ctrl+q")
        assert is_there() and one.phase == "ready"


async def test_what_is_typed_waits_is_taken_back_and_edited_as_in_a_session_here(
    start: StartApp, counting_model: Path
) -> None:
    async with start(counting_model, background=True, load=LONG) as person:
        await begin_to_count(person)
        await person.type("one more")
        await person.press("enter")
        await person.wait_for(lambda: person.app.controller.queue.texts == ("one more",))
        await person.press("up")
        await person.wait_for(lambda: person.app.main.query_one(Prompt).text == "one more")
        assert not person.app.controller.queue.texts
        await person.press("escape")
        await person.wait_until_ready()
        assert person.turns[-1].stop == "cancelled"
        await person.wait_for(lambda: person.app.controller.can_answer)
        await person.press("f5")
        await person.wait_for(lambda: person.phase == "answering")
        await person.press("escape")
        await person.wait_until_ready()
        assert len(person.turns) == 2


async def test_a_host_that_dies_is_told_and_one_key_goes_on(start: StartApp, counting_model: Path) -> None:
    async with start(counting_model, background=True, load=LONG) as person:
        await begin_to_count(person)
        os.kill(await host_pid(), signal.SIGKILL)
        await person.wait_for(lambda: "in the background stopped while answering" in person.screen_text())
        assert person.phase == "dead" and person.turns[-1].stop == "crashed"
        await person.press("r")
        await person.wait_until_ready()
        assert person.loaded.path == str(counting_model) and len(person.turns) == 2
        await person.wait_for(lambda: "stopped while answering" not in person.screen_text())


async def test_a_host_that_is_ended_from_another_terminal_is_said_to_be_that(
    start: StartApp, counting_model: Path
) -> None:
    async with start(counting_model, background=True, load=LONG) as person:
        await begin_to_count(person)
        os.kill(await host_pid(), signal.SIGTERM)
        await person.wait_for(lambda: "The session in the background was ended" in person.screen_text())
        assert "out of memory" not in person.screen_text() and person.turns[-1].text
        await person.press("r")
        await person.wait_until_ready()
        assert len(person.turns) == 2


async def test_where_no_host_can_be_the_session_is_in_the_window_and_that_is_said(
    start: StartApp, runtime: Path
) -> None:
    (runtime / "llmtui").mkdir(mode=0o755)
    (runtime / "llmtui").chmod(0o755)
    async with start(DENSE, background=True) as person:
        assert "This session ends with its window." in person.told
        assert not person.app.controller.outlives and await person.ask("hello")
        await person.press("ctrl+q")
    (runtime / "llmtui").rmdir()


async def test_a_window_that_comes_while_nothing_is_loaded_loads_the_last_model(start: StartApp) -> None:
    async with start(DENSE, background=True) as person:
        assert await person.ask("hello")
        await person.app.controller.unload()
        assert person.app.controller.engine.loaded is None
    async with start(None, background=True) as person:
        await person.wait_until_ready()
        assert person.loaded.path == str(DENSE) and len(person.turns) == 2
        loaded: list[events.ModelLoaded] = []
        person.app.controller.listen(
            lambda event: loaded.append(event) if isinstance(event, events.ModelLoaded) else None
        )
    async with start(None, background=True) as person:
        await person.wait_until_ready()
        assert not loaded and paths.state_file().exists()


@pytest.mark.parametrize(
    ("variable", "option", "more", "is_there"),
    [
        (None, None, {}, True),
        ("0", None, {}, False),
        ("1", None, {}, True),
        ("0", True, {}, True),
        ("1", False, {}, False),
        ("1", True, {"settings_file": Path("own.toml")}, False),
        ("1", True, {"software_vulkan": True}, False),
        ("1", True, {"monitor": True}, False),
    ],
)
async def test_an_option_goes_before_the_environment_and_that_before_the_settings(
    variable: str | None,
    option: bool | None,
    more: dict[str, Any],
    is_there: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable is None:
        monkeypatch.delenv(VARIABLE)
    else:
        monkeypatch.setenv(VARIABLE, variable)
    settings = Settings(session=SessionSettings(background=True))
    store = Store(paths.database_file())
    session = new_session(settings, StateStore(), store, AppOptions(background=option, **more))
    assert session.outlives == is_there
