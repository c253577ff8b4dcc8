"""What the line about a download costs the app: CPU of the UI process while nothing is fetched and while something
is, in a terminal of 120x40. The hub is on 127.0.0.1, in this process, and slow.

    python tests/performance/download_line.py MODEL.gguf [--seconds 60] [--mib-per-s 4]

The process that fetches is a child of the app and is told apart. The target is 1% of a core more than without.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from terminal import Program, children, cpu_s, llmtui, processor, wait_until_loaded

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.downloads.ordering import BYTES, FILE, NAME, order_for
from tests.hubserver.faults import slow
from tests.hubserver.repos import ServedRepo
from tests.hubserver.server import HubServer
from tui.downloads import wishes
from tui.downloads.shelf import Shelf

MIB = 1 << 20


def measure(app: Program, name: str, seconds: float) -> float:
    """Per cent of a core that the UI process takes in that time; printed."""
    fetching = [pid for pid in children(app.pid) if b"tui.downloads" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    processes = [app.pid, *fetching]
    before, n_before, began = [cpu_s(pid) for pid in processes], len(app.painted), time.monotonic()
    app.read(seconds)
    lasted = time.monotonic() - began
    ui, *others = (100 * (cpu_s(pid) - was) / lasted for pid, was in zip(processes, before, strict=True))
    n_bytes = (len(app.painted) - n_before) / lasted
    fetches = f", {others[0]:.2f}% in the process that fetches" if others else ""
    print(f"{name:<12} {ui:6.2f}% of a core in the UI process, {n_bytes:.0f} bytes/s to the terminal{fetches}")
    return ui


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--mib-per-s", type=float, default=4.0, help="of each connection (4)")
    arguments = parser.parse_args()
    print(processor())
    with llmtui(arguments.model, "--threads", "1") as app:
        wait_until_loaded(app)
        app.read(3.0)
        without = measure(app, "nothing", arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        measure_beside(arguments, Path(folder) / FILE, without)


def measure_beside(arguments: argparse.Namespace, file: Path, without: float) -> None:
    """While that file is fetched; it is made of zeros, and takes no room here."""
    with file.open("wb") as stream:  # long enough for eight connections, so that they do not end meanwhile
        stream.truncate(round((arguments.seconds + 30) * arguments.mib_per_s * MIB * 8))
    repo = ServedRepo(NAME, {FILE: file})
    with HubServer(repo) as hub:
        hub.instead(BYTES, slow(arguments.mib_per_s * MIB))

        def order(home: Path) -> None:
            wishes.add(Shelf(home / "state" / "llmtui" / "downloads"), order_for(repo, home / "models", with_sum=False))

        endpoints = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "no_proxy": "127.0.0.1"}
        with llmtui(arguments.model, "--threads", "1", environment=endpoints, prepare=order) as app:
            wait_until_loaded(app)
            app.wait_for("MiB/s")
            app.read(3.0)
            beside = measure(app, "fetching", arguments.seconds)
    print(f"The line about a download takes {beside - without:.2f}% of a core (target: 1%)")


if __name__ == "__main__":
    main()
