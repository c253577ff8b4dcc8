"""`llmtui search`: repositories with models that llama.cpp can load, of both hubs as one list."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime

from tui.app.moments import when
from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.format import listed
from tui.base.terminal_style import Line, Piece, Toned, say
from tui.cli.output import Column, laid_out, put_json, put_lines
from tui.cli.parser import CommandLineError
from tui.hubs.known_hubs import HUBS
from tui.hubs.records import FoundRepo, Query
from tui.hubs.registry import Hubs
from tui.words import mark, tr, trn


def search(arguments: argparse.Namespace) -> int:
    """Print them. Raises `CommandLineError`, and `HubError` when no hub could be asked."""
    text = " ".join(arguments.models).strip()
    if not text and not arguments.author:
        raise CommandLineError(tr("say what to search for: llmtui search qwen3, or --author NAME."))
    query = Query(text=text, author=arguments.author, sort=arguments.sort, limit=arguments.limit)
    found = Hubs().search(query, arguments.hub)
    for failure in found.failures:
        say(str(failure))
    repos = found.repos[: arguments.limit]
    if arguments.json:
        failures = [{"hub": failure.hub, "kind": failure.kind, "reason": str(failure)} for failure in found.failures]
        put_json({"repos": [repo_json(repo) for repo in repos], "failures": failures})
    elif repos:
        has_more = bool(found.next) or len(found.repos) > len(repos)
        put_lines([_headline(repos, has_more=has_more), *laid_out(_columns(repos)), *_advice(repos)])
    else:
        say(tr("Nothing was found. Fewer words find more."))
    return ExitCode.FINE


def _headline(repos: Sequence[FoundRepo], *, has_more: bool) -> Toned:
    n = len(repos)
    if has_more:
        return Toned(
            trn("The first {n} repository; --limit shows more", "The first {n} repositories; --limit shows more", n),
            "headline",
        )
    return Toned(trn("{n} repository", "{n} repositories", n), "headline")


def _columns(repos: Sequence[FoundRepo]) -> list[Column]:
    now = datetime.now()
    return [
        Column(title=mark("REPOSITORY"), cells=[one.id.name for one in repos]),
        Column(
            title=mark("PARAMS"),
            cells=[format.params(one.n_params) if one.n_params else "" for one in repos],
            right=True,
            worth=8,
        ),
        Column(title=mark("DOWNLOADS"), cells=[_count(one.n_downloads) for one in repos], right=True, worth=7),
        Column(title=mark("LIKES"), cells=[_count(one.n_likes) for one in repos], right=True, worth=4),
        Column(
            title=mark("UPDATED"), cells=[when(one.updated_at, now) if one.updated_at else "" for one in repos], worth=6
        ),
        Column(title=mark("LICENCE"), cells=[one.licence for one in repos], worth=3),
        Column(
            title=mark("ON"),
            cells=[listed(*(HUBS[hub].title for hub in (one.id.hub, *one.also_on))) for one in repos],
            worth=2,
        ),
        Column(title="", cells=[_gate(one) for one in repos], worth=5),
    ]


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _gate(repo: FoundRepo) -> Piece:
    return Toned(tr("gated"), "tight") if repo.is_gated else ""


def _advice(repos: Sequence[FoundRepo]) -> list[Line]:
    return ["", Toned(tr("What it would do here: {command}", command=f"llmtui show {repos[0].id.name}"), "quiet")]


def repo_json(repo: FoundRepo) -> dict[str, object]:
    """A repository as a program gets it."""
    return {
        "repo": repo.id.name,
        "hub": repo.id.hub,
        "also_on": list(repo.also_on),
        "n_params": repo.n_params,
        "n_downloads": repo.n_downloads,
        "n_likes": repo.n_likes,
        "updated_at": repo.updated_at,
        "licence": repo.licence,
        "is_gated": repo.is_gated,
    }
