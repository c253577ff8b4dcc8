"""The app on a disk that is filled and freed under it, and somebody in front of it who looks closely."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import sqlite3
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil

from tests import endless, small_disk
from tests.on_pty import LLMTUI, OnPty, on_pty
from tui.config import paths

LIMIT = 4 << 10
"""Bytes that a file may have while a limit stands for a quota."""
MOST_ECHO_S = 5.0
"""How long a typed word may take to be seen, on a machine that does something else too."""
OWN = "[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n"


class Wrong(Exception):
    """What is not as it should be."""


class Round:
    """A home on a small disk, an app on it, and what was said and done."""

    def __init__(self, disk: small_disk.SmallDisk, model: Path, rng: random.Random) -> None:
        self.disk, self.model, self.rng = disk, model, rng
        self.how = rng.choice(("space", "space", "names", "limit"))
        self.prompts: list[str] = []
        self.slowest_s = 0.0
        self.program: OnPty | None = None

    @property
    def it(self) -> OnPty:
        assert self.program is not None
        return self.program

    def without_names(self) -> None:
        """No other file is made in this round."""
        self.how = "space" if self.how == "names" else self.how

    # The disk ---------------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        if self.how == "limit":
            self._limit(LIMIT)
        else:
            self.disk.fill(self.how)  # type: ignore[arg-type]

    def free(self) -> None:
        if self.how == "limit":
            self._limit(resource.RLIM_INFINITY)
        else:
            self.disk.free()

    def _limit(self, n_bytes: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
            for process in self.it.processes() if self.program is not None else ():
                with contextlib.suppress(OSError):
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))

    # The person -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def app(self, *arguments: str) -> Iterator[None]:
        with on_pty(*LLMTUI, self.model, "-t", "1", "-c", "8192", *arguments) as program:
            self.program = program
            yield

    def press(self, keys: bytes) -> None:
        self.it.type(keys)

    def see(self, what: str | Callable[[], object]) -> None:
        try:
            self.it.wait_for(what)
        except AssertionError as error:
            raise Wrong(str(error)) from error

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.it.read(0.02)

    def type(self, text: str) -> None:
        """A word in the prompt, and how long it takes to be seen there."""
        began = time.monotonic()
        self.press(text.encode())
        self.see(text)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def ask(self) -> None:
        text = f"prompt {len(self.prompts)} of {self.rng.randrange(10**6)}"
        self.type(text)
        self.press(b"\r")
        self.prompts.append(text)
        self.see(self._is_answering)

    def _is_answering(self) -> bool:
        return "longest" in self._of_the_answer()

    def stop(self) -> None:
        self.press(b"\x1b")
        self.see(lambda: re.search(r"\d tok .*· CPU ·", self._of_the_answer()))

    def _of_the_answer(self) -> str:
        """What the screen shows of the newest one; its prompt may be out of sight."""
        return self.it.text.rpartition(self.prompts[-1])[2]

    def action(self, name: str) -> None:
        """By the palette."""
        self.press(b"\x10")
        self.see("Find an action")
        self.press(name.encode())
        self.see(lambda: any(name in row for row in self.it.text.splitlines()[3:]))
        self.wait(0.5)
        self.press(b"\r")

    def leave(self) -> int:
        self.press(b"\x11")
        began = time.monotonic()
        while self.it.read(0.2) or time.monotonic() < began + 20:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.it.pid, os.WNOHANG)
                if pid:
                    self.it._exit_code = os.waitstatus_to_exitcode(status)
            if self.it._exit_code is not None:
                while self.it.read(0.1):
                    pass
                return self.it._exit_code
        raise Wrong(f"it does not leave; the screen is\n{self.it.text}")

    def leave_well(self) -> None:
        if (code := self.leave()) != 0:
            raise Wrong(f"exit code {code}")
        end = self.it.raw.rpartition(b"\x1b[?1049l")[2].decode("utf-8", "replace")
        if "llmtui:" in end:
            raise Wrong(f"it was left with the words {end!r}")

    # What is left -----------------------------------------------------------------------------------------------------

    def check(self, *, prompts: bool = True) -> None:
        """The files are whole, and what was shown is in them."""
        if b"Traceback" in self.it.raw or "Something was broken off" in self.it.text:
            raise Wrong(f"a traceback: {self.it.raw[-3000:]!r}")
        if self.slowest_s > MOST_ECHO_S:
            raise Wrong(f"a word was seen after {self.slowest_s:.1f} s")
        state = paths.state_file()
        if state.exists():
            tomllib.loads(state.read_text())
        if paths.user_settings_file().read_text() != OWN:
            raise Wrong("the person's settings are others")
        left = [file for file in self.disk.path.rglob("*") if file.name.startswith((".state", ".export", ".library"))]
        left += [*self.disk.path.rglob("*.tmp"), *self.disk.path.rglob("*.bad")]
        if left:
            raise Wrong(f"left behind: {left}")
        with closing(sqlite3.connect(paths.database_file())) as database:
            if (found := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise Wrong(f"the database: {found}")
            rows = database.execute("SELECT role, text, stop, timings FROM turns ORDER BY position").fetchall()
        saved = [text for role, text, _, _ in rows if role == "user"]
        if prompts and saved != self.prompts:
            raise Wrong(f"saved are {saved}, sent were {self.prompts}")
        for role, text, stop, timings in rows:
            if role == "assistant" and (stop is None or not _is_whole(text, timings)):
                raise Wrong(f"not all of an answer ({stop}, {timings}): {text[:80]!r} … {text[-80:]!r}")


def _is_whole(text: str, timings: str | None) -> bool:
    """Whether it is what the endless model writes, and as long as the tokens that were counted."""
    if timings is None:  # it was killed
        return "".join(endless._WORDS * 1000).startswith(text.rstrip())
    words, n = endless._WORDS, json.loads(timings)["n_decode"]
    return text.rstrip() in {
        "".join(words[at % len(words)] for at in range(n_tokens)).rstrip() for n_tokens in (n - 1, n, n + 1)
    }


def full_and_free(at: Round, *, is_told: str = "database failed") -> None:
    """While it is full that is said, and when there is room again, that all is saved."""
    at.see(lambda: is_told in at.it.text.replace("\n", " "))
    if at.how != "limit" and not any(word in at.it.text for word in ("space", "disk", "full")):
        raise Wrong(f"nobody knows what to do:\n{at.it.text}")
    at.wait(at.rng.uniform(0.0, 2.0))
    at.type("half a sentence")
    at.free()
    at.see("saved again")
    at.press(b"\x15" * 3 + b"\x7f" * 20)
