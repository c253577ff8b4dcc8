"""The queue: orders one after the other, what is wished meanwhile, and several processes with one shelf."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.downloads.ordering import BYTES, EAGER, at, is_absent, is_right, order_for, served
from tests.hubserver import faults
from tests.hubserver.server import HubServer
from tests.patience import PATIENCE_S
from tui.config import paths
from tui.downloads import wishes
from tui.downloads.failures import FetchError
from tui.downloads.fetching import fetch
from tui.downloads.partfile import part_of
from tui.downloads.queue import Queue
from tui.downloads.records import Download, Order
from tui.downloads.shelf import Shelf, downloads

SIZE = 400_000


class Desk:
    """A queue that runs in a thread, and what it told."""

    def __init__(self, hub: HubServer) -> None:
        self.shelf = Shelf(paths.downloads_dir())
        self.told: list[tuple[Download, ...]] = []
        self.queue = Queue(
            self.shelf, self.told.append, fetch=functools.partial(fetch, locate=at(hub)), effort=EAGER, turn_s=0.01
        )
        self._thread = threading.Thread(target=self.queue.run, daemon=True)

    def __enter__(self) -> Desk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.queue.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def now(self) -> dict[str, Download]:
        """By label."""
        return {one.order.label: one for one in self.told[-1]} if self.told else {}

    def until(self, condition: Callable[[dict[str, Download]], object]) -> dict[str, Download]:
        """Wait until what was told last is so."""
        end = time.monotonic() + PATIENCE_S
        while not condition(self.now()):
            assert time.monotonic() < end, self.now()
            threading.Event().wait(0.005)
        return self.now()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as hub:
        yield hub


def put(hub: HubServer, folder: Path, label: str, *sizes: int) -> Order:
    """Another repository with its order."""
    repo = hub.add(served(*(sizes or (SIZE,)), name=f"someone/{label}-GGUF"))
    return order_for(repo, folder, label=label)


def repo_of(hub: HubServer, order: Order):  # type: ignore[no-untyped-def]
    return hub.repos[order.repo.name]


def test_orders_come_one_after_the_other_in_their_order(hub: HubServer, tmp_path: Path) -> None:
    orders = [put(hub, tmp_path, label) for label in ("A", "B", "C")]
    with Desk(hub) as desk:
        for order in orders:
            wishes.add(desk.shelf, order)
        wishes.add(desk.shelf, orders[0])
        now = desk.until(lambda now: len(now) == 3 and all(one.state == "done" for one in now.values()))
    assert list(now) == ["A", "B", "C"]
    assert all(is_right(order, repo_of(hub, order)) for order in orders)
    fetching = [{one.order.label for one in told if one.state == "fetching"} for told in desk.told]
    assert all(len(labels) <= 1 for labels in fetching)
    assert hub.n_sent == 3 * SIZE


def test_pause_resume_and_the_end_of_the_process(hub: HubServer, tmp_path: Path) -> None:
    order = put(hub, tmp_path, "A")
    hub.instead(BYTES, faults.slow(1 << 18))
    with Desk(hub) as desk:
        wishes.add(desk.shelf, order)
        desk.until(lambda now: now and now["A"].n_bytes > SIZE // 10)
        wishes.pause(desk.shelf, order.id)
        desk.until(lambda now: now["A"].state == "paused")
    with Desk(hub) as desk:
        paused = desk.until(lambda now: now)["A"]
        assert (paused.state, paused.n_bytes > SIZE // 10) == ("paused", True)
        wishes.resume(desk.shelf, order.id)
        desk.until(lambda now: now["A"].n_bytes > SIZE // 3)
    sent = hub.n_sent
    hub.heal()
    with Desk(hub) as desk:
        desk.until(lambda now: now and now["A"].state == "done")
    assert is_right(order, repo_of(hub, order))
    assert hub.n_sent - sent < SIZE


def test_cancel_leaves_nothing_and_forget_leaves_the_file(hub: HubServer, tmp_path: Path) -> None:
    kept, dropped = put(hub, tmp_path, "A"), put(hub, tmp_path, "B", 100_000, SIZE)
    hub.instead("B-GGUF.*00002", faults.slow(1 << 16))
    with Desk(hub) as desk:
        wishes.add(desk.shelf, kept)
        wishes.add(desk.shelf, dropped)
        desk.until(lambda now: len(now) == 2 and now["B"].n_bytes > 100_000)
        wishes.cancel(desk.shelf, dropped.id)
        wishes.forget(desk.shelf, kept.id)
        desk.until(lambda now: not now)
    assert is_right(kept, repo_of(hub, kept))
    assert not Path(dropped.folder).exists()
    assert [path.name for path in paths.downloads_dir().iterdir()] == ["queue.lock"]


def test_a_failure_lets_the_next_go_on_and_is_tried_again_when_asked(hub: HubServer, tmp_path: Path) -> None:
    gated, other = put(hub, tmp_path, "A"), put(hub, tmp_path, "B")
    hub.instead("A-GGUF", faults.refused(403, X_Error_Code="GatedRepo"))
    with Desk(hub) as desk:
        wishes.add(desk.shelf, gated)
        wishes.add(desk.shelf, other)
        now = desk.until(lambda now: len(now) == 2 and now["B"].state == "done")
        assert now["A"].state == "failed"
        assert now["A"].problem is not None and now["A"].problem.kind == "gated"
        hub.heal()
        wishes.resume(desk.shelf, gated.id)
        desk.until(lambda now: now["A"].state == "done")
    assert is_right(gated, repo_of(hub, gated))


def test_a_hub_that_is_gone_lets_the_next_go_on_and_says_when_it_is_tried_again(hub: HubServer, tmp_path: Path) -> None:
    away, other = put(hub, tmp_path, "A"), put(hub, tmp_path, "B")
    hub.instead("A-GGUF", faults.refused(503))
    with Desk(hub) as desk:
        wishes.add(desk.shelf, away)
        wishes.add(desk.shelf, other)
        now = desk.until(lambda now: len(now) == 2 and now["B"].state == "done")
        waits = now["A"]
        assert waits.state == "waiting"
        assert waits.problem is not None and waits.problem.kind == "server"
        assert waits.problem.retry_at > time.time()
        hub.heal()
        wishes.resume(desk.shelf, away.id)
        desk.until(lambda now: now["A"].state == "done")


def test_the_place_in_the_queue_decides(hub: HubServer, tmp_path: Path) -> None:
    orders = [put(hub, tmp_path, label) for label in ("A", "B", "C", "D")]
    shelf = Shelf(paths.downloads_dir())
    for order in orders:
        wishes.add(shelf, order)
    wishes.move(shelf, orders[3].id, 0)
    wishes.move(shelf, orders[0].id, 99)
    wishes.move(shelf, orders[1].id, 2)
    assert [one.order.label for one in downloads(shelf)] == ["D", "C", "B", "A"]
    with Desk(hub) as desk:
        desk.until(lambda now: len(now) == 4 and all(one.state == "done" for one in now.values()))
    first_asked = list(dict.fromkeys(request.path.split("/")[2] for request in hub.asked(BYTES)))
    assert first_asked == ["D-GGUF", "C-GGUF", "B-GGUF", "A-GGUF"]


def test_two_processes_fetch_it_once_and_the_second_takes_over(hub: HubServer, tmp_path: Path) -> None:
    order, later = put(hub, tmp_path, "A"), put(hub, tmp_path, "B")
    hub.instead(BYTES, faults.slow(1 << 18))
    second = Desk(hub)
    with contextlib.ExitStack() as stack:
        with Desk(hub) as first:
            wishes.add(first.shelf, order)
            first.until(lambda now: now and now["A"].state == "fetching")
            stack.enter_context(second)
            second.until(lambda now: now and now["A"].state == "fetching")
            wishes.add(second.shelf, later)
            first.until(lambda now: len(now) == 2)
            wishes.pause(second.shelf, order.id)
            first.until(lambda now: now["A"].state == "paused" and now["B"].state == "fetching")
        hub.heal()
        wishes.resume(second.shelf, order.id)
        second.until(lambda now: all(one.state == "done" for one in now.values()))
    assert is_right(order, repo_of(hub, order))
    assert is_right(later, repo_of(hub, later))
    assert hub.n_sent < 2.5 * SIZE


def test_a_limit_holds_at_once_and_at_the_next_start(hub: HubServer, tmp_path: Path) -> None:
    order = put(hub, tmp_path, "A")
    with Desk(hub) as desk:
        wishes.limit(desk.shelf, 50_000)
        wishes.add(desk.shelf, order)
        now = desk.until(lambda now: now and now["A"].bytes_per_s > 0)
        assert now["A"].state == "fetching" and now["A"].n_bytes < SIZE
        wishes.limit(desk.shelf, 0)
        desk.until(lambda now: now["A"].state == "done")
    wishes.limit(desk.shelf, 70_000)
    assert Shelf(paths.downloads_dir()).limit == 70_000


def test_what_is_done_and_ordered_again_is_looked_for(hub: HubServer, tmp_path: Path) -> None:
    order = put(hub, tmp_path, "A")
    with Desk(hub) as desk:
        wishes.add(desk.shelf, order)
        desk.until(lambda now: now and now["A"].state == "done")
        next(Path(order.folder).iterdir()).unlink()
        wishes.add(desk.shelf, order)
        desk.until(lambda now: now["A"].state != "done")
        desk.until(lambda now: now["A"].state == "done")
    assert is_right(order, repo_of(hub, order))


def test_a_fault_of_ours_costs_one_order(hub: HubServer, tmp_path: Path) -> None:
    bad, good = put(hub, tmp_path, "A"), put(hub, tmp_path, "B")
    bad = msgspec.structs.replace(bad, files=(msgspec.structs.replace(bad.files[0], path="../../a.gguf"),))
    with Desk(hub) as desk:
        wishes.add(desk.shelf, bad)
        wishes.add(desk.shelf, good)
        now = desk.until(lambda now: len(now) == 2 and now["B"].state == "done")
    assert now["A"].problem is not None and now["A"].problem.kind == "name"
    assert is_absent(bad)


def test_damaged_records_are_passed_over(hub: HubServer, tmp_path: Path) -> None:
    order = put(hub, tmp_path, "A")
    shelf = Shelf(paths.downloads_dir())
    wishes.add(shelf, order)
    for name in ("x.order.json", "y.order.json", "limit.json"):
        (shelf.folder / name).write_bytes(b"\x00{" if name[0] == "x" else b"[]")
    for path in shelf.folder.glob("*.order.json"):
        path.with_name(path.name.replace("order", "progress")).write_bytes(b'{"state":"unheard of"}')
    with Desk(hub) as desk:
        desk.until(lambda now: now and now["A"].state == "done")


def test_a_shelf_that_cannot_be_written_is_told(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_bytes(b"")
    with pytest.raises(FetchError) as caught:
        wishes.add(Shelf(folder), put(hub, tmp_path, "A"))
    assert caught.value.kind == "disk"


def test_what_failed_and_is_forgotten_leaves_no_part(hub: HubServer, tmp_path: Path) -> None:
    order = put(hub, tmp_path, "A")
    hub.instead(BYTES, faults.cut(SIZE // 2), times=1)
    hub.instead(BYTES, faults.refused(404))
    with Desk(hub) as desk:
        wishes.add(desk.shelf, order)
        desk.until(lambda now: now and now["A"].state == "failed")
        target = Path(order.folder) / order.files[0].path
        assert part_of(target).exists()
        wishes.forget(desk.shelf, order.id)
        desk.until(lambda now: not now)
    assert not Path(order.folder).exists()


def test_a_queue_with_nothing_to_do_ends(hub: HubServer, tmp_path: Path) -> None:
    order, paused = put(hub, tmp_path, "A"), put(hub, tmp_path, "B")
    shelf = Shelf(paths.downloads_dir())
    for each in (order, paused):
        wishes.add(shelf, each)
    wishes.pause(shelf, paused.id)
    queue = Queue(shelf, lambda _: None, fetch=functools.partial(fetch, locate=at(hub)), effort=EAGER, turn_s=0.01)
    queue.run(idle_s=0.1)
    assert [one.state for one in downloads(shelf)] == ["done", "paused"]
    assert is_right(order, repo_of(hub, order))
