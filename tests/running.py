"""How the tests run the `llmtui` command: in a process of its own, with pipes or with a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.patience import PATIENCE_S

COMMAND = (sys.executable, "-m", "tui")


def llmtui(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without a terminal."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, **environment},
    )


@dataclass
class Running:
    """A command in progress whose `terminal` streams are one pseudo-terminal."""

    process: subprocess.Popen[bytes]
    terminal: int
    seen: str = ""

    def read_until(self, text: str, within_s: float = PATIENCE_S) -> None:
        """Read the terminal until `text` was on it."""
        deadline = time.monotonic() + within_s
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come, but {self.seen!r}"
            self.seen += self._read()

    def engine(self) -> psutil.Process:
        """The engine process that the command started."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit code, and what the command wrote to a piped stdout."""
        reading = self.process.stdout
        out = reading.read().decode() if reading else ""
        # Linux says EIO once the other side is closed.
        with contextlib.suppress(OSError):
            while more := self._read():
                self.seen += more
        return self.process.wait(timeout=PATIENCE_S), out

    def _read(self) -> str:
        return os.read(self.terminal, 65536).decode("utf-8", "replace")


def plain(seen: str) -> str:
    """What a terminal was sent, without its colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", seen)


@contextlib.contextmanager
def locked_by_another(file: Path) -> Iterator[None]:
    """Another process holds the lock on this file."""
    program = (
        "import fcntl, sys; held = open(sys.argv[1]); fcntl.flock(held, fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == b"\n"
            yield
        finally:
            process.communicate(b"\n")


@contextlib.contextmanager
def on_terminal(*arguments: str | Path, piped_stdout: bool = False) -> Iterator[Running]:
    """Start the command on a pseudo-terminal; with `piped_stdout` that is only for stdin and stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=theirs,
        stdout=subprocess.PIPE if piped_stdout else theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Running(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
