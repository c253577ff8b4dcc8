"""`llmtui pull`: fetches a model into the folder where the app finds it. What is told on the way goes to stderr; stdout
gets the path of what is there then, or with `--json` an event a line."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec

from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.base.terminal_style import say, say_error
from tui.base.userpath import user_path
from tui.cli.own_library import OwnLibrary
from tui.cli.parser import CommandLineError
from tui.cli.remote_models import RemoteModel, named_remotely, suited
from tui.config import paths
from tui.downloads.failures import FetchError
from tui.downloads.fetching import n_there
from tui.downloads.following import follow
from tui.downloads.progress_words import figures, order_name, share_of
from tui.downloads.records import Download, Order, ProblemKind
from tui.downloads.shelf import Shelf
from tui.downloads.words import problem_words
from tui.hubs.records import Variant
from tui.planning import verdict_words
from tui.session.fetching import order_of, path_of
from tui.session.finding import on_machine
from tui.shell.progress_line import ProgressLine
from tui.words import tr

_PART = 0.1
"""Where there is no terminal, a line is written for each such part of a download."""
_EVENT_S = 1.0
"""Seconds between two events of progress."""
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CODES: dict[ProblemKind, ExitCode] = {
    "not_found": ExitCode.MODEL,
    "name": ExitCode.MODEL,
    "disk_full": ExitCode.UNWRITTEN,
    "disk": ExitCode.UNWRITTEN,
    "taken": ExitCode.UNWRITTEN,
}
"""All other problems are the hub's."""


class _NoneSuits(Exception):
    """No variant was named, and none can be chosen; the message says what to write."""


def pull(arguments: argparse.Namespace) -> int:
    """Fetch it. Raises `CommandLineError` and `HubError`."""
    if len(arguments.models) != 1:
        raise CommandLineError(tr("name one model, such as {name}.", name="Qwen/Qwen3-4B-GGUF"))
    (written,) = arguments.models
    own = OwnLibrary(arguments)
    remote = named_remotely(written, arguments)
    told = _Told(as_json=arguments.json)
    try:
        variant, why = _chosen(remote, own)
    except _NoneSuits as error:
        say_error(str(error))
        return ExitCode.MODEL
    order = order_of(variant, paths.models_dir())
    if arguments.to:
        order = msgspec.structs.replace(order, folder=str(user_path(arguments.to).absolute()))
    told.chosen(order, why)
    if not arguments.to and (here := on_machine(variant, own.found.models)):
        say(tr("{name} is already on this machine.", name=order_name(order)))
        told.done(order, here.paths)
        return ExitCode.FINE
    return _fetch(order, written, told, arguments.limit_rate)


def _chosen(remote: RemoteModel, own: OwnLibrary) -> tuple[Variant, str]:
    """The variant to fetch, and why, where it was chosen here. Raises `_NoneSuits`."""
    variants = remote.content.variants
    if remote.asked is not None:
        return remote.asked, ""
    if len(variants) == 1:
        return variants[0], ""
    found = suited(remote, own, variants)
    for one in variants:
        if found.best is not None and found.best.label == one.label:
            return one, verdict_words.recommended_because(found.best)
    name, labels = remote.repo.id.name, format.listed(*(one.label for one in variants))
    reason = (
        tr("None of the models in {repo} fits into this machine's memory now.", repo=name)
        if found.judged
        else tr("{repo} has several models, and what suits this machine is not known.", repo=name)
    )
    advice = tr("Name one of them, as in {name}: {labels}.", name=f"{name}:{variants[0].label}", labels=labels)
    raise _NoneSuits(f"{reason}\n{advice}")


def _fetch(order: Order, written: str, told: _Told, bytes_per_s: int) -> int:
    again = f"llmtui pull {written if ':' in written else f'{order.repo.name}:{order.label}'}"
    shelf = Shelf(paths.downloads_dir())
    try:
        is_missing = n_there(order) < order.size_bytes
        with _stoppable() as stop:
            end = follow(shelf, order, told.progress, lambda: stop.is_set, bytes_per_s=bytes_per_s)
        problem = end.problem if end is not None and end.state != "done" and not stop.is_set else None
    except FetchError as error:
        end, problem = None, error.problem()
    finally:
        told.clear()
    if problem is not None:
        reason = problem_words(msgspec.structs.replace(problem, retry_at=0.0), order.repo.hub)
        told.failed(problem.kind, reason)
        say_error(f"{reason}\n{tr('What was downloaded is kept. To resume: {command}', command=again)}")
        return _CODES.get(problem.kind, ExitCode.HUB)
    if end is None or end.state != "done":
        told.stopped()
        if end is None:
            say(tr("Cancelled in another window of llmtui."))
        elif end.state != "paused" and (known := shelf.order(end.order.id)) is not None and known.wish == "fetch":
            say(tr("Another window of llmtui is downloading it, and continues."))
        else:
            say(tr("Stopped. What was downloaded is kept; to resume: {command}", command=again))
        return ExitCode.INTERRUPTED
    name, command = order_name(order), f"llmtui {format.path(path_of(order))}"
    if is_missing:
        size = format.size(order.size_bytes)
        say(tr("{name} is downloaded, {size}. Chat with it: {command}", name=name, size=size, command=command))
    else:
        say(tr("{name} is already on this machine.", name=name))
    told.done(order, tuple(Path(order.folder, file.path) for file in order.files))
    return ExitCode.FINE


class _Stop:
    is_set = False


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """Whatever asks the program to end stops the download in an orderly way; a second Ctrl-C does not wait for that."""
    stop = _Stop()

    def end(number: int, _: FrameType | None) -> None:
        stop.is_set = True
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, end) for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Told:
    """What is told while it is fetched: events as JSON, one line that is rewritten on a terminal, lines elsewhere."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._line = ProgressLine(sys.stderr)
        self._is_live = sys.stderr.isatty()
        self._part = -1
        self._at = 0.0
        self._state = ""

    def chosen(self, order: Order, why: str) -> None:
        """Which variant is fetched, and why, where nobody named it."""
        self._event(
            "chosen", label=order.label, repo=order.repo.name, hub=order.repo.hub, size_bytes=order.size_bytes, why=why
        )
        if why:
            say(tr("{name}, {size}. {why}", name=order_name(order), size=format.size(order.size_bytes), why=why))

    def progress(self, download: Download) -> None:
        """How far it is."""
        is_news = download.state != self._state
        self._state = download.state
        now = time.monotonic()
        if self._as_json and (is_news or now - self._at >= _EVENT_S):
            self._at = now
            self._event(
                "progress",
                state=download.state,
                n_bytes=download.n_bytes,
                size_bytes=download.order.size_bytes,
                bytes_per_s=round(download.bytes_per_s),
                seconds_left=download.seconds_left,
                problem=download.problem.kind if download.problem else None,
            )
        what = problem_words(download.problem, download.order.repo.hub) if download.problem else ""
        if download.state == "waiting" and not what:
            what = tr("Waiting: another window of llmtui downloads others first.")
        if self._is_live:
            self._line.say(share_of(download), what or " · ".join((order_name(download.order), *figures(download)[1:])))
            return
        part = int(share_of(download) / _PART)
        if what and is_news:
            say(what)
        elif self._part < part < 1 / _PART and download.state == "fetching" and not self._as_json:
            say(" · ".join((order_name(download.order), *figures(download))))
        self._part = max(self._part, part)

    def clear(self) -> None:
        """Take the line away."""
        self._line.clear()

    def done(self, order: Order, files: tuple[Path, ...]) -> None:
        """It is there."""
        self._event("done", path=str(files[0]), files=[str(file) for file in files], label=order.label)
        if not self._as_json:
            put(str(files[0]))

    def failed(self, kind: str, reason: str) -> None:
        """It stands still."""
        self._event("failed", kind=kind, reason=reason)

    def stopped(self) -> None:
        """Somebody wanted it to stop."""
        self._event("stopped")

    def _event(self, name: str, **fields: object) -> None:
        if self._as_json:
            put(json.dumps({"event": name, **fields}, ensure_ascii=False))
