"""What the header of a remote model says, without fetching the model: the same record as of a file on this machine.

A header is a few MB, almost all of it the vocabulary, which all quantizations of a model share: it is fetched with the
first one, and lent to the others.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tui.hubs import errors
from tui.hubs.at_once import as_they_come
from tui.hubs.interface import Hub, HubError
from tui.hubs.kept_headers import KeptHeaders
from tui.hubs.records import Repo, Variant
from tui.hubs.vocabulary import Vocabulary
from tui.models.budget import Budget
from tui.models.cursor import GGUFError
from tui.models.gguf import GgufHeader, read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.modelfile import stem
from tui.models.source import ByteSource
from tui.words.later import Later, later

_SMALL_BLOCK = 64 << 10
"""Bytes of the first request where the vocabulary is known already, or the part is not the first one."""
_AT_ONCE = 4
"""Requests for the parts of one model."""


def read_remote(
    hub: Hub, repo: Repo, variant: Variant, vocabulary: Vocabulary, kept: KeptHeaders | None = None
) -> ModelInfo:
    """What the headers of all files of a variant say. Blocks. Raises `HubError`, of the kind "model" for a file that is
    there and cannot be used."""
    if kept is not None and (info := kept.get(variant)):
        return info
    try:
        info = _read(hub, repo, variant, vocabulary)
    except GGUFError as error:
        if vocabulary.is_empty:
            raise _unusable(variant, error) from error
        try:
            info = _read(hub, repo, variant, Vocabulary())
        except GGUFError as second:
            raise _unusable(variant, second) from second
    if kept is not None:
        kept.put(variant, info)
    return info


def _read(hub: Hub, repo: Repo, variant: Variant, vocabulary: Vocabulary) -> ModelInfo:
    sources = [hub.open(repo, file) for file in variant.files]
    for source in sources[1:] if vocabulary.is_empty else sources:
        source.block = _SMALL_BLOCK
    try:
        for at in range(1, len(sources), _AT_ONCE):
            some = sources[at : at + _AT_ONCE]
            list(as_they_come({number: partial(source.read_at, 0, _SMALL_BLOCK) for number, source in enumerate(some)}))
        budget = Budget()
        first = _header(hub, vocabulary.lent_to(sources[0]), budget)
        vocabulary.learn(first, sources[0])
        headers = [first, *(_header(hub, source, budget) for source in sources[1:])]
        return from_headers(headers, stem(Path(variant.files[0].path)))
    finally:
        for source in sources:
            source.close()


def _header(hub: Hub, source: ByteSource, budget: Budget) -> GgufHeader:
    try:
        return read_header(source, budget=budget)
    except GGUFError as error:
        start = source.read_at(0, 256).decode("utf-8", "replace")
        if error.kind == "not_gguf" and errors.is_web_page(start):
            raise errors.captive(hub.name) from error
        raise


def _unusable(variant: Variant, error: GGUFError) -> HubError:
    file = variant.files[0].path
    why: Later
    match error.kind:
        case "not_gguf":
            why = later("{file} is not a GGUF file: choose another one.", file=file)
        case "truncated_data" | "truncated":
            why = later("{file} is incomplete on the hub: choose another one.", file=file)
        case _:
            why = later("{file} cannot be used: {detail}. Choose another one.", file=file, detail=error.detail)
    return HubError("model", variant.repo.hub, why)
