"""Kills the whole app on a real pseudo-terminal at random moments of everything that it does, and starts it again.

    python tests/campaigns/app_kills.py [--count 100] [--seed 0] [--moments NAME ...]

Most kills are by SIGKILL, some by signals that can be heard, some close the terminal. After each one: all processes are
gone within two seconds, the database is whole, every prompt that was shown as sent is in it, and of the answer all that
was shown a second before; where the app could hear it, the exit code is right and the terminal is as it was. Then
`--continue` has to start, to show the conversation, and to leave nothing behind of what was killed. Prints a row for
each moment and the longest times; the exit code is 1 when something was wrong. The home folder is a temporary one.
Two to four seconds a kill on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import resource
import signal
import sqlite3
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.counting import SCRIPT, counted, counting
from tests.homes import leftovers, own_home, processes_of
from tests.on_pty import LLMTUI, OnPty, on_pty, saved_answer
from tests.tally import Tally
from tui.config import paths

WAYS = {"SIGKILL": 12, "SIGTERM": 2, "SIGHUP": 2, "SIGINT": 2, "closed": 2}
CODES = {"SIGKILL": -9, "SIGTERM": 0, "SIGHUP": 129, "SIGINT": 130, "closed": 129}
MOMENTS = ("start", "load", "typing", "sending", "answer", "switch", "save", "rename", "delete", "new", "quit")
SETTINGS = "[ui]\nconfirm_quit = false\n[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n"
GONE_S, UNSAVED_S, START_S = 2.0, 1.0, 20.0
"""The longest that may pass: until no process is left; from what is shown to what is saved; until a model is loaded."""
DRAFT = "A draft that was not sent"
CLEAR = b"\x05\x15"
"""Empties a line of the input: what was not sent is brought back by the next start."""
CTRL_N, CTRL_P, CTRL_Q, CTRL_S, ESC = b"\x0e", b"\x10", b"\x11", b"\x13", b"\x1b"


class Session:
    """One start of the app, until its end."""

    def __init__(self, program: OnPty, chance: random.Random, number: int) -> None:
        self.program, self.chance, self.number = program, chance, number
        self.prompt = ""
        """What was sent last."""
        self.is_seen = False
        """It was on the screen, above the input."""
        self.is_deleted = False
        self.counts: list[tuple[float, int]] = []
        """When how many words of its answer were on the screen."""
        self.moments: dict[str, Callable[[], float]] = {
            "start": self.start,
            "load": self.load,
            "typing": self.typing,
            "sending": self.sending,
            "answer": self.answer,
            "switch": self.switch,
            "save": self.save,
            "rename": self.rename,
            "delete": self.delete,
            "new": self.new,
            "quit": self.quit,
        }
        """Each leads to a moment: the kill is to come within so many seconds from then on."""

    # Moments ----------------------------------------------------------------------------------------------------------

    def start(self) -> float:
        return 1.5

    def load(self) -> float:
        self.program.wait_for("╭")
        return 1.5

    def typing(self) -> float:
        self.ready()
        self.program.type(CLEAR + DRAFT.encode())
        self.program.wait_for(DRAFT)
        return 0.3

    def sending(self) -> float:
        self.ready()
        self.send()
        return 0.5

    def answer(self) -> float:
        self.ready()
        if counted(self.program.text) > 500 or self.chance.random() < 0.6:  # else the context is full in the end
            self.program.type(CTRL_N)
        self.send()
        self.program.wait_for(lambda: self.n_shown() > 0)
        return 6.0

    def switch(self) -> float:
        self.answer()
        self.action("Larger context")
        return 1.5

    def save(self) -> float:
        self.stopped()
        self.program.type(CTRL_S)
        self.program.wait_for("Export as")
        self.program.type(b"\r")
        return 0.2

    def rename(self) -> float:
        self.stopped()
        self.action("Rename")
        self.program.wait_for("Rename")
        self.program.type(f" name {self.number}\r".encode())
        return 0.2

    def delete(self) -> float:
        self.stopped()
        self.is_deleted = True
        self.action("Delete this")
        self.program.wait_for("deletes all its messages")
        self.program.type(b"y" if self.chance.random() < 0.5 else b"\t\r")
        return 0.2

    def new(self) -> float:
        self.stopped()
        self.program.type(CTRL_N)
        return 0.3

    def quit(self) -> float:
        self.stopped()
        self.program.type(CTRL_Q)
        return 0.5

    # What leads there -------------------------------------------------------------------------------------------------

    def ready(self) -> None:
        self.program.wait_for("ctx ")

    def send(self) -> None:
        self.prompt = f"Prompt {self.number} {self.chance.randrange(10**6)}."
        self.program.type(CLEAR + f"{self.prompt}\r".encode())

    def stopped(self) -> None:
        """An answer that was stopped after some words."""
        self.answer()
        self.watch(lambda: self.n_shown() > 20, 30.0)
        self.program.type(ESC)
        self.program.wait_for("tok/s · ttft")

    def action(self, words: str) -> None:
        """Choose it in the palette."""
        self.program.type(CTRL_P)
        self.program.wait_for("Find an action")
        self.program.type(words.encode())
        self.program.wait_for(lambda: self.program.text.count(words) > 1)
        self.program.type(b"\r")

    def n_shown(self) -> int:
        """Words of the answer to the last prompt that are on the screen."""
        self.is_seen = self.is_seen or self.is_shown_as_sent()
        if not self.is_seen or "Find an action" in self.program.text:  # the palette may cover the prompt
            return 0
        return counted(self.program.text.rpartition(self.prompt)[2])

    def is_shown_as_sent(self) -> bool:
        """Whether the last prompt stands above the input."""
        return bool(self.prompt) and self.prompt in self.program.text.partition("╭")[0]

    def watch(self, until: Callable[[], bool], within_s: float) -> None:
        """Read, and note how the answer grows."""
        end = time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0 and not until():
            self.program.read(min(left, 0.05))
            self.counts.append((time.monotonic(), self.n_shown()))

    def shown_until(self, moment: float) -> int:
        return max((n for at, n in self.counts if at <= moment), default=0)


class Kills:
    """One kill after the other, in one home folder."""

    def __init__(self, tally: Tally, home: Path, model: Path, chance: random.Random) -> None:
        self.tally, self.home, self.model, self.chance = tally, home, model, chance
        self.expected = ""
        """The prompt that `--continue` has to show."""
        self.has_draft = False
        """Something was typed and not sent, and the app could hear that it was to end."""
        self.number = 0

    def one(self, moment: str, way: str) -> None:
        """Start the app, kill it, and look at what is left."""
        self.number += 1
        where = f"{moment}, {way} (number {self.number})"
        began = time.monotonic()
        with on_pty(*LLMTUI, self.model, "-t", "1", "-c", "8192", "--continue") as program:
            session = Session(program, self.chance, self.number)
            if moment not in ("start", "load"):
                self.continues(program, where, began)
            within_s = session.moments[moment]()
            session.watch(lambda: False, self.chance.uniform(0.0, within_s))
            is_sent = session.is_shown_as_sent()
            shown = session.shown_until(time.monotonic() - UNSAVED_S)
            is_app = b"\x1b[?1049h" in program.raw
            code = self.kill(program, way, where)
            self.tally.count(moment, way if code is not None else "came too late")
            if code is not None and is_app and way != "SIGKILL":
                self.is_orderly(program, way, code, where)
        self.nothing_runs(where)
        self.is_whole(where)
        if not session.is_deleted:
            self.is_saved(session, shown, is_sent=is_sent, where=where)
        if moment in ("delete", "new"):
            self.expected = ""
        elif session.prompt and saved_answer(session.prompt) is not None:
            self.expected = session.prompt
        self.has_draft = moment == "typing" and way != "SIGKILL"

    def continues(self, program: OnPty, where: str, began: float) -> None:
        program.wait_for("ctx ")
        self.tally.took("a start", time.monotonic() - began, START_S, where)
        if self.expected:
            try:
                program.wait_for(lambda: self.expected in program.text or counted(program.text) > 0)
            except AssertionError:
                self.tally.complain(where, f"--continue does not show {self.expected!r}:\n{program.text}")
        if self.has_draft and DRAFT not in program.text:
            self.tally.complain(where, f"what was not sent is gone:\n{program.text}")
        if left := [file for file in leftovers(self.home) if time.time() - file.stat().st_mtime > 1.0]:
            self.tally.complain(where, f"left over: {left}")
        writers = [*paths.database_file().parent.glob("*-writer-*")]
        if len(writers) > 1:
            self.tally.complain(where, f"marks of dead writers are left: {writers}")

    def kill(self, program: OnPty, way: str, where: str) -> int | None:
        """Kill it; the exit code, None when it had ended before."""
        if os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return None
        began = time.monotonic()
        if way == "closed":
            program.hang_up()
        else:
            os.kill(program.pid, getattr(signal, way))
        code = program.wait_for_end()
        while processes_of(self.home) and time.monotonic() < began + 15:
            time.sleep(0.02)
        self.tally.took(f"the end by {way}", time.monotonic() - began, GONE_S, where)
        return code

    def is_orderly(self, program: OnPty, way: str, code: int, where: str) -> None:
        if code not in (CODES[way], 0 if where.startswith("quit") else CODES[way]):
            self.tally.complain(where, f"exit code {code}")
        if way != "closed":
            while program.read(0.1):
                pass
            if termios.tcgetattr(program.theirs) != program.modes or b"\x1b[?1049l" not in program.raw[-300:]:
                self.tally.complain(where, f"the terminal is not as it was: {program.raw[-300:]!r}")
            if b"Traceback" in program.raw:
                self.tally.complain(where, program.raw[program.raw.index(b"Traceback") :].decode("utf-8", "replace"))

    def nothing_runs(self, where: str) -> None:
        if left := processes_of(self.home):
            self.tally.complain(where, f"left over: {left}")
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def is_whole(self, where: str) -> None:
        if paths.database_file().exists():
            with contextlib.closing(sqlite3.connect(paths.database_file(), timeout=10)) as database:
                found = database.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                self.tally.complain(where, f"the database is damaged: {found}")
        for file in paths.exports_dir().glob("*.md"):
            if not re.search(r"^# ", file.read_text(), re.M):
                self.tally.complain(where, f"half an export: {file}")
            file.unlink()

    def is_saved(self, session: Session, shown: int, *, is_sent: bool, where: str) -> None:
        text = saved_answer(session.prompt) if session.prompt else None
        if text is None and is_sent:
            self.tally.complain(where, f"{session.prompt!r} is not saved:\n{session.program.text}")
        elif text is not None and (counted(text) < shown or not SCRIPT.startswith(text)):
            self.tally.complain(where, f"{shown} words were shown a second before, {counted(text)} are saved: {text!r}")


def main() -> int:
    """Kill so often, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", nargs="+", default=[])
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tally, chance = Tally(), random.Random(options.seed)
    with own_home() as home:
        model = home / "counting.gguf"
        counting(model)
        paths.user_settings_file().parent.mkdir(parents=True)
        paths.user_settings_file().write_text(
            "[ui]\nconfirm_quit = false\n[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n"
        )
        kills = Kills(tally, home, model, chance)
        names = [
            "start",
            "load",
            "typing",
            "sending",
            "answer",
            "answer",
            "switch",
            "save",
            "rename",
            "delete",
            "new",
            "quit",
        ]
        moments = [
            (options.moments or names)[number % len(options.moments or names)] for number in range(options.count)
        ]
        chance.shuffle(moments)
        for moment in moments:
            way = chance.choices([*WAYS], [*WAYS.values()])[0]
            try:
                kills.one(moment, way)
            except AssertionError as error:
                tally.complain(f"{moment}, {way}", str(error))
                for process in processes_of(home):
                    process.kill()
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
