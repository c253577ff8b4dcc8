"""What the commands ask the hubs: a repository with what can be loaded of it, and what each variant would do here."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tui.base.terminal_style import say
from tui.cli.judging import Judged, here
from tui.cli.own_library import OwnLibrary
from tui.hubs.interface import HubError
from tui.hubs.records import Repo, RepoContent, Variant
from tui.hubs.reference import parse_reference
from tui.hubs.registry import Hubs, variant_of
from tui.hubs.variants import content_of
from tui.models.info import ModelInfo
from tui.planning.recommending import JudgedVariant, Recommendation, as_variant, first_to_read, recommended
from tui.words import tr


class RemoteModel(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that somebody named."""

    hubs: Hubs
    repo: Repo
    content: RepoContent
    asked: Variant | None = None
    """The one that was named with it."""


class Suited(msgspec.Struct, frozen=True, kw_only=True):
    """What variants of a repository are and would do here. Empty where a header could not be read."""

    infos: Mapping[str, ModelInfo] = {}
    """By label."""
    judged: Mapping[str, Judged] = {}
    """By label; empty where no engine can be asked."""
    best: Recommendation | None = None
    """Among all of them."""


def named_remotely(written: str, arguments: argparse.Namespace) -> RemoteModel:
    """The repository, and the variant that was named with it. Asks the hubs; raises `HubError`."""
    reference = parse_reference(written)
    if arguments.hub and reference.hub is None:
        reference = msgspec.structs.replace(reference, hub=arguments.hub)
    hubs = Hubs()
    repo = hubs.repo(reference)
    content = content_of(repo)
    return RemoteModel(hubs=hubs, repo=repo, content=content, asked=variant_of(content, reference, repo.id))


def suited(remote: RemoteModel, own: OwnLibrary, variants: Sequence[Variant]) -> Suited:
    """What these variants would do here, by the header of one of them that is scaled to the sizes of the others. What
    cannot be read is said on stderr, and left out."""
    left, first, info = list(variants), None, None
    while info is None and (first := first_to_read(left)) is not None:
        try:
            info = remote.hubs.info(remote.repo, first)
        except HubError as error:
            if error.kind != "model" or len(left) == 1:  # another file would fail in the same way
                say(tr("Needs and speeds are not known. {reason}", reason=error))
                return Suited()
            say(str(error))
            left.remove(first)
    if info is None:
        return Suited()
    infos = {one.label: info if one is first else as_variant(info, one) for one in left}
    judged = asyncio.run(_judged(own, infos))
    found = [_as_recommended(one, infos[one.label], judged[one.label]) for one in left if one.label in judged]
    return Suited(infos=infos, judged=judged, best=recommended(found))


async def _judged(own: OwnLibrary, infos: Mapping[str, ModelInfo]) -> dict[str, Judged]:
    machine = await here(own)
    if machine is None:
        return {}
    return {label: await machine.judged(info, Path(info.name)) for label, info in infos.items()}


def _as_recommended(variant: Variant, info: ModelInfo, judged: Judged) -> JudgedVariant:
    tps = judged.decode.tps if judged.decode else None
    return JudgedVariant(variant=variant, info=info, permission=judged.permission, decode_tps=tps)
