"""A terminal that stops reading costs nothing, and one that is there gets back what it lent."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sqlite3
import termios
import time
from contextlib import closing
from pathlib import Path

import psutil
import pyte
import pytest

from tests.app.test_terminal_output import Parts, Whole
from tests.conftest import DENSE
from tests.endless import endless
from tests.on_pty import COLUMNS, LLMTUI, ROWS, OnPty, on_pty, saved, until
from tui.chat import conversation as chat
from tui.chat import export
from tui.config import paths

pytestmark = pytest.mark.timeout(240)

ENDING = {"SIGTERM": 0, "SIGHUP": 129, "SIGINT": 130, "SIGQUIT": 131}
MODES_OFF = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[?1003l", b"\x1b[<u", b"\x1b[?1004l", b"\x1b[?7h")


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A model that writes lines for ever."""
    file = tmp_path / "endless.gguf"
    endless(file, layers=64)
    return file


def start_answer(program: OnPty) -> None:
    program.wait_for("ctx ")
    program.type(b"Go on.\r")
    program.wait_for("longest")


def ended() -> bool:
    """Whether the saved answer has an end."""
    with closing(sqlite3.connect(paths.database_file(), timeout=10)) as database:
        return database.execute("SELECT stop FROM turns WHERE role = 'assistant'").fetchall()[0][0] is not None


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_while_nobody_reads_text_is_saved_and_later_all_of_the_screen_is_there(lines: Path) -> None:
    with on_pty(*LLMTUI, lines, "-t", "1", "-c", "4096") as program:
        start_answer(program)
        program.fill()
        before = len(saved())
        until(lambda: len(saved()) > before + 4000)
        program.type(b"\x1b")  # stop
        until(ended)
        for width in [100, COLUMNS] * 20:  # whole screens, more than are kept for the terminal
            program.resize(ROWS, width)
            time.sleep(0.02)
        program.type(b"a draft")
        program.wait_for(lambda: all(part in program.text for part in ("a draft", "longest", "ctx ", "╰")))


@pytest.mark.parametrize("how", [*ENDING, "hang up"])
def test_whatever_asks_for_the_end_gets_it_while_nobody_reads(lines: Path, how: str) -> None:
    with on_pty(*LLMTUI, lines, "-t", "1", "-c", "4096") as program:
        start_answer(program)
        program.fill()
        before = len(saved())
        until(lambda: len(saved()) > before)
        before, processes = len(saved()), program.processes()
        assert len(processes) >= 2
        if how == "hang up":
            program.hang_up()
        else:
            os.kill(program.pid, getattr(signal, how))
        assert program.wait_for_end() == ENDING.get(how, 129)
        until(lambda: all_gone(processes))
        assert len(saved()) >= before
        if how != "hang up":
            assert termios.tcgetattr(program.theirs) == program.modes


@pytest.mark.parametrize("how", [*ENDING, "SIGUSR1", "SIGXCPU"])
def test_a_signal_gives_the_terminal_back(how: str) -> None:
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        processes = program.processes()
        assert termios.tcgetattr(program.theirs) != program.modes
        os.kill(program.pid, getattr(signal, how))
        assert program.wait_for_end() == ENDING.get(how, 128 + getattr(signal, how))
        assert all_gone(processes)
        assert termios.tcgetattr(program.theirs) == program.modes
        while program.read(0.1):
            pass
        end = program.raw[-300:]
        assert all(mode in end for mode in MODES_OFF), end


def test_the_screen_is_on_the_terminal_and_errors_alone_are_in_the_file(tmp_path: Path) -> None:
    log = tmp_path / "err.log"
    command = f"exec {shlex.join([*LLMTUI, str(DENSE), '-t', '1'])} 2>{shlex.quote(str(log))}"
    with on_pty("/bin/sh", "-c", command) as program:
        program.wait_for("ctx ")
        program.type(b"\x11")
        program.wait_for_end()
    assert b"\x1b" not in log.read_bytes()


def test_one_key_paints_the_screen_anew() -> None:
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        program.type(b"a draft")
        program.wait_for("a draft")
        os.write(program.theirs, b"\x1b[?7h\x1b[H" + b"another program wrote here " * 100)
        program.wait_for("another program")
        program.type(b"\x1c")
        program.wait_for(lambda: "another program" not in program.text)
        program.wait_for(lambda: "a draft" in program.text and "ctx " in program.text)


@pytest.mark.parametrize("kind", [Parts, Whole])
def test_a_saved_link_leads_somewhere_and_an_emoji_leaves_the_sidebar_in_its_column(
    tmp_path: Path, kind: type[pyte.Screen]
) -> None:
    text = "[a](https://example.org)\n\n\u2764\ufe0f a heart"
    answer = chat.finished(chat.answer_turn("Tiny"), text=text, stop="stop")
    conversation = chat.with_turn(chat.with_turn(chat.new_conversation(), chat.user_turn("hello")), answer)
    file = export.write(conversation, tmp_path, "json")
    with on_pty(*LLMTUI, "--import", file, screen=kind) as program:
        program.wait_for(lambda: all(part in program.text for part in ("a heart", "SPEED", "Ask anything")))
        assert re.search(rb"\x1b\]8;[^;]*;https://example\.org\x1b\\", program.raw)
        program.clear()
        program.type(b"\x1c")  # paints whole rows
        program.wait_for(lambda: all(part in program.text for part in ("a heart", "SPEED", "Ask anything", "f1 Help")))
        cells = program.screen.buffer
        columns = {y: [x for x in range(COLUMNS) if cells[y][x].data == "│"] for y in range(1, ROWS - 4)}
        (heart,) = [y for y in columns if "a heart" in program.screen.display[y]]
        (speed,) = [y for y in columns if "SPEED" in program.screen.display[y]]
        assert len(columns[speed]) == 1 and columns[heart] == columns[speed]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_ctrl_z_gives_the_shell_its_terminal_and_fg_brings_the_answer_on(lines: Path) -> None:
    with on_pty("bash", "--norc", "--noprofile", "-i") as shell:
        shell.type(shlex.join([*LLMTUI, str(lines), "-t", "1", "-c", "4096"]).encode() + b"\r")
        start_answer(shell)
        app = shell.app()
        shell.type(b"\x1a")
        shell.wait_for("Stopped")
        assert app.status() == psutil.STATUS_STOPPED
        assert all(mode in shell.raw for mode in MODES_OFF)
        shell.type(b"echo $((6 * 7))\r")
        shell.wait_for("\n42")

        shell.type(b"bg\r")  # on in the background, without a terminal
        before, n_read = len(saved()), len(shell.raw)
        until(lambda: len(saved()) > before + 1000)
        shell.clear()
        shell.type(b"jobs\r")
        shell.wait_for("Running")
        assert b"longest" not in shell.raw[n_read:]
        shell.clear()

        shell.type(b"fg\r")
        shell.wait_for(lambda: "longest" in shell.text and "ctx " in shell.text)
        shell.type(b"\x1b")
        shell.wait_for("tok/s · ttft")
        shell.type(b"a draft")
        shell.wait_for("a draft")

        shell.type(b"\x1a")
        shell.wait_for("Stopped")
        assert [file.read_text() for file in paths.drafts_dir().glob("*.txt")] == ["a draft"]
        shell.clear()
        shell.type(b"fg\r")
        shell.wait_for("a draft")
        shell.type(b"\x11")
        shell.wait_for(lambda: not app.is_running())


def test_without_a_shell_ctrl_z_stays_and_says_so() -> None:
    with on_pty(*LLMTUI, DENSE, "-t", "1") as program:  # the session's first process: nobody could let it go on
        program.wait_for("ctx ")
        program.type(b"\x1a")
        program.wait_for("started from a shell")
        program.type(b"a draft")
        program.wait_for("a draft")
