"""The whole program in a real terminal (tmux): what someone over SSH types and sees, from the first start to the end of
the connection. The model is SmolLM2, a real one; `make test` fetches it and passes its path in LLMTUI_SMOLLM2."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import DENSE, MOE
from tests.patience import PATIENCE_S
from tui.chat.store import Store
from tui.config import paths

SMOLLM2 = Path(os.environ.get("LLMTUI_SMOLLM2", ""))

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.timeout(240),
]


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._folder, self._n = folder, 0
        self.size = (columns, rows)

    @property
    def _tmux(self) -> list[str]:
        # A server of its own for each start: the one before may not be gone yet.
        return ["tmux", "-S", str(self._folder / f"tmux{self._n}.sock"), "-f", "/dev/null"]

    def run(self, *arguments: str) -> None:
        """Start llmtui in a new window, as a shell would."""
        self._n += 1
        columns, rows = map(str, self.size)
        command = f"{sys.executable} -m tui {' '.join(arguments)}; echo EXIT $?; exec cat"
        subprocess.run([*self._tmux, "new-session", "-d", "-s", "s", "-x", columns, "-y", rows, command], check=True)

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        subprocess.run([*self._tmux, "send-keys", "-t", "s", *keys], check=True)

    def type(self, text: str) -> None:
        """Type text as it is."""
        subprocess.run([*self._tmux, "send-keys", "-t", "s", "-l", text], check=True)

    @property
    def screen(self) -> str:
        """What is seen."""
        done = subprocess.run(
            [*self._tmux, "capture-pane", "-p", "-t", "s"], capture_output=True, text=True, check=True
        )
        return done.stdout

    def wait_for(self, what: str | Callable[[str], bool], within_s: float = PATIENCE_S) -> str:
        """Look at the screen until it shows `what`."""
        is_there = what if callable(what) else lambda screen: what in screen
        deadline = time.monotonic() + within_s
        while not is_there(screen := self.screen):
            assert time.monotonic() < deadline, f"waited in vain for {what!r}; the screen is\n{screen}"
            time.sleep(0.1)
        return screen

    @property
    def pids(self) -> set[int]:
        """llmtui and its engine."""
        done = subprocess.run(
            [*self._tmux, "list-panes", "-F", "#{pane_pid}"], capture_output=True, text=True, check=True
        )
        found = psutil.Process(int(done.stdout)).children(recursive=True)
        return {process.pid for process in found if "tui" in " ".join(process.cmdline())}

    def close(self) -> None:
        """Close the terminal, as a connection that breaks does."""
        subprocess.run([*self._tmux, "kill-server"], check=False)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, 120, 40)
    yield terminal
    terminal.close()


@pytest.mark.skipif(not SMOLLM2.is_file(), reason="LLMTUI_SMOLLM2 names no file: run `make test`")
def test_a_person_chats_with_smollm2_switches_the_model_quits_and_finds_everything_again(
    terminal: Terminal, home: Path
) -> None:
    models = home / ".local" / "share" / "llmtui" / "models"
    models.mkdir(parents=True)
    shutil.copy(MOE, models)
    settings = home / ".config" / "llmtui" / "settings.toml"
    settings.parent.mkdir(parents=True)
    # A model as small as this may find no end, and one answer must leave the other on the screen.
    settings.write_text("[chat]\nmax_tokens = 16\n")
    terminal.run(str(SMOLLM2), "--threads", "1", "--ctx", "1024")
    terminal.wait_for("ctx 1,024")
    terminal.type("Name three colours.")
    terminal.keys("Enter")
    # What it says differs from one processor to the next, and so does how the answer ends.
    terminal.wait_for(lambda screen: "tok · " in screen and "ttft" in screen)
    # The sidebar is painted past Textual's compositor, which no test without a terminal sees.
    terminal.wait_for(lambda screen: re.search(r"│ answer +\d+ tokens?  .*\d s", screen) is not None)
    terminal.wait_for(lambda screen: re.search(r"│ turns \d+ +free \d+", screen) is not None)

    terminal.keys("C-o")
    terminal.wait_for("Tiny Qwen3")
    terminal.type("tiny")
    terminal.wait_for(lambda screen: "▶    Tiny Qwen3" in screen)
    terminal.keys("Enter")
    terminal.wait_for(lambda screen: "8 experts, 2 used" in screen.splitlines()[0])
    terminal.type("你好")
    terminal.keys("Enter")
    terminal.wait_for("我是小小千问")

    terminal.keys("C-q")
    terminal.wait_for("EXIT 0")
    terminal.close()
    terminal.run("--continue")
    texts = "8 experts, 2 used", "Name three colours.", "我是小小千问", "tok · "
    terminal.wait_for(lambda screen: all(text in screen for text in texts))


def test_without_a_word_it_starts_on_the_only_model_there_is(terminal: Terminal, home: Path) -> None:
    models = home / ".local" / "share" / "llmtui" / "models"
    models.mkdir(parents=True)
    shutil.copy(DENSE, models)
    terminal.run()
    terminal.wait_for("ctx 4,096")


def test_without_any_model_it_says_where_to_put_one(terminal: Terminal) -> None:
    terminal.run()
    terminal.wait_for("No models were found")


def test_a_broken_connection_leaves_no_process_and_the_conversation(terminal: Terminal) -> None:
    terminal.run(str(DENSE), "--threads", "1")
    terminal.wait_for("ctx 4,096")
    terminal.type("My name is Ada.")
    terminal.keys("Enter")
    terminal.wait_for("complete")
    pids = terminal.pids
    assert len(pids) == 3  # the app, the engine, and what renders its templates
    terminal.close()
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.05)
    terminal.run("--continue")
    terminal.wait_for("My name is Ada.")


def test_a_terminal_that_vanishes_ends_everything_and_saves_the_answer_so_far(tmp_path: Path) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "tui", str(DENSE), "--threads", "1"])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    seen, deadline = b"", time.monotonic() + 60
    while b"4,096" not in seen:
        assert time.monotonic() < deadline
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 1 << 16)
    os.write(master, b"Count to 100\r")
    engine = next(child.pid for child in psutil.Process(pid).children())
    while b"99," not in seen:  # "99" alone may be what the CPU is used to, in percent
        assert time.monotonic() < deadline
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 1 << 16)
    os.close(master)
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < deadline, "llmtui goes on without a terminal"
        time.sleep(0.05)
    assert os.waitstatus_to_exitcode(ended[1]) == 128 + signal.SIGHUP
    assert not psutil.pid_exists(engine)
    assert "99, 100" in asyncio.run(last_text())


def test_a_signal_ends_it_without_a_question_and_what_could_not_be_saved_is_told(terminal: Terminal) -> None:
    paths.database_file().mkdir(parents=True)  # in the way
    terminal.run(str(DENSE), "--threads", "1")
    terminal.wait_for("ctx 4,096")
    terminal.type("ping")
    terminal.keys("Enter")
    terminal.wait_for("Not saved")
    terminal.wait_for("complete")
    for pid in terminal.pids:
        if "worker" not in psutil.Process(pid).cmdline()[-1]:
            os.kill(pid, signal.SIGTERM)
    assert "changes of conversations could not be saved: " in terminal.wait_for("EXIT 0")


async def last_text() -> str:
    """The last turn of the newest saved conversation."""
    store = Store(paths.database_file())
    await store.start()
    try:
        newest, *_ = await store.list()
        return (await store.open(newest.id)).turns[-1].text
    finally:
        await store.close()


def test_ctrl_c_never_kills_and_says_how_to_leave(terminal: Terminal) -> None:
    terminal.run(str(DENSE), "--threads", "1")
    terminal.wait_for("ctx 4,096")
    terminal.keys("C-c")
    terminal.wait_for("quits")
    assert "ctx 4,096" in terminal.screen


@pytest.mark.parametrize(("columns", "rows"), [(40, 12), (80, 24), (200, 60)])
def test_every_size_shows_answer_and_prompt(tmp_path: Path, columns: int, rows: int) -> None:
    terminal = Terminal(tmp_path, columns, rows)
    try:
        terminal.run(str(DENSE), "--threads", "1")
        terminal.wait_for(lambda screen: "CPU" in screen.splitlines()[0])
        terminal.type("ping")
        terminal.keys("Enter")
        terminal.wait_for("pong")
    finally:
        terminal.close()


def test_a_path_that_does_not_exist_is_explained_before_the_app_starts(terminal: Terminal) -> None:
    terminal.run("/nowhere/model.gguf")
    assert "there is no such file" in terminal.wait_for("EXIT 3")
