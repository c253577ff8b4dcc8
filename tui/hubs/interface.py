"""What may be asked of a hub, and how it fails. Everything here blocks and is meant for a thread."""

from __future__ import annotations

from typing import Literal, Protocol

from tui.hubs.records import HubName, Location, Page, Query, RemoteFile, Repo, RepoId
from tui.models.source import ByteSource
from tui.words.later import Later

HubErrorKind = Literal[
    "offline", "unreachable", "timeout", "certificate", "proxy", "captive", "busy", "server", "gated", "token",
    "not_found", "name", "protocol",
]  # fmt: skip


class HubError(Exception):
    """A hub could not be asked, or refused. `str` of it is one sentence with what to do, in the language in use."""

    def __init__(self, kind: HubErrorKind, hub: HubName, why: Later, *, retry_after_s: float = 0.0) -> None:
        super().__init__(kind, hub, why)
        self.kind, self.hub, self.why = kind, hub, why
        self.retry_after_s = retry_after_s
        """What the hub asks to wait; 0 when it does not say."""

    def __str__(self) -> str:
        return str(self.why)


class Hub(Protocol):
    """A hub of models. Every method raises `HubError`."""

    name: HubName

    def search(self, query: Query, page: str = "") -> Page:
        """Repositories with GGUF files; `page` is the `next` of the page before."""

    def repo(self, repo: RepoId) -> Repo:
        """A repository with its files."""

    def location(self, repo: Repo, file: RemoteFile) -> Location:
        """Where the bytes of a file are, for whoever fetches it."""

    def open(self, repo: Repo, file: RemoteFile) -> ByteSource:
        """The file, read by ranges: for its header."""
