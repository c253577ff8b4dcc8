"""One kill of the engine under the app as people have it, on a pseudo-terminal; and the signals that engines are killed
with."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil

from tests.counting import SCRIPT, counted
from tests.homes import leftovers, processes_of
from tests.on_pty import LLMTUI, OnPty, on_pty, saved_answer
from tests.tally import Tally

KEY_S, DEATH_S, GONE_S, READY_S = 2.0, 3.0, 2.0, 30.0
"""The longest that may pass, on a machine that does other things too: until a key has acted, the death is told, nothing
is left over, and it computes again."""


SIGNALS = {"SIGKILL": 10, "SIGSEGV": 2, "SIGABRT": 2, "SIGTERM": 2, "SIGBUS": 2, "SIGSTOP, SIGKILL": 2}


def kill(pid: int, how: str) -> None:
    """Send one signal, or several."""
    for name in how.split(", "):
        os.kill(pid, getattr(signal, name))


def one_on_pty(tally: Tally, home: Path, model: Path, chance: random.Random) -> None:
    """A kill under the app as people have it."""
    how = chance.choices([*SIGNALS], [*SIGNALS.values()])[0]
    with on_pty(*LLMTUI, model, "-t", "1", "-c", "2048") as program:
        program.wait_for("ctx ")
        prompt = f"On a terminal {chance.random()}."
        program.type(f"{prompt}\r".encode())
        program.wait_for(lambda: counted(program.text) > chance.randrange(1, 60))
        shown = counted(program.text)
        kill(engine_of(program).pid, how)
        tally.count("on a terminal", how)
        program.wait_for("The engine stopped")
        end = time.monotonic() + GONE_S
        while counted(text := saved_answer(prompt) or "") < shown and time.monotonic() < end:
            time.sleep(0.02)
        if counted(text) < shown or not SCRIPT.startswith(text):
            tally.complain("on a terminal", f"{shown} words were shown, saved is {text!r}")
        program.type(b"\x1b[1;5Ar")
        program.wait_for(lambda: "ctx " in program.text and "The engine stopped" not in program.text)
        program.type(b"And on.\r")
        program.wait_for(lambda: "And on." in program.text and counted(program.text.rpartition("And on.")[2]) >= 10)
        program.type(b"\x1b")
        program.wait_for("tok/s · ttft")
        program.type(b"\x11")
        if code := program.wait_for_end():
            tally.complain("on a terminal", f"exit code {code}")
    if left := [*processes_of(home), *leftovers(home)]:
        tally.complain("on a terminal", f"left over: {left}")


def engine_of(program: OnPty) -> psutil.Process:
    """The engine, which has a process for templates, and not the planner."""
    return next(one for one in program.processes() if "tui.engine.worker" in one.cmdline() and one.children())
