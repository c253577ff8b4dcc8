"""Decode through the whole app against llama-bench, a fraction of a second each in turn: both programs run all the
time, and one of them is always stopped (SIGSTOP). A machine whose speed changes from second to second, as a virtual
one's, is the same for both then. But a process may be a few percent faster than another of the same program for as
long as it lives, probably by where its memory lies: so both are started anew several times, and what differs between
these starts is the error.

The kernel notes the times: a uprobe on the function of libllama that decodes, in both programs, 2 us a token. What
counts is the time from one token's decode to the next one's: computing, sampling and all that the app does meanwhile.
Needs root, tracefs, x86-64 and binutils.

    python tests/performance/decode_windows.py MODEL.gguf --threads 2 --minutes 12 --starts 8
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import os
import random
import re
import signal
import statistics
import subprocess
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app_decode import DEPTH
from llama_programs import CPU_ARGUMENTS, llama_bench_path
from terminal import CTRL_N, ENTER, Program, children, llmtui, wait_until_loaded

TRACING = Path("/sys/kernel/tracing")
GROUP = f"llmtui_{os.getpid()}"
BUFFER = TRACING / "instances" / GROUP
"""A trace buffer of our own."""
EVENT = re.compile(r"-(\d+) +\[\d+\] .*? (\d+\.\d+): (decode|process|clear): .*?(?:n=(\d+))?$", re.MULTILINE)
N_GEN = 256
SETTLE_S = 0.03
"""Of each window, while caches and the scheduler get used to the other program."""
FEWEST = 8
"""Tokens in a window that counts."""


@dataclass(frozen=True)
class Event:
    """A call that a probe saw. `n_tokens` of a batch, 0 where it is not known."""

    at: float
    thread: int
    what: str
    n_tokens: int


@dataclass
class Side:
    """One of the two programs: its process, and when it had its turns."""

    pid: int
    turns: list[tuple[float, float]] = field(default_factory=list)


def libllama(pid: int) -> Path:
    """The libllama that a process has mapped."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if re.search(r"/libllama\.so[.\d]*$", line):
            return Path(line.split(maxsplit=5)[5])
    raise SystemExit(f"process {pid} has no libllama")


def offset(library: Path, function: str) -> int:
    """Where a function lies in the file."""
    symbols = subprocess.run(["nm", "-D", str(library)], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"^([0-9a-f]+) T {function}$", symbols, re.MULTILINE)
    segments = subprocess.run(["readelf", "-lW", str(library)], capture_output=True, text=True, check=True).stdout
    if found is None:
        raise SystemExit(f"{library} has no {function}")
    address = int(found[1], 16)
    for line in segments.splitlines():
        if line.split()[:1] == ["LOAD"]:
            start, virtual, _, size = (int(part, 16) for part in line.split()[1:5])
            if virtual <= address < virtual + size:
                return address - virtual + start
    raise SystemExit(f"{function} lies in no segment of {library}")


def write(file: Path, text: str) -> None:
    """Write to one of the kernel's files, adding to what it holds. Python's own append mode seeks, which they do not
    know."""
    opened = os.open(file, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(opened, text.encode())
    finally:
        os.close(opened)


@contextlib.contextmanager
def probes(engine: Path, bench: Path) -> Iterator[None]:
    """Note the calls of both programs' libraries, which may be two copies, inside the `with` block."""
    places = {
        "decode": f"{engine}:{offset(engine, 'llama_decode'):#x} n=+8(%sp):u32",
        "process": f"{bench}:{offset(bench, 'llama_process'):#x}",
        "clear": f"{bench}:{offset(bench, 'llama_memory_clear'):#x}",
    }
    BUFFER.mkdir(exist_ok=True)
    try:
        for name, place in places.items():
            write(TRACING / "uprobe_events", f"p:{GROUP}/{name} {place}\n")
        write(BUFFER / "trace_clock", "mono")
        write(BUFFER / "buffer_size_kb", "16384")
        write(BUFFER / "events" / GROUP / "enable", "1")
        yield
    finally:
        with contextlib.suppress(OSError):
            write(BUFFER / "events" / GROUP / "enable", "0")
        BUFFER.rmdir()
        for name in places:
            with contextlib.suppress(OSError):
                write(TRACING / "uprobe_events", f"-:{GROUP}/{name}\n")


def events() -> list[Event]:
    """What was noted, in order."""
    found = EVENT.findall((BUFFER / "trace").read_text())
    noted = [Event(float(at), int(thread), what, int(n or 0)) for thread, at, what, n in found]
    return sorted(noted, key=lambda event: event.at)


def token_times(noted: list[Event], pid: int, began: float, ended: float) -> list[float]:
    """Seconds from each token's decode to the next one's within a turn of a process, but for those around a prompt.
    Both programs decode in their main threads; the probes see other processes with the same library too."""
    inside = noted[bisect_left(noted, began, key=lambda e: e.at) : bisect_left(noted, ended, key=lambda e: e.at)]
    inside = [event for event in inside if event.thread == pid]
    times: list[float] = []
    for before, this, after in zip(inside, inside[1:], inside[2:], strict=False):
        is_token = this.what == after.what and before.what == this.what
        if is_token and this.n_tokens <= 1 and after.n_tokens <= 1:
            times.append(after.at - this.at)
    return times


def take_turns(app: Program, sides: dict[str, Side], minutes: float, window_s: float) -> None:
    """Let the programs run in turn, the app with a new answer whenever one is complete."""
    chance, here, numbers = random.Random(1), None, itertools.count(1)
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        for name in chance.sample(list(sides), len(sides)):
            side = sides[name]
            os.kill(side.pid, signal.SIGCONT)
            if name == "app" and (here is None or app.has("tok/s · ttft", here)):
                app.send(CTRL_N)
                app.read(0.15)
                app.send(b"Tell me a very long story about dragon number %d." % next(numbers))
                app.read(0.1)
                here = app.send(ENTER)
                app.read(0.1)
            began = time.monotonic()
            app.read(window_s)
            side.turns.append((began, time.monotonic()))
            os.kill(side.pid, signal.SIGSTOP)


def compared(sides: dict[str, Side], noted: list[Event]) -> float:
    """Print ms/token of both; gives the mean logarithm of each turn's speed of the app over that of the turns of
    llama-bench around it."""
    means: dict[str, list[tuple[float, float]]] = {}
    for name, side in sides.items():
        turns = [(began, token_times(noted, side.pid, began + SETTLE_S, ended)) for began, ended in side.turns]
        means[name] = [(began, statistics.fmean(times)) for began, times in turns if len(times) >= FEWEST]
        middle = 1e3 * statistics.median(mean for _, mean in means[name])
        print(f"{name} {middle:.3f} ms/token ({len(means[name])} turns)", end="   ")
    theirs, logs = means["llama-bench"], []
    for began, mine in means["app"]:
        at = bisect_left(theirs, began, key=lambda turn: turn[0])
        near = [mean for when, mean in theirs[max(0, at - 1) : at + 1] if abs(when - began) < 4]
        if near:
            logs.append(math.log(statistics.fmean(near) / mine))
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    print(f"ratio {math.exp(statistics.fmean(logs)):.3f} ± {error:.3f}", flush=True)
    return statistics.fmean(logs)


def measure(model: Path, threads: int, minutes: float, window_s: float) -> float:
    """Start both programs and let them take turns; gives what `compared` does."""
    command = [str(llama_bench_path()), "-m", str(model), "-t", str(threads), *CPU_ARGUMENTS]
    command += ["-p", "0", "-n", str(N_GEN), "-d", str(DEPTH), "-r", "1000000", "-fa", "auto"]
    bench = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(2)
        os.kill(bench.pid, signal.SIGSTOP)
        with llmtui(model, "--threads", str(threads), max_tokens=N_GEN) as app:
            wait_until_loaded(app)
            (engine,) = children(app.pid)
            sides = {"llama-bench": Side(bench.pid), "app": Side(engine)}
            try:
                with probes(libllama(engine), libllama(bench.pid)):
                    os.kill(engine, signal.SIGSTOP)
                    take_turns(app, sides, minutes, window_s)
                    noted = events()
            finally:
                os.kill(engine, signal.SIGCONT)
    finally:
        bench.kill()
        bench.wait()
    return compared(sides, noted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=12.0, help="of all starts together (12)")
    parser.add_argument("--starts", type=int, default=8, help="how often both programs are started (8)")
    parser.add_argument("--window", type=float, default=0.5, help="seconds of a turn (0.5)")
    arguments = parser.parse_args()
    if not os.access(TRACING / "uprobe_events", os.W_OK):
        raise SystemExit(f"{TRACING} cannot be written: needs root and a mounted tracefs")
    each = arguments.minutes / arguments.starts
    logs = [
        measure(arguments.model, arguments.threads, each, arguments.window) for _ in range(max(2, arguments.starts))
    ]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    print(f"speed of the app: {math.exp(statistics.fmean(logs)):.1%} ± {error:.1%} of llama-bench's")


if __name__ == "__main__":
    main()
