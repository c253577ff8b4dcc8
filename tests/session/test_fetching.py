"""What a session tells of its downloads."""

from __future__ import annotations

from pathlib import Path

from tests.scripted_downloads import ScriptedDownloads
from tui.downloads.records import Problem
from tui.hubs.records import RemoteFile, RepoId, Variant
from tui.session import events
from tui.session.fetching import Fetching, free_bytes, free_for

GIB = 1 << 30
VARIANT = Variant(
    repo=RepoId(hub="huggingface", name="Qwen/Qwen3-4B-GGUF"),
    label="Q4_K_M",
    quant="Q4_K_M",
    files=(RemoteFile(path="a/Qwen3-4B-00001-of-00002.gguf", size_bytes=GIB), RemoteFile(path="b.gguf", size_bytes=9)),
)


class Told:
    """A `Fetching` over scripted downloads, and what it told."""

    def __init__(self) -> None:
        self.downloads = ScriptedDownloads()
        self.events: list[events.AnySessionEvent] = []
        self.fetching = Fetching(self.downloads, lambda: Path("/models"), self.events.append)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


async def test_a_variant_goes_to_owner_and_name_below_the_folder_and_is_known_again() -> None:
    told = Told()
    await told.fetching.start()
    order = await told.fetching.fetch(VARIANT)
    assert order is not None and order.folder == "/models/Qwen/Qwen3-4B-GGUF" and order.size_bytes == GIB + 9
    known = told.fetching.known(VARIANT)
    assert known is not None and known.order == order and told.fetching.is_active


async def test_the_first_file_of_a_whole_model_is_told_once() -> None:
    told = Told()
    await told.fetching.start()
    await told.fetching.fetch(VARIANT)
    told.downloads.set(0, state="fetching", bytes_per_s=5.0)
    told.downloads.set(0, state="done", n_bytes=GIB + 9)
    told.downloads.set(0, bytes_per_s=0.0)
    fetched = [event for event in told.events if isinstance(event, events.ModelFetched)]
    assert [event.path for event in fetched] == [Path("/models/Qwen/Qwen3-4B-GGUF/a/Qwen3-4B-00001-of-00002.gguf")]
    assert not told.fetching.is_active and told.fetching.bytes_per_s == 5.0


async def test_what_was_whole_or_had_failed_before_the_start_is_no_news() -> None:
    told = Told()
    await told.downloads.add(told.fetching.order_of(VARIANT))
    told.downloads.set(0, state="done")
    await told.fetching.start()
    assert told.kinds() == ["DownloadsChanged"]


async def test_a_failure_is_told_and_again_when_it_fails_once_more() -> None:
    told = Told()
    await told.fetching.start()
    await told.fetching.fetch(VARIANT)
    for _ in range(2):
        told.downloads.set(0, state="failed", problem=Problem(kind="disk_full"))
        told.downloads.set(0, n_bytes=3)
        await told.fetching.resume(told.downloads.all[0].order.id)
    assert told.kinds().count("DownloadFailed") == 2


async def test_figures_that_only_grow_are_told_once_a_second_at_most() -> None:
    told = Told()
    await told.fetching.start()
    await told.fetching.fetch(VARIANT)
    told.downloads.set(0, state="fetching")
    n_before = len(told.events)
    for n_bytes in range(1, 100):
        told.downloads.set(0, n_bytes=n_bytes)
    assert len(told.events) - n_before <= 20 and told.fetching.all[0].n_bytes == 99


async def test_the_queue_is_moved_by_places_and_not_beyond_its_ends() -> None:
    told = Told()
    await told.fetching.start()
    for label in ("A", "B", "C"):
        await told.fetching.fetch(Variant(repo=VARIANT.repo, label=label, quant="", files=VARIANT.files))
    first = told.fetching.all[0].order.id
    await told.fetching.move(first, 1)
    assert [one.order.label for one in told.fetching.all] == ["B", "A", "C"]
    await told.fetching.move(first, 9)
    assert [one.order.label for one in told.fetching.all] == ["B", "C", "A"]


async def test_after_the_end_nothing_is_told() -> None:
    told = Told()
    await told.fetching.start()
    await told.fetching.close()
    told.events.clear()
    await told.downloads.add(told.fetching.order_of(VARIANT))
    assert told.events == []


def test_room_is_asked_of_the_folder_that_is_there_and_some_of_it_is_kept(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "not" / "there")
    assert free is not None and free > 0
    assert free_for(GIB, 3 * GIB) and not free_for(GIB, GIB + 5)
