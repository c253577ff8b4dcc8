"""Copying, with tools that really run: small scripts under the tools' names, and a tmux server."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tui.app.clipboard import OSC52_LIMIT, CopyError, Mode, copy

TEXT = "naïve 你好 👩‍👩‍👧\nsecond line\n"


class Machine:
    """A PATH of its own, an environment, a place for files, and what the terminal was sent."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.bin.mkdir()
        self.folder = root / "exports"
        self.clipboard = root / "clipboard"
        self.environ = {"PATH": str(self.bin), "TERM": "xterm-256color", "TMPDIR": str(root)}
        self.sent: list[str] = []

    def install(self, name: str, script: str | None = None) -> None:
        """Install a tool; by default one that keeps its input and its arguments."""
        cat = shutil.which("cat")
        script = script or f'{cat} > "{self.clipboard}"\necho "$@" > "{self.clipboard}.args"'
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def arguments(self) -> str:
        return Path(f"{self.clipboard}.args").read_text().strip()

    @property
    def options(self) -> dict[str, Any]:
        return {
            "environ": self.environ,
            "platform": "linux",
            "folder": self.folder,
            "write_terminal": self.sent.append,
            "timeout_s": 10.0,
        }


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def decoded(sequence: str) -> str:
    assert sequence.startswith("\x1b]52;c;")
    return base64.b64decode(sequence.removeprefix("\x1b]52;c;").removesuffix("\a")).decode()


async def test_a_plain_terminal_gets_osc_52(machine: Machine) -> None:
    result = await copy(TEXT, **machine.options)
    assert result.how == "osc52"
    assert [decoded(sequence) for sequence in machine.sent] == [TEXT]
    assert "OSC 52" in result.place


@pytest.mark.parametrize(
    ("display", "tool", "arguments"),
    [
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "wl-copy", ""),
        ({"DISPLAY": ":0"}, "xclip", "-selection clipboard -in"),
        ({"DISPLAY": ":0"}, "xsel", "--clipboard --input"),
    ],
)
async def test_a_desktop_gets_its_own_tool(
    machine: Machine, display: dict[str, str], tool: str, arguments: str
) -> None:
    machine.install(tool)
    machine.environ |= display
    result = await copy(TEXT, **machine.options)
    assert result.how == tool
    assert machine.clipboard.read_text() == TEXT
    assert machine.arguments == arguments
    assert not machine.sent


async def test_a_mac_gets_pbcopy(machine: Machine) -> None:
    machine.install("pbcopy")
    result = await copy(TEXT, **{**machine.options, "platform": "darwin"})
    assert result.how == "pbcopy"
    assert machine.clipboard.read_text() == TEXT


async def test_over_ssh_the_terminal_comes_before_a_forwarded_display(machine: Machine) -> None:
    machine.install("xclip")
    machine.environ |= {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}
    assert (await copy(TEXT, **machine.options)).how == "osc52"
    too_long = "x" * OSC52_LIMIT
    assert (await copy(too_long, **machine.options)).how == "xclip"
    assert machine.clipboard.read_text() == too_long


async def test_a_tool_that_fails_is_named_and_the_next_one_taken(machine: Machine) -> None:
    machine.install("xclip", 'echo "Error: Can\'t open display: :7" >&2\nexit 1')
    machine.install("xsel")
    machine.environ["DISPLAY"] = ":7"
    result = await copy(TEXT, "local", **machine.options)
    assert result.how == "xsel"
    assert result.detail == "xclip: Error: Can't open display: :7"


async def test_a_tool_that_hangs_is_given_up(machine: Machine) -> None:
    machine.install("xclip", f"exec {shutil.which('sleep')} 1000")
    machine.environ["DISPLAY"] = ":0"
    result = await copy(TEXT, **{**machine.options, "timeout_s": 0.2})
    assert result.how == "osc52"
    assert "no answer" in result.detail


async def test_a_tool_that_leaves_a_server_behind_is_not_waited_for(machine: Machine) -> None:
    pid_file = machine.clipboard.with_name("pid")
    machine.install("xclip", f'{shutil.which("sleep")} 1000 &\necho $! > "{pid_file}"')
    machine.environ["DISPLAY"] = ":0"
    try:
        assert (await copy(TEXT, **machine.options)).how == "xclip"
    finally:
        os.kill(int(pid_file.read_text()), 9)


async def test_a_text_too_long_for_the_terminal_goes_to_a_file(machine: Machine) -> None:
    text = "é" * OSC52_LIMIT
    result = await copy(text, **machine.options)
    assert result.how == "file"
    assert result.path is not None
    assert result.path.parent == machine.folder
    assert result.path.read_text() == text
    assert stat.S_IMODE(result.path.stat().st_mode) == 0o600
    assert "200,000 bytes" in result.detail
    assert not machine.sent


async def test_files_do_not_replace_each_other(machine: Machine) -> None:
    results = [await copy(text, "file", **machine.options) for text in ("one", "two", "three")]
    assert [result.path.read_text() for result in results if result.path] == ["one", "two", "three"]


@pytest.mark.parametrize("mode", ["tmux", "local"])
async def test_a_way_that_is_not_there_leads_to_a_file_and_says_why(machine: Machine, mode: Mode) -> None:
    result = await copy(TEXT, mode, **machine.options)
    assert result.how == "file"
    assert "install" in result.detail


async def test_the_text_console_has_no_clipboard(machine: Machine) -> None:
    machine.environ["TERM"] = "linux"
    assert (await copy(TEXT, **machine.options)).how == "file"


async def test_a_folder_that_cannot_be_written_is_an_error_with_its_reason(machine: Machine) -> None:
    machine.folder.write_text("not a folder")
    with pytest.raises(CopyError, match="exports"):
        await copy(TEXT, "file", **machine.options)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The command line of a tmux server of its own, with a session."""
    program = shutil.which("tmux")
    if program is None:
        pytest.skip("tmux is not installed")
    command = (program, "-S", str(tmp_path / "tmux.sock"), "-f", "/dev/null")
    subprocess.run([*command, "new-session", "-d", "-s", "copying", shutil.which("cat") or "cat"], check=True)
    yield command
    subprocess.run([*command, "kill-server"], check=True)


def buffer_of(tmux: tuple[str, ...]) -> str:
    return subprocess.run([*tmux, "show-buffer"], check=True, capture_output=True, text=True).stdout


async def test_inside_tmux_the_text_is_in_its_buffer(machine: Machine, tmux: tuple[str, ...]) -> None:
    socket = tmux[2]
    machine.environ |= {"PATH": os.environ["PATH"], "TMUX": f"{socket},1,0"}
    result = await copy(TEXT, **machine.options)
    assert (result.how, result.detail) == ("tmux", "")
    assert buffer_of(tmux) == TEXT
    assert not machine.sent


async def test_inside_tmux_on_a_desktop_both_have_the_text(machine: Machine, tmux: tuple[str, ...]) -> None:
    machine.install("xclip")
    socket = tmux[2]
    machine.environ |= {"PATH": f"{machine.bin}:{os.environ['PATH']}", "TMUX": f"{socket},1,0", "DISPLAY": ":0"}
    assert (await copy(TEXT, **machine.options)).how == "xclip"
    assert machine.clipboard.read_text() == TEXT
    assert buffer_of(tmux) == TEXT


async def test_a_tmux_that_is_gone_is_bypassed_through_the_terminal(machine: Machine, tmp_path: Path) -> None:
    machine.environ |= {"PATH": os.environ["PATH"], "TMUX": f"{tmp_path / 'gone.sock'},1,0"}
    result = await copy(TEXT, **machine.options)
    assert result.how == "osc52"
    assert result.detail.startswith("tmux: ")
    (sequence,) = machine.sent
    plain, wrapped = sequence.split("\x1bPtmux;")
    assert decoded(plain) == TEXT
    assert decoded(wrapped.removesuffix("\x1b\\").replace("\x1b\x1b", "\x1b")) == TEXT
