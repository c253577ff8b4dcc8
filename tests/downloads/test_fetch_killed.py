"""A process that is killed at any moment while it fetches: the next one goes on, and fetches little twice."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from tests.downloads.ordering import BYTES, get, is_absent, is_right, order_for, served
from tests.hubserver import faults
from tests.hubserver.server import HubServer
from tests.patience import PATIENCE_S
from tests.places import CHECKOUT

SIZE = 12 << 20
KILLS = 8


def test_killed_again_and_again_it_comes_to_the_right_file(tmp_path: Path) -> None:
    rng = random.Random(15)
    repo = served(SIZE)
    with HubServer(repo) as hub:
        order = order_for(repo, tmp_path)
        (tmp_path / "order.json").write_bytes(msgspec.json.encode(order))
        hub.instead(BYTES, faults.slow(8 << 20))  # so that little lies in the buffers of the line
        command = [sys.executable, "-m", "tests.downloads.fetch_process", hub.url, str(tmp_path / "order.json")]
        for _ in range(KILLS):
            is_due = threading.Event()
            sent = hub.n_sent + rng.randrange(SIZE // (2 * KILLS))
            with subprocess.Popen(command, cwd=CHECKOUT) as process:
                while hub.n_sent <= sent and process.poll() is None:
                    is_due.wait(0.001)
                process.kill()
                assert process.wait(PATIENCE_S) < 0
            assert is_absent(order)
        hub.heal()
        assert get(hub, order)
        assert is_right(order, repo)
        in_buffers = 1 << 20  # of the system, on a busy machine: sent, and never read
        assert hub.n_sent - SIZE <= KILLS * (SIZE // 100 + in_buffers)
