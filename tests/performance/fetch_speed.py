"""How fast a file is fetched from this machine itself, beside `curl`; and what that costs a chat that runs meanwhile.

    python tests/performance/fetch_speed.py [--mib 2048] [--rounds 3] [--folder DIR] [--model MODEL.gguf [--threads N]]

Both write into DIR (a folder for temporary files by default) from a server in a process of its own that sends files
by `sendfile`. `curl` does not look at what it gets, so the sum of its file is timed too, by `sha256sum`. With MODEL,
tokens a second of an answer are told without and with a download beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tui.downloads.fetching import fetch
from tui.downloads.pace import Pace
from tui.downloads.records import Order, OrderedFile
from tui.downloads.transfer import Effort
from tui.engines.local import LocalEngine
from tui.hubs.records import Location, RepoId
from tui.protocol.messages import Generate
from tui.protocol.records import LoadSettings, Message, Sampling

SERVE = "--serve"


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    path_of_all: str

    def do_GET(self) -> None:
        with Path(self.path_of_all).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, end = (int(match[1]), min(int(match[2] or size - 1) + 1, size)) if match else (0, size)
            self.send_response(206 if match else 200)
            self.send_header("Content-Length", str(end - start))
            self.send_header("ETag", '"same"')
            if match:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while start < end:
                    start += os.sendfile(self.connection.fileno(), file.fileno(), start, end - start)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def serve(path: str) -> None:
    """For ever; the port is printed."""
    _Files.path_of_all = path
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


@contextlib.contextmanager
def server_of(path: Path) -> Iterator[str]:
    """The address of a file, served by a process."""
    with subprocess.Popen([sys.executable, __file__, SERVE, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/model.gguf"
        finally:
            process.kill()


def ordered(source: Path, sha256: str, folder: Path) -> Order:
    """The file as an order."""
    file = OrderedFile(path="model.gguf", size_bytes=source.stat().st_size, sha256=sha256)
    repo = RepoId(hub="huggingface", name="a/b")
    return Order(id="speed", repo=repo, label="Q8_0", files=(file,), folder=str(folder))


Cost = tuple[float, float]
"""Seconds that it took, and seconds of a processor."""


def _now() -> Cost:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used)


def _since(began: Cost) -> Cost:
    now = _now()
    return now[0] - began[0], now[1] - began[1]


def time_ours(url: str, order: Order, n_connections: int) -> Cost:
    """Of a fetch, sum and all."""
    began = _now()
    effort = Effort(n_connections=n_connections)
    fetch(order, lambda _: None, lambda: False, locate=lambda *_: Location(url=url), effort=effort)
    cost = _since(began)
    shutil.rmtree(order.folder)
    return cost


def time_curl(url: str, folder: Path) -> tuple[Cost, Cost]:
    """Of `curl`, and of it with the sum behind it."""
    folder.mkdir()
    target = folder / "model.gguf"
    began = _now()
    subprocess.run(["curl", "-s", "-S", "-o", str(target), url], check=True)
    fetched = _since(began)
    subprocess.run(["sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
    summed = _since(began)
    shutil.rmtree(folder)
    return fetched, summed


def measure(source: Path, rounds: int, folder: Path) -> None:
    """Print MiB a second of each way, and what a GiB takes of a processor, which other work disturbs less."""
    with source.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found: dict[str, list[Cost]] = {}
    with server_of(source) as url:
        for _ in range(rounds):
            for n in (1, 2, 4):
                took = time_ours(url, ordered(source, sha256, folder / "ours"), n)
                found.setdefault(f"llmtui, {n} connections, with sum", []).append(took)
            took = time_ours(url, ordered(source, "", folder / "ours"), 4)
            found.setdefault("llmtui, 4 connections, without sum", []).append(took)
            fetched, summed = time_curl(url, folder / "curl")
            found.setdefault("curl", []).append(fetched)
            found.setdefault("curl and sha256sum", []).append(summed)
    mib = source.stat().st_size / (1 << 20)
    for name, costs in found.items():
        speeds = [mib / took for took, _ in costs]
        cpu_s = statistics.median(used for _, used in costs) * 1024 / mib
        told = f"{statistics.median(speeds):8,.0f} MiB/s  ({min(speeds):,.0f} to {max(speeds):,.0f})"
        print(f"{name:36} {told:36} {cpu_s:5.2f} s of a processor for a GiB")


async def tokens_per_s(engine: LocalEngine, n_tokens: int) -> float:
    """Of one answer of so many tokens."""
    question = Message(role="user", content="Tell me a long story about a lighthouse.")
    began, n = time.perf_counter(), 0
    async for _ in engine.generate(
        Generate(messages=(question,), sampling=Sampling(temperature=0.0), max_tokens=n_tokens)
    ):
        n += 1
    return n_tokens / (time.perf_counter() - began)


async def measure_chat(model: Path, n_threads: int, source: Path, folder: Path) -> None:
    """Print the speed of an answer alone, beside a download of 20 MiB/s, and beside one at full speed."""
    worker = [sys.executable, "-c", _BESIDE]
    with server_of(source) as url:
        async with LocalEngine() as engine:
            await engine.load(str(model), LoadSettings(n_ctx=2048, n_threads=n_threads))
            await tokens_per_s(engine, 16)
            for name, limit in (("alone", -1), ("beside 20 MiB/s", 20 << 20), ("beside full speed", 0)):
                beside = None
                if limit >= 0:
                    beside = await asyncio.create_subprocess_exec(*worker, url, str(source), str(folder), str(limit))
                print(f"answer, {name:20} {await tokens_per_s(engine, 128):8.1f} tok/s", flush=True)
                if beside is not None:
                    with contextlib.suppress(ProcessLookupError):
                        beside.kill()
                    await beside.wait()
                    shutil.rmtree(folder / "beside", ignore_errors=True)


_BESIDE = f"""
import os, shutil, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import fetch_speed
fetch_speed.beside(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
"""


def beside(url: str, source: Path, folder: Path, limit: int) -> None:
    """Fetch again and again as the worker does, until killed."""
    os.nice(10)
    while True:
        order = ordered(source, "0" * 64, folder / "beside")
        with contextlib.suppress(Exception):
            fetch(order, lambda _: None, lambda: False, locate=lambda *_: Location(url=url), pace=Pace(limit))


def main() -> None:
    """Read the options and measure."""
    if sys.argv[1:2] == [SERVE]:
        return serve(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmtui-fetch-", dir=options.folder) as name:
        folder = Path(name)
        source = folder / "source"
        with source.open("wb") as file:
            piece = os.urandom(1 << 20)
            for _ in range(options.mib):
                file.write(piece)
        if options.model is not None:
            asyncio.run(measure_chat(options.model, options.threads, source, folder))
        else:
            measure(source, options.rounds, folder)
    return None


if __name__ == "__main__":
    main()
