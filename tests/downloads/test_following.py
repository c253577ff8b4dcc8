"""One order of the queue, for whoever waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downloads.ordering import BYTES, EAGER, is_absent, is_right, order_for, served
from tests.hubserver import faults
from tests.hubserver.server import HubServer
from tests.running import locked_by_another
from tui.base import private
from tui.config import paths
from tui.downloads import wishes
from tui.downloads.following import follow
from tui.downloads.records import Download, Order
from tui.downloads.shelf import Shelf, downloads

SIZE = 400_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


def ordered(hub: HubServer, folder: Path, *names: str) -> list[Order]:
    return [order_for(hub.add(served(SIZE, name=f"someone/{name}-GGUF")), folder, label=name) for name in names]


def test_only_the_one_that_is_waited_for_is_fetched_and_it_stays_in_the_list(hub: HubServer, tmp_path: Path) -> None:
    first, second = ordered(hub, tmp_path, "first", "second")
    shelf = Shelf(paths.downloads_dir())
    wishes.add(shelf, first)
    told: list[Download] = []
    end = follow(shelf, second, told.append, lambda: False, effort=EAGER)
    assert end and end.state == "done" and told[-1] == end
    assert is_right(second, hub.repos[second.repo.name]) and is_absent(first)
    assert [(one.order.label, one.state) for one in downloads(shelf)] == [("first", "waiting"), ("second", "done")]


def test_what_is_cancelled_elsewhere_ends_and_leaves_nothing(hub: HubServer, tmp_path: Path) -> None:
    (order,) = ordered(hub, tmp_path, "only")
    dam = faults.Dam(SIZE // 2)
    hub.instead(BYTES, dam)
    shelf = Shelf(paths.downloads_dir())

    def cancel(download: Download) -> None:
        if download.n_bytes:
            wishes.cancel(shelf, download.order.id)
            dam.broken()

    assert follow(shelf, order, cancel, lambda: False, effort=EAGER) is None
    assert downloads(shelf) == () and is_absent(order) and not list(tmp_path.rglob("*.gguf*"))


def test_a_hub_that_is_gone_is_told_at_once_and_not_tried_for_hours(hub: HubServer, tmp_path: Path) -> None:
    (order,) = ordered(hub, tmp_path, "only")
    hub.instead(BYTES, faults.refused(503))
    shelf = Shelf(paths.downloads_dir())
    end = follow(shelf, order, lambda _: None, lambda: False, effort=EAGER)
    assert end and end.problem and end.problem.kind in ("server", "busy")
    assert [one.state for one in downloads(shelf)] == ["paused"]


def test_while_another_process_has_the_queue_it_waits_for_its_turn_and_leaves_the_wish_of_others(
    hub: HubServer, tmp_path: Path
) -> None:
    (order,) = ordered(hub, tmp_path, "only")
    shelf = Shelf(paths.downloads_dir())
    wishes.add(shelf, order)
    lock = shelf.folder / "queue.lock"
    private.write_file(lock, b"")
    waits, told = threading.Event(), list[Download]()

    def hear(download: Download) -> None:
        told.append(download)
        waits.set()

    with locked_by_another(lock):
        end = follow(shelf, order, hear, waits.is_set, effort=EAGER)
    assert end and end.state == "waiting" and not hub.asked(BYTES)
    assert [one.state for one in downloads(shelf)] == ["waiting"]
    end = follow(shelf, order, hear, lambda: False, effort=EAGER)
    assert end and end.state == "done" and is_right(order, hub.repos[order.repo.name])
