"""Leaves a terminal unread for minutes while an answer is written, and ends the program in every way meanwhile.

    python tests/campaigns/unread_terminal.py                    # two minutes for each way to end, some twelve in all
    python tests/campaigns/unread_terminal.py --seconds 600

For each way (signals, a terminal that is closed, and reading again) it prints how many characters were saved while
nobody read, the longest time in which nothing was, how much memory the app took more, and how long the end took. The
exit code is 1 when nothing was saved for over `--gap` seconds, when the app grew by over 50 MB, when a process was left
two seconds after it was asked to end, when less was saved after it, or when the screen was not whole after reading
again. The home folder is a temporary one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.endless import endless
from tests.homes import own_home
from tests.on_pty import LLMTUI, OnPty, on_pty, saved

WAYS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "closed", "read again")
END_S = 2.0
MOST_GROWTH = 50 << 20


@dataclass
class Stall:
    """What happened while nobody read."""

    n_saved: int
    longest_gap_s: float
    growth_bytes: int


def stall(program: OnPty, seconds: float) -> Stall:
    """Do not read, and look at what is saved. An answer that is full is followed by the next one."""
    app = program.app()
    first, memory = len(saved()), app.memory_info().rss
    before, since, gap = first, time.monotonic(), 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.25)
        now = len(saved())
        if now > before:
            before, since = now, time.monotonic()
        gap = max(gap, time.monotonic() - since)
        if time.monotonic() - since > 3.0:
            program.type(b"On.\r")  # the context is full, or the model stopped: this begins anew
            time.sleep(1.0)
    return Stall(before - first, gap, app.memory_info().rss - memory)


def left(processes: list[psutil.Process]) -> int:
    """How many of them run."""
    n = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            n += process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return n


def end(program: OnPty, way: str) -> tuple[float, list[str]]:
    """End it, or read again: how long that took, and what was wrong."""
    before, processes, began = len(saved()), program.processes(), time.monotonic()
    if way == "read again":
        try:
            program.wait_for(lambda: all(part in program.text for part in ("ctx ", "╰", "CONTEXT")))
        except AssertionError as error:
            return time.monotonic() - began, [str(error)]
        return time.monotonic() - began, []
    if way == "closed":
        program.hang_up()
    else:
        os.kill(program.pid, getattr(signal, way))
    while left(processes) and time.monotonic() < began + 30:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(program.pid, os.WNOHANG)
        time.sleep(0.02)
    took = time.monotonic() - began
    wrong = [f"it took {took:.1f} s"] if took > END_S else []
    if len(saved()) < before:
        wrong.append(f"{before} characters were saved before, {len(saved())} after it")
    return took, wrong


def main() -> int:
    """Try each way and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long nobody reads")
    parser.add_argument("--gap", type=float, default=10.0, help="seconds in which something must be saved")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    options = parser.parse_args()
    is_wrong = False
    for way in options.ways:
        with own_home() as home:
            model = home / "endless.gguf"
            endless(model, layers=192)
            with on_pty(*LLMTUI, model, "-t", "1", "-c", "8192") as program:
                program.wait_for("ctx ")
                program.type(b"Go on.\r")
                program.wait_for("longest")
                found = stall(program, options.seconds)
                took, wrong = end(program, way)
        if found.longest_gap_s > options.gap:
            wrong.append(f"nothing was saved for {found.longest_gap_s:.1f} s")
        if found.growth_bytes > MOST_GROWTH:
            wrong.append(f"the app grew by {found.growth_bytes:,} bytes")
        print(
            f"{way:<11} {found.n_saved:>9,} characters saved, longest gap {found.longest_gap_s:4.1f} s, "
            f"{found.growth_bytes >> 10:>7,} KiB more, end after {took:4.2f} s   {'; '.join(wrong) or 'ok'}",
            flush=True,
        )
        is_wrong = is_wrong or bool(wrong)
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
