"""Copying text to where a person can paste it: tmux, a local tool, the terminal itself (OSC 52), at last a file. It
says which one it was, because none of them works everywhere."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from tui.base import private
from tui.base.oserrors import os_reason
from tui.config import paths
from tui.words import mark, tr, trn

Mode = Literal["auto", "osc52", "tmux", "local", "file"]
Way = Literal["osc52", "tmux", "wl-copy", "xclip", "xsel", "pbcopy", "file"]

OSC52_LIMIT = 100_000
"""Bytes of base64 that terminals can be expected to take: xterm, foot and screen cut or drop more."""
_SCREEN_CHUNK = 700
_TIMEOUT_S = 3.0

_TOOLS: dict[Way, tuple[str, ...]] = {
    "wl-copy": ("wl-copy",),
    "xclip": ("xclip", "-selection", "clipboard", "-in"),
    "xsel": ("xsel", "--clipboard", "--input"),
    "pbcopy": ("pbcopy",),
}

_PLACES: dict[Way, str] = {
    "osc52": mark("the terminal's clipboard (OSC 52), if the terminal allows it"),
    "tmux": mark("tmux's buffer, and the terminal's clipboard if it allows it"),
}


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """Where a text went."""

    how: Way
    detail: str = ""
    """Why the ways that come before this one were not taken, "xclip: Can't open display"; empty when none failed."""
    path: Path | None = None
    """The file, for "file"."""

    @property
    def place(self) -> str:
        """The place for a sentence such as "Copied to …"."""
        if self.path is not None:
            return str(self.path)
        return tr(_PLACES[self.how]) if self.how in _PLACES else tr("the clipboard ({tool})", tool=self.how)


class CopyError(Exception):
    """No way worked, not even a file. `detail` lists what was tried and what came of it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


async def copy(
    text: str,
    mode: Mode = "auto",
    *,
    write_terminal: Callable[[str], object] | None = None,
    environ: Mapping[str, str] | None = None,
    platform: str = sys.platform,
    folder: Path | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> CopyResult:
    """Copy `text` by the way that `mode` (`settings.ui.clipboard`) says, or to a file in `folder` where that fails.

    `write_terminal` sends to the terminal past the screen, as the `write` of Textual's driver does; without it there is
    no OSC 52. `environ`, `platform` and `folder` are by default those of this process and `paths.exports_dir()`.

    "auto" takes the first that works: tmux inside tmux, a local tool on a desktop, OSC 52, a local tool over SSH (its
    display may be forwarded), a file. On a desktop tmux's buffer and the clipboard are both set.

    Raises CopyError when the file cannot be written either.
    """
    environ = os.environ if environ is None else environ
    data = text.encode("utf-8", "replace")
    failures: list[str] = []
    is_remote = "SSH_CONNECTION" in environ or "SSH_TTY" in environ
    tools = _local_tools(environ, platform)

    async def by_tmux() -> Way | None:
        complaint = await _run(("tmux", "load-buffer", "-w", "-"), data, environ, timeout_s)
        if complaint:
            failures.append(f"tmux: {complaint}")
        return None if complaint else "tmux"

    async def by_tool() -> Way | None:
        for tool in tools:
            complaint = await _run(_TOOLS[tool], data, environ, timeout_s)
            if not complaint:
                return tool
            failures.append(f"{tool}: {complaint}")
        return None

    def by_terminal() -> Way | None:
        complaint = _to_terminal(data, write_terminal, environ)
        if complaint:
            failures.append(f"OSC 52: {complaint}")
        return None if complaint else "osc52"

    how: Way | None = None
    if mode == "tmux" or (mode == "auto" and "TMUX" in environ):
        how = await by_tmux()
    if mode == "local" or (mode == "auto" and not is_remote):
        how = await by_tool() or how
    if mode == "osc52" or (mode == "auto" and how is None):
        how = by_terminal()
    if mode == "auto" and how is None and is_remote:
        how = await by_tool()
    if how is not None:
        return CopyResult(how=how, detail="; ".join(failures))
    if mode == "local" and not tools:
        failures.append(tr("no local tool: install wl-clipboard, xclip or xsel"))
    try:
        path = await asyncio.to_thread(_to_file, data, folder or paths.exports_dir())
    except OSError as error:
        failures.append(tr("file: {reason}", reason=os_reason(error)))
        raise CopyError("; ".join(failures)) from error
    return CopyResult(how="file", detail="; ".join(failures), path=path)


def _local_tools(environ: Mapping[str, str], platform: str) -> list[Way]:
    """The installed tools that can reach a clipboard here, best first."""
    usable: list[Way] = ["pbcopy"] if platform == "darwin" else []
    if environ.get("WAYLAND_DISPLAY"):
        usable.append("wl-copy")
    if environ.get("DISPLAY"):
        usable += ["xclip", "xsel"]
    return [tool for tool in usable if shutil.which(tool, path=environ.get("PATH"))]


async def _run(command: tuple[str, ...], data: bytes, environ: Mapping[str, str], timeout_s: float) -> str:
    """Give `data` to a command. Empty when it succeeded, else what it said."""
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        return tr("not installed")
    # The tools of X and Wayland leave a process behind that serves the clipboard and keeps their output open: a pipe
    # would never end. In a session of its own that process outlives the terminal.
    try:
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    except OSError as error:
        return tr("no temporary file: {reason}", reason=os_reason(error))
    with said:
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *command[1:],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
                env=dict(environ),
                start_new_session=True,
            )
        except OSError as error:
            return os_reason(error)
        try:
            async with asyncio.timeout(timeout_s):
                await process.communicate(data)
        except TimeoutError:
            return tr("no answer within {seconds} s", seconds=f"{timeout_s:g}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == 0:
            return ""
        said.seek(0)
        lines = said.read(2000).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else tr("exit code {code}", code=process.returncode)


def _to_terminal(data: bytes, write: Callable[[str], object] | None, environ: Mapping[str, str]) -> str:
    """Send OSC 52. Empty when it was sent, which is not to say that it was heard; else why not."""
    if write is None:
        return tr("no terminal")
    if environ.get("TERM", "") in ("linux", "dumb"):
        return tr("a terminal of type {type} has no clipboard", type=environ["TERM"])
    encoded = base64.b64encode(data).decode("ascii")
    if len(encoded) > OSC52_LIMIT:
        return trn("{n} byte is too many for a terminal", "{n} bytes are too many for a terminal", len(data))
    sequence = f"\x1b]52;c;{encoded}\a"
    if "TMUX" in environ:
        # By default tmux takes OSC 52 from nobody, and passes through only what is wrapped and allowed.
        inner = sequence.replace("\x1b", "\x1b\x1b")
        sequence += f"\x1bPtmux;{inner}\x1b\\"
    elif "STY" in environ:
        pieces = range(0, len(sequence), _SCREEN_CHUNK)
        sequence = "".join(f"\x1bP{sequence[start : start + _SCREEN_CHUNK]}\x1b\\" for start in pieces)
    write(sequence)
    return ""


def _to_file(data: bytes, folder: Path) -> Path:
    private.folder(folder)
    stem = time.strftime("copied-%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        path = folder / (f"{stem}.txt" if number == 1 else f"{stem}-{number}.txt")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
        except OSError:
            path.unlink()  # half of it
            raise
        return path
    raise FileExistsError(tr("{folder} is full of files named {name}", folder=folder, name=stem))
