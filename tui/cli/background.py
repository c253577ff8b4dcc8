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
from tui.host.messages import HostStatus, SessionStatus, State, no_such_session
from tui.host.survival import warning
from tui.words import mark, tr

_STATES: dict[State, str] = {
    "starting": mark("starting"),
    "no_model": mark("no model"),
    "loading": mark("loading"),
    "ready": mark("ready"),
    "answering": mark("answering"),
    "dead": mark("no model"),
    "waiting": mark("waits"),
    "done": mark("done"),
    "failed": mark("broken off"),
}
_GOOD = ("ready", "answering", "done")


def attach_here(arguments: argparse.Namespace) -> int:
    """Show what is answered there; the exit code."""
    if arguments.host is None:
        return attach(_id(arguments))
    from tui.cli.far import far_of
    from tui.host.ssh import reached

    return attach(_id(arguments), reached(far_of(arguments), may_ask_again=True), arguments.host)


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
        put_lines([*_table(status), _summary(status)])
    return ExitCode.FINE


def stop(arguments: argparse.Namespace) -> int:
    """End one session, or all of it; the exit code."""
    id = _id(arguments)
    try:
        return _stop_session(id, as_json=arguments.json) if id else _stop_all(as_json=arguments.json)
    except HostProblem as error:
        say_error(str(error))
        return ExitCode.ENGINE


def _stop_all(*, as_json: bool) -> int:
    pid = asyncio.run(client.stop())
    if as_json:
        put_json({"stopped": [] if pid is None else [pid]})
    elif pid is None:
        say(tr("nothing runs in the background."))
    return ExitCode.FINE


def _stop_session(id: str, *, as_json: bool) -> int:
    was_there = asyncio.run(client.stop_session(id))
    if as_json:
        put_json({"stopped": [id] if was_there else []})
    if not was_there:
        say_error(no_such_session(id))
        return ExitCode.USAGE
    return ExitCode.FINE


def _id(arguments: argparse.Namespace) -> str:
    """Of the session that is named; empty for none."""
    if len(arguments.models) > 1:
        raise CommandLineError(tr("One session at a time: name one ID."))
    return str(next(iter(arguments.models), ""))


def _no_words(arguments: argparse.Namespace) -> None:
    if arguments.models:
        words = " ".join(arguments.models)
        raise CommandLineError(tr("It lists all there is: leave out {words}.", words=words))


def _record(status: HostStatus) -> dict[str, object]:
    fields = msgspec.structs.asdict(status)
    sessions = [msgspec.structs.asdict(session) for session in status.sessions]
    return {
        **fields,
        "sessions": sessions,
        "downloads": [msgspec.structs.asdict(one) for one in status.downloads],
        "title": next((one.title for one in reversed(status.sessions) if one.title), ""),
        "n_waiting": sum(one.state == "waiting" for one in status.sessions),
        "ends_in_s": status.ends_in_s if status.ends_in_s >= 0 else None,
    }


def _table(status: HostStatus) -> list[Line]:
    sessions = status.sessions
    if not sessions:
        return []
    now = time.time()
    columns = (
        Column(title=mark("id"), cells=[one.id for one in sessions]),
        Column(title=mark("conversation"), cells=[one.title for one in sessions], worth=2),
        Column(title=mark("model"), cells=[one.model for one in sessions]),
        Column(title=mark("state"), cells=[_state(one) for one in sessions]),
        Column(title=mark("for"), cells=[format.about(now - one.started_at) for one in sessions], right=True, worth=3),
    )
    return list(laid_out(columns))


def _state(session: SessionStatus) -> Piece:
    state = tr(_STATES[session.state])
    if session.state in _GOOD:
        return Toned(state, "good")
    if session.state == "waiting":
        return tr("{state} behind {n}", state=state, n=session.n_before)
    return Toned(state, "bad") if session.state == "failed" else state


def _summary(status: HostStatus) -> str:
    """What all of them share."""
    loaded = tr("{model} is loaded", model=status.model) if status.model else tr("no model is loaded")
    parts = [loaded, format.size(status.memory_bytes), tr("process {pid}", pid=status.pid)]
    if status.downloads:
        done = sum(one.n_bytes for one in status.downloads) / max(1, sum(one.size_bytes for one in status.downloads))
        names = format.listed(*(one.name for one in status.downloads))
        parts.append(tr("downloads {names}, {percent}", names=names, percent=f"{done:.0%}"))
    if status.ends_in_s >= 0:
        parts.append(tr("ends in {time}", time=format.about(status.ends_in_s)))
    if told := warning(status.survival):
        parts.append(told)
    return " · ".join(parts)
