"""`llmtui --host`: the app of another machine in this terminal. Its session is in the background there, so that a line
which breaks costs nothing: it is taken up again, and the app is back where it was."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import shlex
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import say, say_error
from tui.cli.far import far_of, without_host
from tui.host.meeting import HostProblem
from tui.host.ssh import NO_COMMAND, OF_SSH, Far
from tui.words import tr

_WAS_THERE_S = 3.0
"""A line that lasted so long had reached the machine: it is taken up again when it breaks."""
_FIRST_S, _LONGEST_S = 0.5, 10.0
"""Between two tries, at first and at most."""
_PLAIN = "\x1b[?1049l\x1b[?25h\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[<u\x1b[0m\r\x1b[K"
"""What an app that was cut off did not take back: its screen, the mouse, pastes, focus, keys and colours."""


def app_there(arguments: argparse.Namespace, given_words: Sequence[str]) -> int:
    """Run it; the exit code, which is that of the app there."""
    far = far_of(arguments)
    words = ["--background", *without_host(given_words)]
    was_there, wait_s = False, _FIRST_S
    before = termios.tcgetattr(sys.stdin)
    while True:
        try:
            command = asyncio.run(far.command(*words, first=_colours(), on_terminal=True))
        except HostProblem as error:
            say_error(str(error))
            return ExitCode.ENGINE
        began = time.monotonic()
        try:
            code = subprocess.run(command, check=False).returncode
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        lasted = time.monotonic() - began >= _WAS_THERE_S
        if code != OF_SSH:
            break
        _take_back()
        if not (lasted or was_there):
            break
        wait_s = _FIRST_S if lasted else min(2 * wait_s, _LONGEST_S)
        if not was_there or lasted:
            say(tr("the line to {target} is broken: trying again until Ctrl-C.", target=far.target))
        was_there, words = True, ["--background", *_again(without_host(given_words))]
        time.sleep(wait_s)
    return _told(far, code)


def _told(far: Far, code: int) -> int:
    if code in NO_COMMAND:
        say_error(far.not_found)
        return ExitCode.ENGINE
    if code == OF_SSH:
        say_error(tr("{target} is not reached. Try ssh {target} by itself.", target=far.target))
        return ExitCode.ENGINE
    return code


def _colours() -> str:
    """In the shell there: how many this terminal has, of which ssh tells nothing."""
    known = os.environ.get("COLORTERM", "")
    return f"COLORTERM={shlex.quote(known)}; export COLORTERM" if known else ""


def _take_back() -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(_PLAIN)
        sys.stdout.flush()


def _again(words: Sequence[str]) -> list[str]:
    """Without what was for the beginning alone, as a model, which is loaded, or a file to be opened."""
    theme = [word for word in words if word.startswith("--theme=")]
    for option, value in itertools.pairwise(words):
        if option == "--theme":
            theme += [option, value]
    return theme
