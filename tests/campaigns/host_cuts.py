"""Cuts off who asks and who looks on, at random moments of a seeded answer of the llmtui in the background.

    python tests/campaigns/host_cuts.py [--count 100] [--seed 0]

Each time one asks, others ask and are killed while they wait, some attach, on this machine and over a line with a
delay that stalls and breaks (`tests/host/lossy_ssh.py`), and all are ended by SIGKILL, SIGHUP or a reader that leaves.
Nothing may be answered that was asked by who was killed while waiting. Then what `attach` shows, and what is saved,
must be byte for byte that of an answer that nobody disturbed. In the end nothing is left of the host: no process, no
socket, no file. Prints how often each was done and the longest times; the exit code is 1 when something was wrong. The
home folder is a temporary one. About ten seconds a cut on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.counting import counting
from tests.homes import own_home, processes_of
from tests.running import COMMAND, llmtui
from tests.tally import Tally

LOSSY = Path(__file__).parents[1] / "host" / "lossy_ssh.py"
WAYS = ("SIGKILL", "SIGHUP", "leaves")
TOKENS = 150
ATTACH_S, STOP_S = 1.0, 2.0
"""From attaching to the first words of an answer that is there, and from `stop` to the end of the last process."""


def asked(model: Path, *more: str) -> subprocess.Popen[bytes]:
    """One who asks for the same answer as all others."""
    load = ("-m", str(model), "-t", "1", "--temp", "0", "--seed", "7", "--max-tokens", str(TOKENS))
    command = [*COMMAND, "ask", "count", *load, *more]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def cut(process: subprocess.Popen[bytes], way: str) -> None:
    """End one who reads."""
    assert process.stdout
    if way == "leaves":
        process.stdout.close()
    else:
        process.send_signal(signal.Signals[way])
    process.wait()
    process.stdout.close()


def one(tally: Tally, model: Path, chance: random.Random, whole: str, number: int) -> None:
    """One answer, and all that happens to it."""
    way = chance.choice(("SIGKILL", "SIGKILL", "lost"))
    asker = asked(model, "--keep")
    assert asker.stdout
    asker.stdout.read(1)
    time.sleep(chance.random() * 0.5)
    asker.kill() if way == "SIGKILL" else os.kill(asker.pid, signal.SIGSTOP)
    tally.count("asks", way)
    for _ in range(chance.randrange(2)):
        waiting = asked(model, "--keep", "never")
        time.sleep(chance.random() * 0.5)
        waiting.kill()
        waiting.communicate()
        tally.count("waits", "SIGKILL")
    for _ in range(chance.randrange(3)):
        where = chance.choice(((), ("--host", "box")))
        looker = subprocess.Popen([*COMMAND, "attach", *where], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert looker.stdout
        looker.stdout.read(1)
        time.sleep(chance.random() * 0.3)
        way = chance.choice(WAYS)
        cut(looker, way)
        tally.count("looks on from there" if where else "looks on", way)
    began = time.monotonic()
    with subprocess.Popen([*COMMAND, "attach"], stdout=subprocess.PIPE) as last:
        assert last.stdout
        first = last.stdout.read(1)
        tally.took("the first words after attaching", time.monotonic() - began, 10 * ATTACH_S, f"cut {number}")
        seen = (first + last.stdout.read()).decode()
    if asker.poll() is None:  # it was not gone, only as if: the host must not have waited for it
        asker.kill()
    asker.communicate()
    if seen != whole:
        tally.complain(f"cut {number}", f"{len(seen)} characters are shown, not {len(whole)}")


def main() -> int:
    """Run the campaign; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance, tally = random.Random(arguments.seed), Tally()
    with own_home() as home:
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        model = home / "counting.gguf"
        counting(model)
        own = home / ".config" / "llmtui" / "settings.toml"
        own.parent.mkdir(parents=True, exist_ok=True)
        there = home / "there"
        there.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
        there.chmod(0o755)
        own.write_text(f'[session]\nfar_llmtui = "{there}"\nssh = "{sys.executable} {LOSSY}"\n')
        os.environ |= {"LOSSY_DELAY_S": "0.2", "LOSSY_STALLS": "0.01", "LOSSY_BREAKS_AFTER": "6000"}
        whole = asked(model, "--no-save").communicate()[0].decode()
        for number in range(arguments.count):
            one(tally, model, chance, whole, number)
        told = json.loads(llmtui("ls", "--json").stdout)["hosts"][0]["sessions"]
        if answered := [one["title"] for one in told if "never" in one["title"]]:
            tally.complain("stop", f"{len(answered)} questions were answered that nobody waited for")
        began = time.monotonic()
        llmtui("stop")
        while left := [process for process in processes_of(home) if process.pid != os.getpid()]:
            if time.monotonic() - began > 10 * STOP_S:
                tally.complain("stop", f"{len(left)} processes are left")
                break
            time.sleep(0.05)
        tally.took("until nothing is left after stop", time.monotonic() - began, 10 * STOP_S, "stop")
        if files := list((runtime / "llmtui").iterdir()):
            tally.complain("stop", f"left: {files}")
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
