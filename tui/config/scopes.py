"""Where keys work: the scopes of the table of actions, which of them are live together, and where letters are typed."""

from __future__ import annotations

from typing import Literal

Scope = Literal[
    "app",
    "chat",
    "input",
    "completion",
    "transcript",
    "card",
    "dialog",
    "list",
    "folder",
    "picker",
    "load",
    "conversations",
    "presets",
    "odds",
    "form",
    "log",
    "details",
    "bench",
    "monitor",
    "find",
    "repository",
    "downloads",
    "compare",
]

SCOPE_PARENTS: dict[Scope, Scope] = {
    "chat": "app",
    "input": "chat",
    "completion": "app",
    "transcript": "chat",
    "card": "chat",
    "dialog": "app",
    "list": "dialog",
    "folder": "dialog",
    "picker": "dialog",
    "load": "dialog",
    "conversations": "dialog",
    "presets": "dialog",
    "odds": "dialog",
    "form": "dialog",
    "log": "dialog",
    "details": "dialog",
    "bench": "dialog",
    "monitor": "app",
    "find": "dialog",
    "repository": "dialog",
    "downloads": "dialog",
    "compare": "dialog",
}
"""A scope is live together with all those above it. "app" is what needs no conversation; "chat" is the main screen,
within it "input" is the prompt, "completion" what is offered for a word of it, whose keys go before all others of the
prompt, "transcript" a selected message, "card" the card of an engine that died or a load that failed; "dialog" is any
dialog, within it "list" is one that an entry is taken from, "folder" one in which files are chosen, "form" one whose
text or values are saved, "log" one with lines to read, "details" all about a model, "bench" the one that measures,
"find" the search on the hubs, "repository" what can be fetched of one repository, "downloads" what is being fetched,
"compare" two answers beside each other; "monitor" is the full-screen monitor."""


def live_together(first: Scope, second: Scope) -> bool:
    """Whether keys of both scopes can be live at one time: the same scope, or one above the other."""
    return first in _with_parents(second) or second in _with_parents(first)


def takes_text(scope: Scope) -> bool:
    """Whether letters are typed where this scope is live, so that its keys must not be letters."""
    return scope not in ("transcript", "card", "load", "bench", "monitor", "downloads", "details", "odds", "compare")


def _with_parents(scope: Scope) -> tuple[Scope, ...]:
    chain = [scope]
    while parent := SCOPE_PARENTS.get(chain[-1]):
        chain.append(parent)
    return tuple(chain)
