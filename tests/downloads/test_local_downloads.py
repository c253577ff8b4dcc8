"""The downloads as the app has them: wishes, news, and the process behind them, which is started, ends and dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.conftest import until
from tests.downloads.ordering import BYTES, is_right, order_for, served
from tests.hubserver import faults
from tests.hubserver.server import HubServer
from tui.config import paths
from tui.downloads.failures import FetchError
from tui.downloads.interface import Downloads
from tui.downloads.local import LocalDownloads
from tui.downloads.records import Download, Order
from tui.downloads.words import problem_words

SIZE = 1_000_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


@pytest.fixture
def order(hub: HubServer, tmp_path: Path) -> Order:
    return order_for(hub.add(served(SIZE)), tmp_path)


def state(downloads: Downloads) -> str:
    return downloads.all[0].state if downloads.all else ""


async def test_nothing_is_started_before_something_is_ordered_and_it_ends_with_the_app(
    hub: HubServer, order: Order
) -> None:
    downloads = LocalDownloads()
    await downloads.start()
    assert (downloads.pid, downloads.all) == (None, ())
    told: list[tuple[Download, ...]] = []
    deaf: list[object] = []
    downloads.listen(told.append)
    downloads.listen(deaf.append)()
    await downloads.add(order)
    await until(lambda: state(downloads) == "done")
    assert is_right(order, hub.repos[order.repo.name])
    assert (told[-1], deaf) == (downloads.all, [])
    pid = downloads.pid
    assert pid is not None and psutil.Process(pid).nice() > psutil.Process().nice()
    await downloads.close()
    assert not psutil.pid_exists(pid)


async def test_the_next_start_takes_up_what_is_unfinished(hub: HubServer, order: Order) -> None:
    hub.instead(BYTES, faults.slow(1 << 19))
    first: Downloads = LocalDownloads()
    await first.add(order)
    await until(lambda: first.all and first.all[0].n_bytes > SIZE // 4)
    await first.close()
    sent = hub.n_sent
    hub.heal()
    second = LocalDownloads()
    await second.start()
    await until(lambda: state(second) == "done")
    await second.close()
    assert is_right(order, hub.repos[order.repo.name])
    assert hub.n_sent - sent < SIZE
    third = LocalDownloads()
    await third.start()
    assert (state(third), third.pid) == ("done", None)
    await third.close()


async def test_a_process_that_is_killed_is_said_and_started_again(hub: HubServer, order: Order) -> None:
    hub.instead(BYTES, faults.slow(1 << 19))
    downloads = LocalDownloads()
    await downloads.add(order)
    await until(lambda: downloads.all and downloads.all[0].n_bytes > SIZE // 4)
    told: list[tuple[Download, ...]] = []
    downloads.listen(told.append)
    assert downloads.pid is not None
    os.kill(downloads.pid, signal.SIGKILL)
    await until(lambda: any(one.problem and one.problem.kind == "process" for all in told for one in all))
    hub.heal()
    await until(lambda: state(downloads) == "done")
    await downloads.close()
    assert is_right(order, hub.repos[order.repo.name])


async def test_one_that_dies_again_and_again_is_left_until_somebody_asks(hub: HubServer, order: Order) -> None:
    broken = paths.downloads_dir().parent / "broken"
    (broken / "psutil").mkdir(parents=True)
    (broken / "psutil" / "__init__.py").write_text("raise SystemExit('no psutil here')")
    env = {"PYTHONPATH": os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])}
    downloads = LocalDownloads(env=env)
    await downloads.add(order)
    await until(lambda: state(downloads) == "failed")
    problem = downloads.all[0].problem
    assert problem is not None and (problem.kind, problem.detail) == ("process", "no psutil here")
    (broken / "psutil" / "__init__.py").unlink()
    (broken / "psutil").rmdir()
    await downloads.resume(order.id)
    await until(lambda: state(downloads) == "done")
    await downloads.close()


async def test_pause_resume_move_limit_cancel_and_forget(hub: HubServer, order: Order, tmp_path: Path) -> None:
    other = order_for(hub.add(served(SIZE, name="someone/Other-GGUF")), tmp_path, label="Q8_0")
    downloads = LocalDownloads()
    await downloads.limit(100_000)
    await downloads.add(order)
    await downloads.add(other)
    await until(lambda: state(downloads) == "fetching")
    await downloads.pause(order.id)
    await until(lambda: [one.state for one in downloads.all] == ["paused", "fetching"])
    await downloads.move(order.id, 1)
    await until(lambda: [one.order.label for one in downloads.all] == ["Q8_0", "Q4_K_M"])
    await downloads.cancel(other.id)
    await until(lambda: len(downloads.all) == 1 and not Path(other.folder).exists())
    await downloads.limit(0)
    await downloads.resume(order.id)
    await until(lambda: state(downloads) == "done")
    await downloads.forget(order.id)
    await until(lambda: not downloads.all)
    await downloads.close()
    assert is_right(order, hub.repos[order.repo.name])


async def test_a_second_window_sees_and_steers_what_the_first_fetches(hub: HubServer, order: Order) -> None:
    hub.instead(BYTES, faults.slow(1 << 19))
    first, second = LocalDownloads(), LocalDownloads()
    await first.start()
    await second.start()
    await first.add(order)
    await until(lambda: state(first) == "fetching")
    await until(lambda: state(second) == "fetching")
    await second.pause(order.id)
    await until(lambda: state(first) == state(second) == "paused")
    await first.close()
    hub.heal()
    await second.resume(order.id)
    await until(lambda: state(second) == "done")
    await second.close()
    assert is_right(order, hub.repos[order.repo.name])


async def test_modelscope_is_fetched_from_too(hub: HubServer, order: Order) -> None:
    repo = msgspec.structs.replace(order.repo, hub="modelscope")
    downloads = LocalDownloads()
    await downloads.add(msgspec.structs.replace(order, repo=repo))
    await until(lambda: state(downloads) in ("done", "failed"))
    await downloads.close()
    assert is_right(order, hub.repos[order.repo.name])
    assert hub.asked("FilePath=") != []


async def test_offline_mode_is_heeded_and_said(hub: HubServer, order: Order) -> None:
    downloads = LocalDownloads(env={"HF_HUB_OFFLINE": "1"})
    await downloads.add(order)
    await until(lambda: state(downloads) == "failed")
    await downloads.close()
    problem = downloads.all[0].problem
    assert problem is not None
    assert problem.kind == "offline"
    assert "HF_HUB_OFFLINE" in problem_words(problem, "huggingface")
    assert hub.seen == []


async def test_a_disk_that_refuses_the_order_is_told_to_whoever_orders(order: Order) -> None:
    paths.downloads_dir().parent.mkdir(parents=True)
    paths.downloads_dir().write_bytes(b"a file where the folder should be")
    downloads = LocalDownloads()
    await downloads.start()
    with pytest.raises(FetchError) as caught:
        await downloads.add(order)
    await downloads.close()
    assert (caught.value.kind, downloads.all) == ("disk", ())
