"""What the app says of hubs, repositories and downloads, where more than one screen says it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import Row
from tui.base import format
from tui.downloads.progress_words import figures, order_name, percent, share_of
from tui.downloads.records import Download, Problem
from tui.downloads.words import problem_words
from tui.hubs.records import RepoId
from tui.words import mark, tr, trn

UNKNOWN_BPS = 12_500_000
"""Bytes per second of a line of 100 Mbit/s, by which a download's time is told before anything was fetched."""

_STATES = {
    "waiting": mark("waiting"),
    "fetching": mark("downloading"),
    "checking": mark("checking"),
    "paused": mark("paused"),
    "failed": mark("stopped"),
    "done": mark("downloaded"),
}


def state(download: Download) -> str:
    """ "fetching 43%", "waiting", "downloaded"."""
    word = tr(_STATES[download.state])
    if download.state in ("fetching", "paused", "checking", "failed") and download.n_bytes:
        return tr("{state} {percent}", state=word, percent=percent(share_of(download)))
    return word


def problem(found: Problem, repo: RepoId) -> str:
    """Why a download stands still, and what to do or when it goes on."""
    told = problem_words(found, repo.hub)
    if not found.retry_at:
        return told
    return tr("{why} Tried again at {time}.", why=told, time=f"{datetime.fromtimestamp(found.retry_at):%H:%M:%S}")


def fetch_time(size_bytes: int, bytes_per_s: float) -> str:
    """How long fetching takes, at the speed that was reached before or at a usual one."""
    if bytes_per_s > 0:
        return tr("about {time}", time=format.about(size_bytes / bytes_per_s))
    return tr("about {time} at 100 Mbit/s", time=format.about(size_bytes / UNKNOWN_BPS))


def no_room(size_bytes: int, room: int, kept: int) -> str:
    """Why a model is not fetched."""
    return tr(
        "The disk is too full: the download takes {needed}, {free} is free, and {kept} should stay free.",
        needed=format.size(size_bytes),
        free=format.size(room),
        kept=format.size(kept),
    )


def goes_on(downloads: Sequence[Download], *, in_background: bool = False) -> str:
    """What is said at the end about what is not whole yet; nothing where all is."""
    left = [one for one in downloads if one.state in ("waiting", "fetching", "checking")]
    if in_background:
        return (
            trn("{n} download goes on in the background.", "{n} downloads go on in the background.", len(left))
            if left
            else ""
        )
    if len(left) == 1:
        name, part = order_name(left[0].order), percent(share_of(left[0]))
        return tr("{name} is {percent} downloaded: the rest follows at the next start.", name=name, percent=part)
    return (
        trn("{n} download goes on at the next start.", "{n} downloads go on at the next start.", len(left))
        if left
        else ""
    )


def bar(part: float, cells: int) -> Row:
    """A thin bar."""
    full = int(part * cells)
    return (("━" * full, "key"), ("─" * (cells - full), "faint"))


def progress_line(download: Download, n_waiting: int, key: str, width: int) -> Row:
    """One line about what is being fetched, as much as there is room for: name, bar, figures, how many wait, the key
    that shows more."""
    name = order_name(download.order)
    told = [*figures(download), *([tr("{n} waiting", n=n_waiting)] if n_waiting else [])]
    end = f"  {key}" if key else ""
    while len(told) > 1 and width_of(name) + sum(width_of(text) + 3 for text in told) + width_of(end) > width - 4:
        told.pop()
    figures_ = " · ".join(told)
    cells = width - width_of(name) - width_of(figures_) - width_of(end) - 6
    row: list[tuple[str, str]] = [("↓ ", "key"), (name, "")]
    if cells >= 6:
        row += [("  ", ""), *bar(share_of(download), min(cells, 24))]
    return (*row, ("  ", ""), (figures_, "muted"), (end, "key"))
