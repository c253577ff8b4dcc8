"""The hubs there are, and what about each of them is said or looked up where no client of its is needed."""

from __future__ import annotations

import msgspec

from tui.hubs.records import HubName, RepoId


class KnownHub(msgspec.Struct, frozen=True, kw_only=True):
    """One hub."""

    title: str
    """What it calls itself."""
    short: str
    """What people shorten its name to; with "://", the beginning of an address too."""
    page: str
    """Address of a repository's page, but for its name."""
    hosts: tuple[str, ...]
    """Its own, as they stand in addresses of pages and files, without "www."."""
    mirrors: tuple[str, ...] = ()
    """Hosts that have the same under another address."""
    token: str
    """The environment variable that its library reads a token from."""
    token_page: str
    """Where a token is made."""
    endpoint: str
    """The environment variable that leads to another address."""


HUBS: dict[HubName, KnownHub] = {
    "huggingface": KnownHub(
        title="Hugging Face",
        short="hf",
        page="https://huggingface.co/",
        hosts=("huggingface.co", "hf.co"),
        mirrors=("hf-mirror.com",),
        token="HF_TOKEN",
        token_page="huggingface.co/settings/tokens",
        endpoint="HF_ENDPOINT",
    ),
    "modelscope": KnownHub(
        title="ModelScope",
        short="ms",
        page="https://modelscope.cn/models/",
        hosts=("modelscope.cn", "modelscope.ai"),
        token="MODELSCOPE_API_TOKEN",
        token_page="modelscope.cn/my/myaccesstoken",
        endpoint="MODELSCOPE_ENDPOINT",
    ),
}
"""By name, in the order in which they are asked."""


def page_of(repo: RepoId) -> str:
    """The page of a repository for a browser."""
    return f"{HUBS[repo.hub].page}{repo.name}"
