"""`--host`: commands that are carried out on another machine, by the llmtui there, over the user's own ssh."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import say_error
from tui.cli.parser import CommandLineError
from tui.config.settings import load_settings
from tui.host.bridge import MARK
from tui.host.meeting import HostProblem
from tui.host.ssh import NO_COMMAND, OF_SSH, Far
from tui.words import tr

_SAY_MARK = "printf '\\001llmtui bridge\\002'"
"""In the shell there: `MARK`."""
_PIECE = 1 << 16


def far_of(arguments: argparse.Namespace) -> Far:
    """The machine that is named. Raises `CommandLineError`."""
    if not arguments.host.strip() or arguments.host.startswith("-"):
        raise CommandLineError(tr("--host needs a machine, as ssh takes it: user@box."))
    settings, _ = load_settings(arguments.settings)
    return Far.of(arguments.host, settings.session)


def run_there(arguments: argparse.Namespace, given_words: Sequence[str]) -> int:
    """Have these words carried out there; the exit code, which is that of the llmtui there where ssh reached it."""
    far = far_of(arguments)
    try:
        command = asyncio.run(far.command(*without_host(given_words), first=_SAY_MARK))
    except HostProblem as error:
        say_error(str(error))
        return ExitCode.ENGINE
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        _pass_on(process.stdout)
        code = process.wait()
    if code in NO_COMMAND:
        say_error(far.not_found)
        return ExitCode.ENGINE
    if code == OF_SSH:
        say_error(tr("{target} is not reached. Try ssh {target} by itself.", target=far.target))
        return ExitCode.ENGINE
    return code


def _pass_on(there: IO[bytes]) -> None:
    """What llmtui says there, without a greeting of the shell before it."""
    before = b""
    while MARK not in before and (piece := os.read(there.fileno(), _PIECE)):
        before += piece
    rest = before.partition(MARK)[2]
    while rest or (rest := os.read(there.fileno(), _PIECE)):
        sys.stdout.buffer.write(rest)
        sys.stdout.buffer.flush()
        rest = b""


def without_host(given_words: Sequence[str]) -> list[str]:
    """What is left for the other machine."""
    left, words = list[str](), iter(given_words)
    for word in words:
        if word == "--host":
            next(words, None)
        elif not word.startswith("--host="):
            left.append(word)
    return left
