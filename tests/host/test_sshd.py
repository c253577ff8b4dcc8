"""The same over the real OpenSSH: a server of one's own on a high port, with keys made for it. Left out where there is
none."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.ask.test_ask import HELLO, TINY, saved
from tests.conftest import DENSE
from tests.counting import SCRIPT, counting
from tests.patience import PATIENCE_S
from tests.running import COMMAND, llmtui, on_terminal
from tui.base.exit_codes import ExitCode
from tui.cli.far_app import _WAS_THERE_S

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="there is no OpenSSH here")


class Box:
    """A server, and how it is reached."""

    def __init__(self, folder: Path) -> None:
        assert SSHD is not None
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        shutil.copy(folder / "key.pub", folder / "authorized")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = " ".join(
            shlex.quote(f"{name}={value}")
            for name, value in os.environ.items()
            if name.startswith(("HOME", "XDG_", "PYTHON", "LLMTUI_BACKEND", "PATH"))
        )
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/authorized\nUsePAM no\nPasswordAuthentication no\nPrintMotd no\n"
            f"SetEnv {environment}\n"
        )
        there = folder / "llmtui"
        there.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
        there.chmod(0o755)
        (folder / "ssh_config").write_text(
            f"Host box\nHostName 127.0.0.1\nPort {self.port}\nUser {getpass.getuser()}\nIdentityFile {folder}/key\n"
            f"IdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nStrictHostKeyChecking no\nLogLevel ERROR\n"
        )
        own = Path(os.environ["HOME"], ".config", "llmtui", "settings.toml")
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(f'[session]\nfar_llmtui = "{there}"\nssh = "ssh -F {folder}/ssh_config"\n')
        Path("/run/sshd").mkdir(exist_ok=True)
        self.log = folder / "log"
        command = [SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(self.log)]
        self.server = psutil.Popen(command)

    def wait(self) -> bool:
        """Whether it can be reached; some machines let nobody start one."""
        for _ in range(100):
            if self.server.poll() is not None:
                return False
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.05)
        return False

    def drop_lines(self) -> None:
        """Every connection is gone at once, as when a cable is pulled."""
        for process in self.server.children(recursive=True):
            if process.name() in ("sshd", "sshd-session", "sshd-auth"):
                process.kill()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A server that runs."""
    found = Box(tmp_path)
    try:
        if not found.wait():
            pytest.skip(f"no sshd can be started here: {found.log.read_text()}")
        yield found
    finally:
        for process in [found.server, *found.server.children(recursive=True)]:
            process.kill()


def test_questions_are_answered_over_ssh_and_a_line_that_is_cut_loses_nothing(box: Box, tmp_path: Path) -> None:
    done = llmtui("ask", "hello", "--host", "box", *TINY)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FINE, f"{HELLO}\n", ""), box.log.read_text()
    assert "tiny" in llmtui("ls", "--host", "box").stdout.lower()
    model = tmp_path / "counting.gguf"
    counting(model)
    whole = SCRIPT.partition("w0201")[0].rstrip()
    options = ("-m", str(model), "--temp", "0", "-t", "1", "--max-tokens", "200")
    with subprocess.Popen(
        [*COMMAND, "ask", "count", "--host", "box", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        begun = process.stdout.read(30)
        box.drop_lines()
        text = (begun + process.stdout.read(60)).decode()
        box.drop_lines()
        text += process.stdout.read().decode()
        assert process.wait(PATIENCE_S) == ExitCode.FINE, process.stderr.read()
    assert text == f"{whole}\n"
    assert [turn.text.rstrip() for turn in saved()[0].turns[1:]] == [whole]


def test_the_app_of_another_machine_is_back_after_a_line_that_broke(box: Box) -> None:
    with on_terminal("--host", "box", DENSE, "-c", "1024", "--backend", "cpu", "-t", "1") as running:
        running.read_until("Tiny Qwen")
        time.sleep(_WAS_THERE_S + 0.5)  # a line that breaks sooner is one that could not be made
        os.write(running.terminal, b"hello\r")
        running.read_until("How can I help you today?")
        running.seen = ""
        box.drop_lines()
        running.read_until("the line to box is broken")
        running.read_until("How can I help you today?")
        os.write(running.terminal, b"\x11")  # ^q
        code, _ = running.end()
    assert code == ExitCode.FINE
