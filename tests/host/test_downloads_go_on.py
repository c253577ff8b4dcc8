"""Downloads that a screen has ordered go on in the background when it has gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.downloads.ordering import is_right, order_for, served
from tests.host.remote import front
from tests.hubserver.server import HubServer
from tests.running import llmtui
from tui.downloads.local import LocalDownloads
from tui.host import client

SIZE = 1_500_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


async def test_what_a_screen_has_ordered_is_fetched_to_its_end_without_it(hub: HubServer, tmp_path: Path) -> None:
    order = order_for(hub.add(served(SIZE)), tmp_path)
    async with front() as one:
        await one.load()
        downloads = LocalDownloads()
        await downloads.start()
        await downloads.limit(200_000)
        await downloads.add(order)
        await until(lambda: downloads.all and downloads.all[0].n_bytes > 0)
        status = await client.status()
        assert status is not None and status.downloads == ()
        await downloads.close()
        assert not is_right(order, hub.repos[order.repo.name])
    (host,) = json.loads(llmtui("ls", "--json").stdout)["hosts"]
    assert host["sessions"][0]["kind"] == "app"
    while not is_right(order, hub.repos[order.repo.name]):
        status = await client.status()
        assert status is not None
        if status.downloads:
            assert status.ends_in_s < 0 and status.downloads[0].size_bytes == SIZE
    async with front() as one:  # who comes back finds nothing left to do
        await one.load()
        status = await client.status()
        assert status is not None and status.downloads == ()
