"""What may be asked of a hub, and how it fails. Everything here blocks and is meant for a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from tui.base.text import one_line
from tui.hubs.records import HubName, Location, Page, Query, RemoteFile, Repo, RepoId
from tui.models.source import ByteSource
from tui.words.later import Later

HubErrorKind = Literal[
    "offline", "unreachable", "timeout", "certificate", "proxy", "captive", "busy", "server", "gated", "token",
    "not_found", "name", "protocol", "model",
]  # fmt: skip
"""A "captive" network answers in the hub's place; a "name" is one that the user wrote; a "model" is there and cannot be
used."""


class HubError(Exception):
    """A hub could not be asked, or refused. `str` of it is one sentence with what to do, in the language in use."""

    def __init__(self, kind: HubErrorKind, hub: HubName | None, why: Later, *, retry_after_s: float = 0.0) -> None:
        super().__init__(kind, hub, why)
        self.kind: HubErrorKind = kind
        self.hub = hub
        """None where it is about what was written, before a hub was asked."""
        self.why = why
        self.retry_after_s = retry_after_s
        """What the hub asks to wait; 0 when it does not say."""

    def __str__(self) -> str:
        return one_line(str(self.why))


class AllFailed(HubError):
    """Several hubs were asked and none could answer. `str` of it has a line for each of their sentences."""

    def __init__(self, failures: Sequence[HubError]) -> None:
        """Of two hubs at least, in the order in which they are asked."""
        super().__init__(failures[0].kind, None, failures[0].why)
        self.failures = tuple(failures)

    def __str__(self) -> str:
        return "\n".join(dict.fromkeys(map(str, self.failures)))


class OpenSource(ByteSource, Protocol):
    """A remote file that is read by ranges; what was read is kept until it is closed. `read_at` raises `HubError`."""

    block: int
    """Bytes that the next request asks for at least."""

    def close(self) -> None:
        """Let go of the connection."""


class Hub(Protocol):
    """A hub of models. Every method raises `HubError`."""

    name: HubName

    def search(self, query: Query, page: str = "") -> Page:
        """Repositories with GGUF files; `page` is the `next` of the page before."""

    def repo(self, repo: RepoId) -> Repo:
        """A repository with its files."""

    def location(self, repo: Repo, file: RemoteFile) -> Location:
        """Where the bytes of a file are, for whoever fetches it."""

    def open(self, repo: Repo, file: RemoteFile) -> OpenSource:
        """The file, read by ranges: for its header."""
