"""What the header of a remote model says, without fetching the model: the same record as of a file on this machine.

A header is a few MB, almost all of it the vocabulary, which all quantizations of a model share: it is fetched with the
first one, and passed over in the others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tui.hubs import errors
from tui.hubs.interface import Hub, HubError, OpenSource
from tui.hubs.kept_headers import KeptHeaders
from tui.hubs.ranges import SMALL_BLOCK
from tui.hubs.records import Repo, Variant
from tui.models.arraymemo import ArrayMemo
from tui.models.budget import Budget
from tui.models.gguf import GGUFError, GgufHeader, read_header
from tui.models.info import ModelInfo, from_headers
from tui.models.modelfile import stem
from tui.models.source import ByteSource
from tui.words.later import Later, later

_END_BYTES = 512
_AT_ONCE = 4
"""Requests for the parts of one model."""


class RepoMemo(ArrayMemo):
    """The vocabularies of one repository. An array of as many strings, whose end is the same, is taken for the same:
    comparing it whole would fetch it. What follows from a wrong guess is a header that makes no sense."""

    def __init__(self) -> None:
        super().__init__(max_bytes=0)
        self._ends: dict[int, tuple[int, bytes]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learned yet."""
        return not self._ends

    def length(self, count: int, source: ByteSource, offset: int) -> int | None:
        if count not in self._ends:
            return None
        length, end = self._ends[count]
        return length if source.read_at(offset + length - len(end), len(end)) == end else None

    def remember(self, count: int, source: ByteSource, offset: int, length: int) -> None:
        if count >= self.MIN_COUNT and length > _END_BYTES:
            self._ends[count] = (length, source.read_at(offset + length - _END_BYTES, _END_BYTES))


def read_remote(hub: Hub, repo: Repo, variant: Variant, memo: RepoMemo, kept: KeptHeaders | None = None) -> ModelInfo:
    """What the headers of all files of a variant say. Blocks. Raises `HubError`, of the kind "model" for a file that is
    there and cannot be used."""
    if kept is not None and (info := kept.get(variant)):
        return info
    try:
        info = _read(hub, repo, variant, memo)
    except GGUFError as error:
        if memo.is_empty:
            raise _unusable(variant, error) from error
        try:
            info = _read(hub, repo, variant, RepoMemo())
        except GGUFError as second:
            raise _unusable(variant, second) from second
    if kept is not None:
        kept.put(variant, info)
    return info


def _read(hub: Hub, repo: Repo, variant: Variant, memo: RepoMemo) -> ModelInfo:
    sources = [hub.open(repo, file) for file in variant.files]
    for source in sources if not memo.is_empty else sources[1:]:
        source.block = SMALL_BLOCK
    try:
        if len(sources) > 1:
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                list(threads.map(_begin, sources[1:]))
        budget = Budget()
        headers = [_header(hub, source, memo, budget) for source in sources]
        return from_headers(headers, stem(Path(variant.files[0].path)))
    finally:
        for source in sources:
            source.close()


def _begin(source: OpenSource) -> None:
    source.read_at(0, SMALL_BLOCK)


def _header(hub: Hub, source: OpenSource, memo: RepoMemo, budget: Budget) -> GgufHeader:
    try:
        return read_header(source, memo=memo, budget=budget)
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
            why = later("{file} is no GGUF file: choose another one.", file=file)
        case "truncated_data" | "truncated":
            why = later("{file} is incomplete on the hub: choose another one.", file=file)
        case _:
            why = later("{file} cannot be used: {detail}. Choose another one.", file=file, detail=error.detail)
    return HubError("model", variant.repo.hub, why)
