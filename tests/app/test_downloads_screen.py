"""The list of downloads: what its keys do, and what it says of one that stands still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.app.dialogs import KEYS, opened
from tests.app.hub_scenes import order
from tests.conftest import until
from tests.scripted_downloads import ScriptedDownloads
from tui.app.screens.confirm import ConfirmScreen
from tui.app.screens.downloads import AfterDownloads, DownloadsScreen
from tui.app.screens.text_edit import LineEditScreen
from tui.downloads.records import Problem
from tui.session.announcer import Announcer
from tui.session.fetching import Fetching


async def with_downloads(*names: str) -> tuple[ScriptedDownloads, Fetching, Callable[[], DownloadsScreen]]:
    """These are ordered; the last makes the screen."""
    downloads, announcer = ScriptedDownloads(), Announcer()
    fetching = Fetching(downloads, lambda: Path("/models"), announcer.tell)
    await fetching.start()
    for name in names:
        await downloads.add(order(f"Qwen/{name}-GGUF", "Q4_K_M", 2.0))
    return downloads, fetching, lambda: DownloadsScreen(fetching, KEYS, announcer.listen)


async def test_a_download_is_paused_and_goes_on_by_one_key() -> None:
    downloads, _, make = await with_downloads("One")
    downloads.set(0, state="fetching", n_bytes=1 << 30, bytes_per_s=1e6)
    async with opened(make(), (80, 24)) as stage:
        assert "50%" in stage.text and "space Pause" in stage.text
        await stage.press("space")
        await until(lambda: "paused 50%" in stage.text and "space Resume" in stage.text)
        await stage.press("p")
        await until(lambda: "space Pause" in stage.text)
        assert downloads.all[0].state == "fetching"


async def test_the_queue_is_moved_and_cancelled_after_a_question_where_something_is_there() -> None:
    downloads, _, make = await with_downloads("One", "Two", "Three")
    downloads.set(2, state="paused", n_bytes=5 << 20)
    async with opened(make(), (80, 24)) as stage:
        await stage.press("down", "down", "K")
        await until(lambda: [one.order.label for one in downloads.all] and "Three" in downloads.all[1].order.id)
        await stage.press("x")
        await until(lambda: isinstance(stage.host.screen, ConfirmScreen))
        assert "5.0 MiB" in stage.text
        await stage.press("y")
        await until(lambda: len(downloads.all) == 2)
        await stage.press("x")  # of the next one nothing is there: nobody is asked
        await until(lambda: len(downloads.all) == 1)


async def test_what_stands_still_says_why_also_where_there_is_little_room() -> None:
    downloads, _, make = await with_downloads("One")
    downloads.set(0, state="failed", problem=Problem(kind="disk_full"))
    async with opened(make(), (40, 12)) as stage:
        await until(lambda: "The disk is full" in " ".join(stage.text.split()))


async def test_a_whole_one_is_loaded_and_then_leaves_the_list() -> None:
    downloads, _, make = await with_downloads("One")
    downloads.set(0, state="done")
    async with opened(make(), (80, 24)) as stage:
        await stage.press("enter")
        assert stage.result == AfterDownloads(what="load", path="/models/Qwen/One-GGUF/One-GGUF-Q4_K_M.gguf")


async def test_the_speed_is_limited_in_mib_and_nonsense_is_asked_again() -> None:
    downloads, fetching, make = await with_downloads()
    async with opened(make(), (80, 24)) as stage:
        assert "Nothing is being downloaded" in stage.text
        await stage.press("l")
        await until(lambda: isinstance(stage.host.screen, LineEditScreen))
        await stage.press("backspace", *"much", "enter")
        await until(lambda: "Enter a number" in stage.text)
        await stage.press("backspace", *"1.5", "enter")
        await until(lambda: fetching.limit_bytes_per_s == 1.5 * 2**20)
        assert downloads.bytes_per_s == 1.5 * 2**20
