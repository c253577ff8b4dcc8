"""Programs in a pseudo-terminal of 120x40, for measuring them from outside: what they paint and when it arrived, keys,
and the CPU time that they took. The terminal answers as a modern one (synchronized output)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyte

ROWS, COLUMNS = 40, 120
ENTER, ESCAPE, CTRL_N, CTRL_U = b"\r", b"\x1b[27u", b"\x0e", b"\x15"
F3, FOCUS_LOST = b"\x1bOR", b"\x1b[O"
LEGACY_ESCAPE = b"\x1b"
"""What a terminal without the Kitty keyboard protocol sends: a program must wait whether more of a sequence comes."""
FOOTER = re.compile(r"([\d,]+) tok · ([\d.,]+) tok/s · .*?(complete|token limit reached|context full|stopped)")


class EndedError(RuntimeError):
    """The program ended, or was too slow, before it showed what was waited for; the message holds its screen."""


def spawn(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, int]:
    """Start a command in a terminal of its own: its process id and the terminal's file descriptor."""
    pid, terminal = pty.fork()
    if pid == 0:
        # The size must be there before the program asks for it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execvpe(command[0], [*command], {**os.environ, **colours, **environment})
    return pid, terminal


def answer_queries(terminal: int, data: bytes) -> None:
    """Answer what a program asked for in `data`: yes, the terminal has synchronized output."""
    if b"\x1b[?2026$p" in data:
        os.write(terminal, b"\x1b[?2026;2$y")


def cpu_s(pid: int) -> float:
    """CPU seconds that all threads of a process have had, from the scheduler's own clock (nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Program:
    """A running command and everything that it has painted so far."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.started_at = time.monotonic()
        self.pid, self.terminal = spawn(command, environment)
        self.painted = bytearray()
        self.arrivals: list[tuple[float, int]] = []
        """When something came, and the length of `painted` after it."""
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._n_shown = 0

    def read(self, seconds: float) -> None:
        """Take in what comes within that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read_once(left)

    def _read_once(self, seconds: float) -> None:
        if not select.select([self.terminal], [], [], seconds)[0]:
            return
        try:
            data = os.read(self.terminal, 1 << 16)
        except OSError as error:  # Linux says EIO once the other side is closed
            raise EndedError("the program ended; its screen was\n" + self.screen) from error
        answer_queries(self.terminal, data)
        self.painted += data
        self.arrivals.append((time.monotonic(), len(self.painted)))

    def send(self, keys: bytes) -> int:
        """Write keys; gives the length of `painted` at that moment, to look behind it."""
        here = len(self.painted)
        view = memoryview(keys)
        while view:
            # A long paste does not fit into the terminal's buffer at once.
            if select.select([self.terminal], [self.terminal], [], 5.0)[1]:
                view = view[os.write(self.terminal, view[:1024]) :]
            else:
                self._read_once(0.01)
        return here

    def wait_for(self, text: str, since: int = 0, limit_s: float = 120.0) -> float:
        """Read until `text` is painted behind `since`; the time (monotonic) at which it arrived."""
        needle, end = text.encode(), time.monotonic() + limit_s
        while (at := self.painted.find(needle, since)) < 0:
            since = max(since, len(self.painted) - len(needle))
            if time.monotonic() > end:
                raise EndedError(f"{text!r} did not come; the screen is\n{self.screen}")
            self._read_once(0.5)
        return next(when for when, length in self.arrivals if length >= at + len(needle))

    def has(self, text: str, since: int = 0) -> bool:
        """Whether `text` was painted behind `since`, as one piece."""
        return self.painted.find(text.encode(), since) >= 0

    def echo_s(self, key: str, limit_s: float = 10.0) -> float:
        """Seconds from typing a key to its letter on the screen. The letter must be one that nothing else paints."""
        here = len(self.painted)
        typed_at = time.monotonic()
        os.write(self.terminal, key.encode())
        return self.wait_for(key, here, limit_s) - typed_at

    @property
    def screen(self) -> str:
        """What is on the screen now. Not for timed phases: the emulator takes more CPU than what it shows."""
        self._stream.feed(bytes(self.painted[self._n_shown :]))
        self._n_shown = len(self.painted)
        return "\n".join(line.rstrip() for line in self._screen.display)

    def close(self) -> None:
        """End it as a closed connection does, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        with contextlib.suppress(EndedError):
            self.read(10.0)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@contextlib.contextmanager
def llmtui(
    model: Path,
    *arguments: str,
    max_tokens: int = 0,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[Path], object] = lambda home: None,
) -> Iterator[Program]:
    """The real app with a model on the CPU and a home folder of its own, which `prepare` may put something into:
    XDG_STATE_HOME is its folder "state", and so on."""
    with tempfile.TemporaryDirectory() as home:
        settings = Path(home) / "settings.toml"
        settings.write_text(f"[sampling]\nmax_tokens = {max_tokens}\n")
        places = {f"XDG_{name}_HOME": f"{home}/{name.lower()}" for name in ("CONFIG", "DATA", "STATE", "CACHE")}
        prepare(Path(home))
        command = [sys.executable, "-m", "tui", str(model), "--settings", str(settings), "--backend", "cpu"]
        program = Program([*command, *arguments], {"HOME": home, **places, **(environment or {})})
        try:
            yield program
        finally:
            program.close()


def wait_until_loaded(program: Program) -> None:
    """Read until the header shows the loaded model."""
    program.wait_for("ctx ")
    program.read(0.5)


def last_footer(program: Program) -> tuple[int, float, str]:
    """Tokens, tok/s and stop reason of the newest answer, as its footer shows them."""
    found = FOOTER.findall(program.screen)
    if not found:
        raise EndedError(f"no footer of an answer on the screen\n{program.screen}")
    n_tokens, speed, stop = found[-1]
    return int(n_tokens.replace(",", "")), float(speed.replace(",", "")), stop


def machine_cpu_s() -> float:
    """CPU seconds that all processes have had since the machine started, stolen time included."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, first[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def reaped_cpu_s() -> float:
    """CPU seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def busy_cores(seconds: float = 1.0) -> float:
    """Cores that the whole machine keeps busy over the next seconds."""
    before = machine_cpu_s()
    time.sleep(seconds)
    return (machine_cpu_s() - before) / seconds


def wait_until_quiet(limit_s: float = 60.0) -> float:
    """Wait until others leave the cores alone for a second, or the time is over; the cores that they last kept busy."""
    end = time.monotonic() + limit_s
    while (busy := busy_cores()) > 0.08 and time.monotonic() < end:
        pass
    return busy


def processor() -> str:
    """The processor's name and its number of cores here."""
    done = subprocess.run(["lscpu"], capture_output=True, text=True, check=False)
    found = re.search(r"Model name:\s*(.+)", done.stdout)
    return f"{found[1] if found else 'unknown processor'}, {os.cpu_count()} cores"
