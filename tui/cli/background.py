"""`llmtui ls`, `attach` and `stop`: what runs in the background, what it says, and its end."""

from __future__ import annotations

import argparse
import asyncio
import time

import msgspec

from tui.ask.attach import attach
from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import Line, Piece, Toned, say, say_error
from tui.cli.output import Column, laid_out, put_json, put_lines
from tui.cli.parser import CommandLineError
from tui.host import client
from tui.host.meeting import HostProblem
from tui.host.messages import HostStatus
from tui.session.events import Phase
from tui.words import mark, tr

_STATES: dict[Phase, str] = {
    "starting": mark("starting"),
    "no_model": mark("no model"),
    "loading": mark("loading"),
    "ready": mark("ready"),
    "answering": mark("answering"),
    "dead": mark("no model"),
}


def attach_here(arguments: argparse.Namespace) -> int:
    """Show what is answered there; the exit code."""
    _no_words(arguments)
    return attach()


def ls(arguments: argparse.Namespace) -> int:
    """Print what runs; the exit code."""
    _no_words(arguments)
    try:
        status = asyncio.run(client.status())
    except HostProblem as error:
        say_error(str(error))
        return ExitCode.ENGINE
    if arguments.json:
        put_json({"hosts": [] if status is None else [msgspec.to_builtins(_record(status))]})
    elif status is None:
        say(tr("nothing runs in the background. `llmtui ask --keep` leaves a model loaded there."))
    else:
        put_lines(_table(status))
    return ExitCode.FINE


def stop(arguments: argparse.Namespace) -> int:
    """End it; the exit code."""
    _no_words(arguments)
    try:
        pid = asyncio.run(client.stop())
    except HostProblem as error:
        say_error(str(error))
        return ExitCode.ENGINE
    if arguments.json:
        put_json({"stopped": [] if pid is None else [pid]})
    elif pid is None:
        say(tr("nothing runs in the background."))
    return ExitCode.FINE


def _no_words(arguments: argparse.Namespace) -> None:
    if arguments.models:
        words = " ".join(arguments.models)
        raise CommandLineError(tr("There is one llmtui in the background at most: leave out {words}.", words=words))


def _record(status: HostStatus) -> dict[str, object]:
    fields = msgspec.structs.asdict(status)
    return {**fields, "ends_in_s": status.ends_in_s if status.ends_in_s >= 0 else None}


def _table(status: HostStatus) -> list[Line]:
    state: Piece = tr(_STATES[status.phase])
    if status.phase in ("ready", "answering"):
        state = Toned(tr(_STATES[status.phase]), "good")
    waiting = str(status.n_waiting) if status.n_waiting else ""
    ends = format.about(status.ends_in_s) if status.ends_in_s >= 0 else ""
    columns = (
        Column(title=mark("pid"), cells=[str(status.pid)], right=True),
        Column(title=mark("model"), cells=[status.model]),
        Column(title=mark("state"), cells=[state]),
        Column(title=mark("memory"), cells=[format.size(status.memory_bytes)], right=True),
        Column(title=mark("for"), cells=[format.about(time.time() - status.started_at)], right=True, worth=3),
        Column(title=mark("ends in"), cells=[ends], right=True, worth=4),
        Column(title=mark("waiting"), cells=[waiting], right=True, worth=5),
        Column(title=mark("conversation"), cells=[status.title], worth=2),
    )
    return list(laid_out(columns))
