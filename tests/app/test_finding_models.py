"""From the search to the first answer: through the real screens, both hubs' libraries, the process that fetches, and
the engine, against a hub on 127.0.0.1."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE
from tests.hub_shelf import as_nobody
from tests.hubserver.exchange import Reply, Request
from tests.hubserver.repos import ServedRepo
from tests.hubserver.server import HubServer
from tui.app.screens.downloads import DownloadsScreen
from tui.app.screens.find import FindScreen
from tui.app.screens.picker import PickerScreen
from tui.app.screens.repository import RepositoryScreen
from tui.app.widgets.start_page import StartPage
from tui.config import paths

TINY = ServedRepo(
    name="Qwen/Tiny-GGUF",
    files={"README.md": b"# Tiny", "Tiny-Q8_0.gguf": DENSE.read_bytes()},
    n_params=300_000,
    n_downloads=7,
)
OTHER = ServedRepo(name="somebody/Other-GGUF", files={"Other-Q8_0.gguf": DENSE.read_bytes()}, n_downloads=3)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Both hubs, for the app and for the process that it starts."""
    as_nobody(monkeypatch)
    with HubServer(TINY, OTHER) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        yield running


async def find(person: Person, text: str = "") -> FindScreen:
    """Open the search, type, and wait for what the hubs have."""
    await person.press("alt+m")
    await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
    screen = person.app.screen
    assert isinstance(screen, FindScreen)
    if text:
        await person.press(*text)
    await person.wait_for(lambda: screen._results.is_whole and screen._results.wanted.text == text)
    return screen


async def look_into(person: Person, name: str) -> RepositoryScreen:
    """Open a repository by its name."""
    await person.press("alt+m")
    await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
    await person.press(*name)
    await person.wait_for(lambda: f"Open {name.partition(':')[0]}" in person.screen_text())
    await person.press("enter")
    await person.wait_for(lambda: isinstance(person.app.screen, RepositoryScreen))
    screen = person.app.screen
    assert isinstance(screen, RepositoryScreen)
    await person.wait_for(lambda: screen.is_settled)
    return screen


async def test_a_model_is_found_fetched_loaded_and_answers(start: StartApp, server: HubServer) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await find(person, "tiny")
        assert "Tiny-GGUF" in person.screen_text() and "1 repository" in person.screen_text()
        await person.press("enter")
        await person.wait_for(lambda: "recommended" in person.screen_text())
        await person.press("enter")
        await person.wait_until_ready()  # it is the first model of this machine: it is loaded by itself
        assert person.loaded.path == str(paths.models_dir() / "Qwen/Tiny-GGUF/Tiny-Q8_0.gguf")
        await person.press("escape", "escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        assert await person.ask("hello")
        assert "is downloaded" in person.told


async def test_beside_a_loaded_model_it_is_told_and_a_key_loads_it(start: StartApp, server: HubServer) -> None:
    async with start() as person:
        await look_into(person, "Qwen/Tiny-GGUF")
        await person.press("enter")
        await person.wait_for(lambda: "Tiny · Q8_0 is downloaded. alt+l loads it." in person.told)
        await person.wait_for(lambda: "on this machine" in person.screen_text())
        assert person.loaded.path == str(DENSE)
        await person.press("escape", "escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.press("alt+l")
        await person.wait_for(lambda: person.phase == "ready" and "Tiny-Q8_0" in person.loaded.path)


async def test_what_is_on_this_machine_is_loaded_and_not_fetched_again(start: StartApp, server: HubServer) -> None:
    here = paths.models_dir() / "elsewhere" / "Tiny-Q8_0.gguf"
    here.parent.mkdir(parents=True)
    here.write_bytes(DENSE.read_bytes())
    async with start() as person:
        await look_into(person, "Qwen/Tiny-GGUF")
        assert "on this machine" in person.screen_text()
        await person.press("enter")
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.path == str(here))
        assert not person.app.controller.fetching.all


async def test_only_the_newest_question_is_answered(start: StartApp, server: HubServer) -> None:
    """The hub thinks about the first one for as long as the test runs."""
    over = threading.Event()

    def think(request: Request, reply: Reply) -> Reply:
        over.wait(60)
        return reply

    server.instead("(?i)(search|name)[^&]*=[^&]*tin(&|$)", think)
    async with start() as person:
        await person.press("alt+m")
        await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
        screen = person.app.screen
        assert isinstance(screen, FindScreen)
        await person.press(*"tin")
        await person.wait_for(lambda: server.asked("(?i)=[^&]*tin(&|$)"))
        await person.press("backspace", "backspace", "backspace", *"other")
        await person.wait_for(lambda: "Other-GGUF" in person.screen_text())
        over.set()
        await person.wait_for(lambda: screen._results.is_whole)
        assert [repo.id.name for repo in screen._results.repos] == ["somebody/Other-GGUF"]


async def test_one_hub_that_fails_does_not_take_the_other_along(start: StartApp, server: HubServer) -> None:
    server.instead("api/models", Reply(503, body=b"down"))
    async with start() as person:
        await find(person, "tiny")
        assert "Tiny-GGUF" in person.screen_text() and "503" in person.screen_text()


async def test_without_a_network_it_says_so_and_what_works(
    start: StartApp, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await find(person, "tiny")
        assert "works without a network" in " ".join(person.screen_text().split())
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.press("enter")  # the model that is offered cannot be asked for either: the page says why
        await person.wait_for(lambda: person.app.main.hubs.trouble)
        start_of_it = person.app.main.hubs.trouble[:30]
        page = person.app.main.query_one(StartPage)
        await person.wait_for(lambda: page.state.first_steps and start_of_it in page.state.first_steps.trouble)


async def test_enter_on_the_first_page_fetches_loads_and_leads_to_the_chat(start: StartApp, server: HubServer) -> None:
    for size in ("0.6B", "1.7B", "4B", "8B", "14B", "30B-A3B", "32B"):
        name = f"Qwen3-{size}"
        server.add(ServedRepo(name=f"Qwen/{name}-GGUF", files={f"{name}-Q8_0.gguf": DENSE.read_bytes()}))
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await person.wait_for(lambda: "enter Download it, load it and chat" in person.screen_text())
        await person.press("enter")
        await person.wait_until_ready()
        assert "/Qwen/Qwen3-" in person.loaded.path
        assert await person.ask("hello")


async def test_a_variant_is_named_by_its_label_and_a_wrong_one_is_said(start: StartApp, server: HubServer) -> None:
    files: dict[str, bytes | Path] = {
        f"Many-{quant}.gguf": DENSE.read_bytes() for quant in ("Q4_K_M", "Q5_K_M", "Q8_0")
    }
    server.add(ServedRepo(name="Qwen/Many-GGUF", files=files))
    async with start() as person:
        screen = await look_into(person, "Qwen/Many-GGUF:q5_k_m")
        assert screen.rows.item is not None and screen.rows.item.label == "Q5_K_M"
        await person.press("escape")
        await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
        await person.press("escape")
        await person.wait_for(lambda: person.app.screen is person.app.main)
        await person.press("alt+m")
        await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))
        for _ in "q5_k_m":
            await person.press("backspace")
        await person.press(*"Q5_K_X", "enter")
        await person.wait_for(lambda: isinstance(person.app.screen, RepositoryScreen))
        await person.wait_for(lambda: "Q5_K_X" in person.screen_text())


async def test_a_gated_repository_says_what_to_do(start: StartApp, server: HubServer) -> None:
    server.add(ServedRepo(name="Qwen/Gated-GGUF", files={"Gated-Q8_0.gguf": DENSE.read_bytes()}, is_gated=True))
    async with start() as person:
        await look_into(person, "Qwen/Gated-GGUF")
        assert "HF_TOKEN" in person.screen_text()


async def test_a_full_disk_is_told_before_anything_is_fetched(
    start: StartApp, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.session.fetching.free_bytes", lambda _: 1000)
    async with start() as person:
        await look_into(person, "Qwen/Tiny-GGUF")
        await person.press("enter")
        await person.wait_for(lambda: "The disk is too full" in person.screen_text())
        assert not person.app.controller.fetching.all


async def test_the_picker_leads_to_the_search(start: StartApp, server: HubServer) -> None:
    async with start() as person:
        await person.press("ctrl+o")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        await person.press("f7")
        await person.wait_for(lambda: isinstance(person.app.screen, FindScreen))


async def test_what_is_fetched_goes_on_at_the_next_start_and_is_shown_meanwhile(
    start: StartApp, server: HubServer
) -> None:
    goes_on = threading.Event()

    def slowly(request: Request, reply: Reply) -> Reply:
        if request.method == "GET" and not goes_on.is_set():
            goes_on.wait(60)
        return reply

    server.instead(r"(resolve|FilePath).*Tiny-Q8_0", slowly, skip=100)
    async with start() as person:
        await look_into(person, "Qwen/Tiny-GGUF")
        server.instead(r"(resolve|FilePath).*Tiny-Q8_0", slowly)
        await person.press("enter")
        await person.wait_for(lambda: person.app.controller.fetching.is_active)
        await person.press("escape", "escape")
        await person.wait_for(lambda: "↓ Tiny · Q8_0" in person.screen_text())
        await person.press("alt+d")
        await person.wait_for(lambda: isinstance(person.app.screen, DownloadsScreen))
        assert "Tiny · Q8_0" in person.screen_text()
    goes_on.set()
    async with start() as person:
        await person.wait_for(lambda: "Tiny · Q8_0 is downloaded" in person.told)
