"""Sends every signal that a person or a system may send, in every state, to the app and to what has no screen.

    python tests/campaigns/signals.py [--seed 0] [--rounds 1] [--only app|stops|commands]

The app, on a real pseudo-terminal: what ends it has to do so within two seconds, with the right exit code, the terminal
as it was, and what was shown saved; after everything else a key has to act. Signals that stop it come from a shell with
job control, where `fg` has to bring it back. `--bench`, `--tune`, `--devices`, `--history`, `--locate`, `--help`: the
end comes within two seconds, with a right exit code and no traceback, and what was measured is printed and kept. Prints
a row for each state and command; the exit code is 1 when something was wrong. The home folder is a temporary one. A
round takes eight minutes on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import DENSE
from tests.counting import counted, counting
from tests.homes import leftovers, own_home, processes_of
from tests.on_pty import COLUMNS, LLMTUI, ROWS, OnPty, on_pty, saved_answer
from tests.running import on_terminal
from tests.tally import Tally
from tui.config import paths
from tui.measure.history import History

END_S = 2.0
ENDS = {"SIGTERM": 0} | {
    name: 128 + getattr(signal, name)
    for name in (
        *("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGPWR"),
        "SIGIO",
    )
    if hasattr(signal, name)
}
"""What ends a program by default, and exit codes of the app."""
EARLY_ENDS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGALRM")
GOES_ON = ("SIGPIPE", "SIGWINCH", "SIGCHLD", "SIGURG", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU")
STOPS = ("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGSTOP")
COMMAND_ENDS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIGPIPE")
N_STORM = 100


class Signals:
    """All of it, in one home folder."""

    def __init__(self, tally: Tally, home: Path, model: Path, chance: random.Random) -> None:
        self.tally, self.home, self.model, self.chance = tally, home, model, chance
        self.prompt = ""
        self.number = 0
        self.states: dict[str, Callable[[OnPty], None]] = {
            "imports": lambda program: time.sleep(self.chance.uniform(0.0, 0.8)),
            "starting": self.starting,
            "loading": lambda program: program.wait_for("loading"),
            "idle": lambda program: program.wait_for("ctx "),
            "answering": self.answering,
            "dialog": self.dialog,
            "bench": self.bench,
        }

    # States of the app ------------------------------------------------------------------------------------------------

    def starting(self, program: OnPty) -> None:
        program.wait_for(lambda: b"\x1b[?1049h" in program.raw)
        time.sleep(self.chance.uniform(0.0, 1.0))

    def answering(self, program: OnPty) -> None:
        program.wait_for("ctx ")
        self.number += 1
        self.prompt = f"Prompt {self.number}."
        program.type(f"{self.prompt}\r".encode())
        n = self.chance.randrange(1, 100)
        program.wait_for(lambda: counted(program.text.rpartition(self.prompt)[2]) > n)

    def dialog(self, program: OnPty) -> None:
        program.wait_for("ctx ")
        key, words = self.chance.choice([(b"\x1bOP", "Help"), (b"\x0c", "Load settings"), (b"\x12", "Conversations")])
        program.type(key)
        program.wait_for(words)

    def bench(self, program: OnPty) -> None:
        program.wait_for("ctx ")
        program.type(b"\x10")
        program.wait_for("Find an action")
        program.type(b"Measure models")
        program.wait_for(lambda: program.text.count("Measure models") > 1)
        program.type(b"\r")
        program.wait_for("Run (enter)")
        program.type(b"\r")
        program.wait_for("run 1")

    # The app ----------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def app(self, state: str, name: str) -> Iterator[OnPty]:
        """The app in this state; then nothing of it may be left."""
        self.prompt = ""
        where = f"{state}, {name}"
        self.tally.count(state, name)
        try:
            with on_pty(*LLMTUI, self.model, "-t", "1", "-c", "4096") as program:
                self.states[state](program)
                yield program
        except AssertionError as error:
            self.tally.complain(where, str(error))
        time.sleep(0.1)
        if left := processes_of(self.home):
            self.tally.complain(where, f"left over: {left}")
            for process in left:
                process.kill()

    def ends(self, state: str, name: str) -> None:
        """It ends, and well."""
        with self.app(state, name) as program:
            where = f"{state}, {name}"
            shown = counted(program.text.rpartition(self.prompt)[2]) if self.prompt else 0
            began = time.monotonic()
            os.kill(program.pid, getattr(signal, name))
            code = program.wait_for_end()
            while processes_of(self.home) and time.monotonic() < began + 15:
                time.sleep(0.02)
            self.tally.took("the end of the app", time.monotonic() - began, END_S, where)
            while program.read(0.1):
                pass
            is_app = b"\x1b[?1049h" in program.raw
            allowed = {ENDS[name]} if is_app else {ENDS[name], -getattr(signal, name), 130}
            if code not in allowed:
                self.tally.complain(where, f"exit code {code}")
            if is_app and b"\x1b[?1049l" not in program.raw[-400:]:
                self.tally.complain(where, f"the terminal is left: {program.raw[-400:]!r}")
            if termios.tcgetattr(program.theirs) != program.modes:
                self.tally.complain(where, "the terminal's modes are not as they were")
            if b"Traceback" in program.raw:
                self.tally.complain(where, program.raw[program.raw.index(b"Traceback") :].decode("utf-8", "replace"))
            if self.prompt and counted(saved_answer(self.prompt) or "") < shown - 60:
                self.tally.complain(where, f"{shown} words were shown, saved is {saved_answer(self.prompt)!r}")

    def goes_on(self, state: str, name: str) -> None:
        """A key acts afterwards."""
        with self.app(state, name) as program:
            for number in range(N_STORM if name == "SIGWINCH" else 3):
                if name == "SIGWINCH":
                    program.resize(ROWS - number % 7, COLUMNS - number % 31)
                os.kill(program.pid, getattr(signal, name))
                program.read(0.005)
            program.resize(ROWS, COLUMNS)
            self.is_used(program, state)

    def is_used(self, program: OnPty, state: str) -> None:
        if state in ("dialog", "bench"):
            program.type(b"\x1b")
            program.wait_for(lambda: "esc Stop" in program.text or "esc Close" in program.text)
            time.sleep(0.2)
        if state == "bench":
            program.wait_for("Run (enter)")
            program.type(b"\x1b")
        program.wait_for("ctx ")
        program.type(b"still here")
        program.wait_for("still here")
        program.type(b"\x11")
        with contextlib.suppress(AssertionError):
            if state == "answering":
                program.wait_for(lambda: "Stop it and quit" in program.text or not alive(program))
                program.type(b"y")
        if code := program.wait_for_end():
            self.tally.complain(state, f"exit code {code} after all")

    def stops(self, state: str, name: str) -> None:
        """A shell lets it go on."""
        self.tally.count(f"{state}, shell", name)
        where = f"{state}, {name} in a shell"
        try:
            with on_pty("bash", "--norc", "--noprofile", "-i") as shell:
                shell.type(shlex.join([*LLMTUI, str(self.model), "-t", "1", "-c", "4096"]).encode() + b"\r")
                shell.wait_for(lambda: any(one.cmdline()[1:3] == ["-m", "tui"] for one in shell.processes()))
                app = shell.app()
                self.states[state](shell)
                os.kill(app.pid, getattr(signal, name))
                shell.wait_for("Stopped")
                shell.type(b"echo $((6 * 7))\r")
                shell.wait_for("42")
                shell.type(b"fg\r")
                shell.wait_for(lambda: "ctx " in shell.text or state in ("bench", "dialog"))
                time.sleep(0.5)
                if state == "dialog":
                    shell.type(b"\x1b")
                elif state == "bench":
                    shell.type(b"\x1b")
                    shell.wait_for("Run (enter)")
                    shell.type(b"\x1b")
                shell.wait_for("ctx ")
                shell.type(b"still here")
                shell.wait_for("still here")
                os.kill(app.pid, signal.SIGTERM)
                shell.wait_for(lambda: not app.is_running())
                shell.type(b"echo code $?\r")
                shell.wait_for("code 0")
        except AssertionError as error:
            self.tally.complain(where, str(error))
        time.sleep(0.2)
        if left := processes_of(self.home):
            self.tally.complain(where, f"left over: {left}")

    # Commands without a screen ----------------------------------------------------------------------------------------

    def commands(self) -> dict[str, tuple[tuple[str | Path, ...], float]]:
        """Their arguments, and about how long they take in seconds."""
        small = ("-t", "1", "--backend", "cpu", "-p", "64", "-n", "16", "-r", "100")
        return {
            "--bench": (("--bench", DENSE, *small), 4.0),
            "--bench --json": (("--bench", DENSE, *small, "--json"), 2.5),
            "--parallel": (("--parallel", "2", DENSE, "-t", "1", "--backend", "cpu", "-r", "50"), 4.0),
            "--tune": (("--tune", DENSE, "--backend", "cpu", "--seconds", "60"), 5.0),
            "--devices": (("--devices",), 0.7),
            "--history": (("--history",), 0.4),
            "--locate": (("--locate",), 0.2),
            "--help": (("--help",), 0.1),
        }

    def command(self, name: str, how: str) -> None:
        """It ends within two seconds, whatever it does, with what it has."""
        arguments, within_s = self.commands()[name]
        where = f"{name}, {how}"
        before = len(History(paths.bench_file()).list())
        with on_terminal(*arguments, piped_stdout=True) as running:
            os.set_blocking(running.terminal, False)
            time.sleep(self.chance.uniform(0.0, within_s))
            with contextlib.suppress(BlockingIOError, OSError):
                while more := os.read(running.terminal, 1 << 16):
                    running.seen += more.decode("utf-8", "replace")
            os.set_blocking(running.terminal, True)
            was_running = running.process.poll() is None
            has_measured = any(f"run {n}" in running.seen for n in (3, 4, 5))
            began = time.monotonic()
            if was_running:
                running.process.send_signal(getattr(signal, how))
            try:
                out, _ = running.process.communicate(timeout=1.5 if how == "SIGPIPE" else 10)
            except subprocess.TimeoutExpired:
                running.process.kill()
                out, _ = running.process.communicate()
                if how != "SIGPIPE":
                    self.tally.complain(where, "it does not end")
            took = time.monotonic() - began
            with contextlib.suppress(OSError):
                os.set_blocking(running.terminal, False)
                while more := os.read(running.terminal, 1 << 16):
                    running.seen += more.decode("utf-8", "replace")
            code, text = running.process.returncode, out.decode()
        self.tally.count(name, how if was_running else "came too late")
        if how == "SIGPIPE":  # Python ignores it: the program is to go on
            if code == -signal.SIGPIPE:
                self.tally.complain(where, "it ended")
        else:
            self.tally.took(f"the end of {name}", took, END_S, where)
            if was_running and code not in (130, 0, -getattr(signal, how)):
                self.tally.complain(where, f"exit code {code}: {running.seen[-300:]!r}")
        if "Traceback" in running.seen + text:
            self.tally.complain(where, (running.seen + text)[-3000:])
        if was_running and has_measured and how in ("SIGTERM", "SIGHUP", "SIGINT"):
            self.has_results(name, text, before, where, running.seen)
        deadline = time.monotonic() + END_S
        while (left := processes_of(self.home)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if left:
            self.tally.complain(where, f"left over: {left}")

    def has_results(self, name: str, text: str, before: int, where: str, seen: str) -> None:
        if name == "--bench --json":
            try:
                is_there = bool(json.loads(text))
            except ValueError:
                is_there = False
        else:
            is_there = bool(text.strip())
        if not is_there:
            self.tally.complain(where, f"what was measured is not printed: {text!r} {seen[-300:]!r}")
        if name in ("--bench", "--bench --json") and len(History(paths.bench_file()).list()) <= before:
            self.tally.complain(where, "what was measured is not kept")


def alive(program: OnPty) -> bool:
    """Whether it runs still."""
    return os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def main() -> int:
    """Send each signal in each state, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=("app", "stops", "commands"))
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["HISTFILE"] = os.devnull  # of the shell
    tally = Tally()
    with own_home() as home:
        model = home / "counting.gguf"
        counting(model)
        signals = Signals(tally, home, model, random.Random(options.seed))
        for _ in range(options.rounds):
            for state in signals.states if options.only in (None, "app") else ():
                for name in ENDS:
                    signals.ends(state, name)
                for name in GOES_ON:
                    signals.goes_on(state, name)
            for state in signals.states if options.only in (None, "stops") else ():
                for name in STOPS:
                    signals.stops(state, name)
            for name in signals.commands() if options.only in (None, "commands") else ():
                for how in COMMAND_ENDS:
                    signals.command(name, how)
        if left := leftovers(home):
            tally.complain("the end", f"left over: {left}")
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
