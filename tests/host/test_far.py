"""Another machine, reached over ssh: here a program that plays ssh on this one, with greetings, delays, stalls and
lines that break."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.ask.test_ask import HELLO, TINY, saved
from tests.conftest import DENSE
from tests.counting import SCRIPT, counting
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui
from tui.base.exit_codes import ExitCode

LOSSY = Path(__file__).with_name("lossy_ssh.py")
BOX = ("--host", "me@box")


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`llmtui` is found there, and ssh is ours."""
    there = tmp_path / "there"
    there.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    there.chmod(0o755)
    own = Path(os.environ["HOME"], ".config", "llmtui", "settings.toml")
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(f'[session]\nfar_llmtui = "{there}"\n')
    monkeypatch.setenv("LLMTUI_SSH", f"{sys.executable} {LOSSY}")


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a long answer."""
    path = tmp_path_factory.mktemp("model") / "counting.gguf"
    counting(path)
    return path


def test_a_question_is_answered_there_and_all_commands_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSY_GREETING", "Welcome to box!\nLast login: today\n")
    assert "nothing runs in the background" in llmtui("ls", *BOX).stderr
    assert "nothing runs in the background" in llmtui("attach", *BOX).stderr
    done = llmtui("ask", "hello", *BOX, *TINY)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, f"{HELLO}\n", "")
    (host,) = json.loads(llmtui("ls", "--json", *BOX).stdout)["hosts"]
    assert host["path"] == str(DENSE) and [one["id"] for one in host["sessions"]] == ["1"]
    assert llmtui("attach", "1", *BOX).stdout == f"{HELLO}\n"
    assert llmtui("stop", "--host=me@box").returncode == ExitCode.FINE
    assert json.loads(llmtui("ls", "--json").stdout) == {"hosts": []}


@pytest.mark.parametrize("who", ["asks", "looks on"])
def test_lines_that_stall_and_break_lose_nothing(
    counting_model: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    whole = SCRIPT.partition("w0201")[0].rstrip()
    asking = ("ask", "count", "-m", counting_model, "--temp", "0", "-t", "1", "--max-tokens", "200", "--keep")
    monkeypatch.setenv("LOSSY_DELAY_S", "0.2")
    monkeypatch.setenv("LOSSY_STALLS", "0.01")
    monkeypatch.setenv("LOSSY_BREAKS_AFTER", "6000")
    if who == "asks":
        done = llmtui(*asking, *BOX)
        assert (done.returncode, done.stdout) == (ExitCode.FINE, f"{whole}\n"), done.stderr
    else:
        with subprocess.Popen([*COMMAND, *map(str, asking)], stdout=subprocess.PIPE) as asker:
            assert asker.stdout
            asker.stdout.read(10)
            done = llmtui("attach", *BOX)
            assert (done.returncode, done.stdout) == (ExitCode.FINE, f"{whole}\n"), done.stderr
            asker.communicate(timeout=PATIENCE_S)
    assert [turn.text.rstrip() for turn in saved()[0].turns if turn.role == "assistant"] == [whole]
    assert len(saved()) == 1


def test_ctrl_c_here_stops_the_answer_there(counting_model: Path) -> None:
    command = [*COMMAND, "ask", "count", *BOX, "-m", str(counting_model), "--temp", "0", "-t", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.read(20)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: ssh hears it too
        assert process.stderr.read() == b"llmtui: interrupted.\n"
        assert process.wait(PATIENCE_S) == ExitCode.INTERRUPTED
    (conversation,) = saved()
    assert conversation.turns[1].stop == "cancelled"


def test_a_host_that_dies_there_is_told(counting_model: Path) -> None:
    command = [*COMMAND, "ask", "count", *BOX, "-m", str(counting_model), "--temp", "0", "-t", "1"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.read(20)
        psutil.Process(json.loads(llmtui("ls", "--json").stdout)["hosts"][0]["pid"]).kill()
        assert b"What it has written is saved; ask again." in process.stderr.read()
        assert process.wait(PATIENCE_S) == ExitCode.ENGINE


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("no-such-ssh", "no-such-ssh was not found, and other machines are reached with it: install OpenSSH's client"),
        ("sh -c 'echo Permission denied >&2; exit 255'", "me@box is not reached: Permission denied. Try ssh me@box"),
        ("sh -c 'exit 127'", "llmtui was not found on me@box: install it there"),
        ("sh -c 'echo invalid choice: bridge >&2; exit 2'", "llmtui does not answer on me@box: invalid choice: bridge"),
    ],
)
def test_what_keeps_a_machine_from_being_reached_is_said(
    monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setenv("LLMTUI_SSH", program)
    done = llmtui("ask", "hello", *BOX)
    assert (done.returncode, done.stdout) == (ExitCode.ENGINE, "")
    assert said in done.stderr


def test_another_version_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    frame = tmp_path / "frame"
    program = (
        "import msgspec, sys; data = msgspec.msgpack.encode({'type': 'Bridged', 'version': '9.9', 'protocol': 99});"
        "sys.stdout.buffer.write(b'\\x01llmtui bridge\\x02' + len(data).to_bytes(4, 'little') + data)"
    )
    frame.write_text(program)
    monkeypatch.setenv("LLMTUI_SSH", f"{sys.executable} {frame}")
    done = llmtui("ask", "hello", *BOX)
    assert "llmtui on me@box is of another version, 9.9" in done.stderr and done.returncode == ExitCode.ENGINE


def test_models_are_named_as_they_are_there(tmp_path: Path) -> None:
    done = llmtui("ask", "hello", *BOX, "-m", "no-such-model")
    assert done.returncode == ExitCode.MODEL
    assert "There is no model no-such-model there." in done.stderr
    folder = Path(os.environ["HOME"], ".local", "share", "llmtui", "models")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DENSE.name).symlink_to(DENSE)
    done = llmtui("ask", "hello", *BOX, "-m", "tiny-qwen3-q8", "--temp", "0", "-t", "1")
    assert (done.stdout, done.stderr) == (f"{HELLO}\n", "")
