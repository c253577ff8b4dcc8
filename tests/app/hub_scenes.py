"""How a person gets to the screens about hubs and downloads; see `test_snapshots.py`."""

from __future__ import annotations

from tests.app.conftest import Person
from tests.hub_shelf import finding_on, open_shelf
from tests.hubserver.exchange import Reply
from tests.hubserver.server import HubServer
from tests.recorded import GIB
from tests.scripted_downloads import ScriptedDownloads
from tui.app.screens.downloads import DownloadsScreen
from tui.app.screens.find import FindScreen
from tui.app.screens.repository import RepositoryScreen
from tui.app.widgets.start_page import StartPage
from tui.downloads.records import Order, OrderedFile, Problem
from tui.hubs.records import RepoId


def find_screen(person: Person) -> FindScreen:
    assert isinstance(person.app.screen, FindScreen)
    return person.app.screen


async def find(person: Person) -> None:
    """What suits this machine, and what the hubs have."""
    person.app.controller.finding = finding_on(open_shelf())
    await person.press("alt+m")
    await person.wait_for(lambda: isinstance(person.app.screen, FindScreen) and find_screen(person)._results.is_whole)


async def find_by_words(person: Person) -> None:
    await find(person)
    await person.press(*"abliterated")
    await person.wait_for(
        lambda: find_screen(person)._results.is_whole and find_screen(person)._results.wanted.text == "abliterated"
    )


async def find_without_hubs(person: Person) -> None:
    """Both hubs are down."""
    with HubServer() as server:
        server.instead(".", Reply(503, body=b"down"))
        person.app.controller.finding = finding_on(server)
        await person.press("alt+m")
        await person.wait_for(
            lambda: isinstance(person.app.screen, FindScreen) and find_screen(person)._results.failures
        )
        await person.wait_for(lambda: find_screen(person)._results.is_whole)


async def look_into(person: Person) -> None:
    await find(person)
    await person.press(*"unsloth/Qwen3-30B-A3B-GGUF")
    await person.press("enter")
    await person.wait_for(lambda: isinstance(person.app.screen, RepositoryScreen) and person.app.screen.is_settled)
    screen = person.app.screen
    assert isinstance(screen, RepositoryScreen)
    # Then the highlighted variant is judged by its own header.
    await person.wait_for(lambda: screen._exact and not any(worker.group == "exact" for worker in person.app.workers))


def scripted(person: Person) -> ScriptedDownloads:
    downloads = person.app.controller.fetching._downloads
    assert isinstance(downloads, ScriptedDownloads)
    return downloads


def order(name: str, label: str, gib: float) -> Order:
    file = OrderedFile(path=f"{name.rpartition('/')[2]}-{label}.gguf", size_bytes=round(gib * GIB))
    return Order(
        id=f"{name}:{label}",
        repo=RepoId(hub="huggingface", name=name),
        label=label,
        files=(file,),
        folder=f"/models/{name}",
    )


async def fetch_some(person: Person) -> None:
    """One is fetched, one waits, one stands still, one is whole."""
    downloads = scripted(person)
    for number, (name, label, gib) in enumerate(
        (
            ("Qwen/Qwen3-4B-GGUF", "Q4_K_M", 2.3),
            ("unsloth/Qwen3-30B-A3B-GGUF", "UD-Q4_K_XL", 16.5),
            ("bartowski/a-repository-with-a-long-name-indeed-GGUF", "Q6_K", 6.1),
            ("Qwen/Qwen3-0.6B-GGUF", "Q8_0", 0.6),
        )
    ):
        await downloads.add(order(name, label, gib))
        assert len(downloads.all) == number + 1
    downloads.set(3, state="done", n_bytes=downloads.all[3].order.size_bytes)
    downloads.set(2, state="failed", n_bytes=2 * GIB, problem=Problem(kind="disk_full"))
    downloads.set(0, state="fetching", n_bytes=GIB, bytes_per_s=12.3 * 2**20)
    # What is whole is told when the library has been looked through again.
    await person.wait_for(lambda: any("alt+l" in one.message for one in person.app._notifications))
    person.app.clear_notifications()


async def watch_downloads(person: Person) -> None:
    await fetch_some(person)
    await person.press("alt+d")
    await person.wait_for(lambda: isinstance(person.app.screen, DownloadsScreen))


async def watch_a_problem(person: Person) -> None:
    await watch_downloads(person)
    await person.press("down", "down")


async def start_first(person: Person) -> None:
    await person.wait_for(lambda: person.app.main.query_one(StartPage).state.first_steps)
