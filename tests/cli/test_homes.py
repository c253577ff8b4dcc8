"""Homes in which nothing can be written, or that are none: llmtui starts, or says what to do.
`tests/campaigns/read_only_homes.py` tries all of them, also as other users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_disk
from tests.conftest import DENSE
from tests.on_pty import LLMTUI, on_pty
from tests.running import llmtui
from tui.base.exit_codes import ExitCode
from tui.config import paths

mounts = pytest.mark.skipif(bool(small_disk.why_not()), reason=small_disk.why_not())
XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


def last_words(raw: bytes) -> str:
    """What stands on the terminal when the app has left it."""
    return " ".join(raw.rpartition(b"\x1b[?1049l")[2].decode().split())


@mounts
@pytest.mark.timeout(240)
def test_in_a_home_that_cannot_be_written_one_chats_unsaved_and_knows_it(home: Path) -> None:
    with small_disk.read_only(home), on_pty(*LLMTUI, DENSE, "-t", "1") as program:
        program.wait_for("ctx ")
        program.type(b"ping\r")
        program.wait_for("pong")
        program.wait_for("database failed")
        program.wait_for("· CPU ·")
        program.type(b"a draft\x11")
        program.wait_for("Quit without saving?")
        program.type(b"y")
        assert program.wait_for_end() == 0
        while program.read(0.1):
            pass
    said = last_words(program.raw)
    assert "changes of conversations could not be saved" in said and "unsent text could not be kept" in said
    assert "Traceback" not in said


@mounts
def test_a_benchmark_in_a_home_that_cannot_be_written_is_measured_and_not_kept(home: Path) -> None:
    with small_disk.read_only(home):
        done = llmtui("--bench", DENSE, "-p", "16", "-n", "4", "-r", "1", "-t", "1")
    assert done.returncode == 0 and "pp16" in done.stdout and "not kept" in done.stderr


@pytest.mark.parametrize("value", ["", "somewhere"])
def test_folders_that_are_no_paths_are_those_of_the_system(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    for name in XDG:
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    done = llmtui("--locate", PYTHONPATH=str(Path(__file__).parents[1]))
    assert done.returncode == 0 and f"{home}/.local/share/llmtui/conversations.db" in done.stdout
    assert "somewhere" not in done.stdout


@pytest.mark.parametrize("value", [None, "", "somewhere"])
def test_without_home_the_system_is_asked_where_it_is(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    for name in XDG:
        monkeypatch.delenv(name)
    monkeypatch.delenv("HOME") if value is None else monkeypatch.setenv("HOME", value)
    done = llmtui("--locate")
    known = subprocess.run(
        [sys.executable, "-c", "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_dir)"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert done.returncode == 0 and f" {known}/.local/share/llmtui/conversations.db" in done.stdout


def test_a_user_without_a_home_is_told_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    nobody_is_known = (
        "import pwd, sys\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "from tui.cli.main import main\n"
        "sys.exit(main(['--locate']))\n"
    )
    done = subprocess.run([sys.executable, "-c", nobody_is_known], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert "Set HOME to a folder" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_folders_that_nobody_may_look_into_keep_nothing_from_starting(home: Path) -> None:
    closed = paths.database_file().parent.parent
    closed.mkdir(parents=True)
    closed.chmod(0)
    done = llmtui("--bench", "--history")
    closed.chmod(0o700)
    assert "Permission denied" in done.stderr and "Traceback" not in done.stderr
