"""How a session reaches the hubs: everything of `tui.hubs` is imported when it is first asked for, in the thread that
asks, because the hubs' own libraries are slow to import."""

from __future__ import annotations

from collections.abc import Sequence

from tui.hubs.interface import Hub
from tui.hubs.records import Repo, RepoContent, Variant
from tui.models.info import ModelInfo
from tui.session.finding import Doors, Opening


def hub_doors() -> Doors:
    """The hubs themselves."""
    return Doors(hubs=_hubs, sort_out=_sort_out, header=_header, meant=_meant)


def _hubs() -> Sequence[Hub]:
    from tui.hubs.huggingface import HuggingFace
    from tui.hubs.modelscope import ModelScope

    return HuggingFace(), ModelScope()


def _sort_out(repo: Repo) -> RepoContent:
    from tui.hubs.variants import content_of

    return content_of(repo)


def _header(hub: Hub, repo: Repo, variant: Variant) -> ModelInfo:
    raise NotImplementedError


def _meant(text: str) -> Opening | None:
    return None
