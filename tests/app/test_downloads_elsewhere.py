"""One queue for all: what `llmtui pull` fetches is in the app and the other way round, and what an app was fetching
that was killed is taken up by the next one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, until
from tests.hub_shelf import as_nobody
from tests.hubserver import faults
from tests.hubserver.repos import ServedRepo
from tests.hubserver.server import HubServer
from tests.on_pty import LLMTUI, OnPty, on_pty
from tests.running import llmtui, on_terminal, plain
from tui.app.screens.downloads import DownloadsScreen
from tui.app.screens.find import FindScreen
from tui.app.screens.repository import RepositoryScreen
from tui.base.exit_codes import ExitCode
from tui.config import paths
from tui.downloads.records import Download
from tui.downloads.shelf import Shelf, downloads

NAME = "Qwen/Tiny-GGUF"
CONTENT = DENSE.read_bytes() + os.urandom(24 << 20)
BYTES = r"(resolve|FilePath).*Tiny-Q8_0"
TWICE = (4 << 20) + len(CONTENT) // 100
"""Bytes that may be fetched twice after a kill."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Both hubs, for all processes of a test, with one model."""
    as_nobody(monkeypatch)
    with HubServer(ServedRepo(name=NAME, files={"Tiny-Q8_0.gguf": CONTENT}, n_params=300_000)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        yield running


@pytest.fixture
def dam(server: HubServer) -> Iterator[faults.Dam]:
    """Half of the file comes, the rest waits until it breaks."""
    dam = faults.Dam(len(CONTENT) // 2)
    server.instead(BYTES, dam)
    yield dam
    dam.broken()


def go_on(server: HubServer, dam: faults.Dam) -> None:
    server.heal()
    dam.broken()


def n_fetched(server: HubServer) -> int:
    """Bytes of the file that were sent, its header to those that looked at it included."""
    return sum(request.n_sent for request in server.asked(BYTES))


def is_right() -> bool:
    """The file is there, whole, and nothing beside it."""
    folder = paths.models_dir() / NAME
    return [file.name for file in folder.iterdir()] == ["Tiny-Q8_0.gguf"] and (
        folder / "Tiny-Q8_0.gguf"
    ).read_bytes() == CONTENT


def in_queue() -> tuple[Download, ...]:
    """As it stands on the disk, for everybody."""
    return downloads(Shelf(paths.downloads_dir()))


def states(person: Person) -> list[str]:
    return [one.state for one in person.app.controller.fetching.all]


async def look_into(person: Person) -> None:
    """Open the repository, and wait until all is known of it."""
    await person.press("alt+m")
    await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
    await person.press(*NAME, "enter")
    await person.wait_for(lambda: isinstance(person.app.screen, RepositoryScreen) and person.app.screen.is_settled)


async def test_what_the_command_line_fetches_is_in_the_apps_queue_and_not_fetched_again(
    start: StartApp, server: HubServer, dam: faults.Dam
) -> None:
    async with start() as person:
        pulling = asyncio.create_task(asyncio.to_thread(llmtui, "pull", NAME))
        await person.wait_for(lambda: states(person) == ["fetching"])
        await look_into(person)
        await person.press("enter")
        await person.wait_for(lambda: isinstance(person.app.screen, DownloadsScreen))
        assert "Tiny · Q8_0" in person.screen_text() and states(person) == ["fetching"]
        go_on(server, dam)
        done = await pulling
        assert done.returncode == ExitCode.FINE, done.stderr
        await person.wait_for(lambda: states(person) == ["done"])
        await person.wait_for(lambda: "Tiny · Q8_0 is downloaded" in person.told)
    assert is_right() and n_fetched(server) <= len(CONTENT) + TWICE


async def test_a_command_for_what_the_app_fetches_waits_for_it_and_may_leave_it_to_the_app(
    start: StartApp, server: HubServer, dam: faults.Dam
) -> None:
    async with start() as person:
        await look_into(person)
        await person.press("enter")
        await person.wait_for(lambda: states(person) == ["fetching"])
        waiting = asyncio.create_task(asyncio.to_thread(llmtui, "pull", NAME))
        with on_terminal("pull", NAME) as left:
            await asyncio.to_thread(left.read_until, "%")
            left.process.send_signal(signal.SIGINT)
            code, _ = await asyncio.to_thread(left.end)
        assert code == ExitCode.INTERRUPTED
        assert "Another window of llmtui is downloading it, and continues." in plain(left.seen)
        assert states(person) == ["fetching"] and not waiting.done()
        go_on(server, dam)
        done = await waiting
        assert done.returncode == ExitCode.FINE, done.stderr
        assert done.stdout.strip() == str(paths.models_dir() / NAME / "Tiny-Q8_0.gguf")
        await person.wait_for(lambda: states(person) == ["done"])
    assert is_right() and n_fetched(server) <= len(CONTENT) + TWICE


async def test_what_was_stopped_on_the_command_line_is_paused_in_the_app_and_can_go_on_there(
    start: StartApp, server: HubServer, dam: faults.Dam
) -> None:
    with on_terminal("pull", NAME) as stopped:
        await until(lambda: any(one.n_bytes > len(CONTENT) // 4 for one in in_queue()))
        stopped.process.send_signal(signal.SIGINT)
        assert (await asyncio.to_thread(stopped.end))[0] == ExitCode.INTERRUPTED
    go_on(server, dam)
    async with start() as person:
        await person.wait_for(lambda: states(person) == ["paused"])
        await person.press("alt+d")
        await person.wait_for(lambda: isinstance(person.app.screen, DownloadsScreen))
        await person.press("space")
        await person.wait_for(lambda: states(person) == ["done"])
    assert is_right() and n_fetched(server) <= len(CONTENT) + TWICE


def order_by_hand(app: OnPty) -> None:
    """Find the model and fetch it, as a person does."""
    app.wait_for("Ask anything")
    app.type(b"\x1bm")
    app.wait_for("Find models")
    app.type(NAME.encode() + b"\r")
    app.wait_for("recommended")
    app.type(b"\r")


@pytest.mark.usefixtures("home")
def test_a_download_of_an_app_that_was_killed_goes_on_from_where_it_was_at_the_next_start(
    server: HubServer, dam: faults.Dam
) -> None:
    with on_pty(*LLMTUI) as app:
        order_by_hand(app)
        app.wait_for(lambda: any(one.n_bytes > len(CONTENT) // 4 for one in in_queue()))
        children = app.processes()[1:]
        os.kill(app.pid, signal.SIGKILL)
        app.wait_for_end()
        psutil.wait_procs(children, timeout=30)
        assert not any(child.is_running() for child in children)
    before = n_fetched(server)
    assert before > len(CONTENT) // 4 and not is_right()
    go_on(server, dam)
    with on_pty(*LLMTUI) as app:
        app.wait_for(lambda: [one.state for one in in_queue()] == ["done"])
        app.wait_for("Tiny")
    assert is_right() and n_fetched(server) <= len(CONTENT) + TWICE
