"""llmtui on a pseudo-terminal that somebody reads, or nobody: its screen, its processes, and what it saved."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pyte

from tui.config import paths

ROWS, COLUMNS = 40, 120
LLMTUI = (sys.executable, "-m", "tui")
WITHIN_S = 90.0


class OnPty:
    """A program in a session of its own. What it writes is read in `wait_for`, `read` and `clear` only."""

    def __init__(self, argv: Sequence[str | Path], screen: type[pyte.Screen] = pyte.Screen) -> None:
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.theirs = os.open(os.ttyname(theirs), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        """The program's side of the terminal, as another program on it has it."""
        self.modes = termios.tcgetattr(theirs)
        """How the terminal was at first."""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.login_tty(theirs)
                os.execvpe(argv[0], [*map(str, argv)], {**os.environ, "TERM": "xterm-256color"})
            finally:
                os._exit(127)
        os.close(theirs)
        self.raw = b""
        """All that was read."""
        self.screen = screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._exit_code: int | None = None

    # What it shows ----------------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(row.rstrip() for row in self.screen.display)

    def wait_for(self, what: str | Callable[[], object]) -> None:
        """Read until the screen shows a text, or until something is true."""
        is_there = what if callable(what) else lambda: what in self.text
        deadline = time.monotonic() + WITHIN_S
        while not is_there():
            assert time.monotonic() < deadline, f"waited in vain for {what!r}; the screen is\n{self.text}"
            self.read(0.05)

    def read(self, within_s: float = 0.0) -> bytes:
        """What is there to be read, or comes in this time."""
        if not select.select([self.fd], [], [], within_s)[0]:
            return b""
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # Linux says EIO once the other side is closed
            return b""
        self.raw += data
        self._stream.feed(_without_queries(data))
        return data

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.fd, keys)

    # A terminal that does not read ------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Let the terminal have so much that it has not read, that nothing can be written to it any more. What it is
        given does nothing when it is read."""
        patience = 20
        while patience:  # the kernel passes on a part of what is written, a little later
            try:
                while os.write(self.theirs, b"\0" * 1024):
                    patience = 20
            except BlockingIOError:
                patience -= 1
                time.sleep(0.01)

    def resize(self, rows: int, columns: int) -> None:
        """Another size, of which the system tells the program."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def clear(self) -> None:
        """Read what is there, and show an empty screen."""
        while self.read():
            pass
        self.screen.reset()

    # What it is and leaves --------------------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """It and what it started."""
        whole = psutil.Process(self.pid)
        return [whole, *whole.children(recursive=True)]

    def app(self) -> psutil.Process:
        """The app's own process, which a shell here may have started."""
        return next(one for one in self.processes() if one.cmdline()[1:3] == ["-m", "tui"])

    def wait_for_end(self) -> int:
        """Wait, without reading, until it has ended; its exit code."""
        deadline = time.monotonic() + WITHIN_S
        while self._exit_code is None:
            assert time.monotonic() < deadline, "it does not end"
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        return self._exit_code

    def close(self) -> None:
        """Close the window, and end what is left."""
        for fd in (self.fd, self.theirs):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.fd = self.theirs = -1
        if self._exit_code is None:
            left = []
            with contextlib.suppress(psutil.NoSuchProcess):
                left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            self.wait_for_end()

    def hang_up(self) -> None:
        """Close the window, as a connection that breaks does."""
        os.close(self.theirs)
        os.close(self.fd)


@contextlib.contextmanager
def on_pty(*argv: str | Path, screen: type[pyte.Screen] = pyte.Screen) -> Iterator[OnPty]:
    """Start a program; it is ended at the end."""
    program = OnPty(argv, screen)
    try:
        yield program
    finally:
        with contextlib.suppress(OSError) if program.fd < 0 else contextlib.nullcontext():
            program.close()


def saved() -> str:
    """All answers as they are saved, finished or not, the newest last."""
    if not paths.database_file().exists():
        return ""
    with closing(sqlite3.connect(paths.database_file(), timeout=10)) as database:
        rows: list[tuple[Any, ...]] = []
        with contextlib.suppress(sqlite3.OperationalError):  # its tables are being made
            rows = database.execute("SELECT text FROM turns WHERE role = 'assistant' ORDER BY position").fetchall()
            rows += database.execute("SELECT text FROM chunks ORDER BY rowid").fetchall()
    return "".join(text or "" for (text,) in rows)


def saved_answer(prompt: str) -> str | None:
    """What is saved of the answer to this prompt, finished or not; None when the prompt itself is not."""
    if not paths.database_file().exists():
        return None
    with closing(sqlite3.connect(paths.database_file(), timeout=10)) as database:
        asked = database.execute(
            "SELECT conversation_id, position FROM turns WHERE role = 'user' AND text = ?", (prompt,)
        ).fetchone()
        if asked is None:
            return None
        answer = database.execute(
            "SELECT id, text FROM turns WHERE conversation_id = ? AND position > ? AND role = 'assistant'", asked
        ).fetchone()
        if answer is None:
            return ""
        chunks = database.execute("SELECT text FROM chunks WHERE turn_id = ? ORDER BY position", answer[:1]).fetchall()
    return "".join((answer[1], *(text for (text,) in chunks)))


def until(condition: Callable[[], object]) -> None:
    """Wait for what is not on a screen."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _without_queries(data: bytes) -> bytes:
    """What pyte would print instead of obeying, taken out."""
    return re.sub(rb"\x1b\[[<=>][0-?]*[ -/]*[@-~]|\x1b\[\?[0-9;]*\$p", b"", data)
