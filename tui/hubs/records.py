"""What a hub knows, as records: repositories, their files, what of them can be loaded."""

from __future__ import annotations

from typing import Literal

import msgspec

HubName = Literal["huggingface", "modelscope"]

Sort = Literal["downloads", "likes", "updated"]


class RepoId(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of models."""

    hub: HubName
    name: str
    """Such as "Qwen/Qwen3-4B-GGUF"."""
    revision: str = ""
    """Branch, tag or commit; "" for the hub's default."""

    @property
    def author(self) -> str:
        """Who published it."""
        return self.name.partition("/")[0]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A search for repositories that hold GGUF files."""

    text: str = ""
    author: str = ""
    sort: Sort = "downloads"
    limit: int = 30
    """Repositories at most in one page."""


class FoundRepo(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a search's result. What a hub does not tell is None or ""."""

    id: RepoId
    n_downloads: int | None = None
    n_likes: int | None = None
    updated_at: float | None = None
    """Seconds since 1970."""
    n_params: int | None = None
    """As the hub counts them, else as the name says."""
    licence: str = ""
    is_gated: bool = False
    """Whether its terms have to be accepted before its files can be read."""
    also_on: tuple[HubName, ...] = ()
    """Other hubs that have a repository of this name."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a search's result."""

    repos: tuple[FoundRepo, ...] = ()
    next: str = ""
    """What asks for the page behind this one; "" when there is none."""


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a repository."""

    path: str
    """Inside the repository, checked: relative, without "..", of printable characters."""
    size_bytes: int
    sha256: str = ""
    """In hexadecimal; "" when the hub does not tell."""


class Repo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository with its files, as of one commit."""

    id: RepoId
    commit: str = ""
    files: tuple[RemoteFile, ...] = ()
    found: FoundRepo
    """What a search tells of it."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a repository in one quantization: what is fetched and loaded as a whole."""

    repo: RepoId
    commit: str = ""
    label: str
    """What tells it apart in its repository and follows the colon in REPO:LABEL, such as "Q4_K_M"."""
    quant: str
    """Such as "Q4_K_M"; "" when the name does not tell."""
    files: tuple[RemoteFile, ...]
    """One, or the parts of a split file in their order."""

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(file.size_bytes for file in self.files)


class RepoContent(msgspec.Struct, frozen=True, kw_only=True):
    """The GGUF files of a repository, sorted."""

    variants: tuple[Variant, ...] = ()
    """From the smallest to the largest."""
    projectors: tuple[RemoteFile, ...] = ()
    """What sees or hears for a model; not loaded by itself."""
    other: tuple[RemoteFile, ...] = ()
    """GGUF files that are no whole model, such as an incomplete set of parts or an importance matrix."""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of a file are."""

    url: str
    headers: dict[str, str] = {}
    """With the user's token, where the hub needs one. Never sent on to another host, and never logged."""
