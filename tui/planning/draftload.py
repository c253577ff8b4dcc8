"""A draft model beside the large one: what it is loaded with, and why one cannot be. It is planned as any other load,
and its figures are added. Which one is worth it: `drafts.py`."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from tui.base.splitfile import part_of
from tui.base.userpath import user_path
from tui.models.info import ModelInfo
from tui.models.modelfile import ModelFileError, read_model
from tui.models.purpose import why_not
from tui.models.samevocab import same_vocabulary
from tui.planning.snapshots import keeps_snapshots
from tui.protocol.records import LoadSettings
from tui.words.later import Later, later

AUTO, OFF = "auto", "off"
DRAFT_CTX = 4096
"""Tokens of the conversation that a draft model sees at most: the latest. Its cache is as wide as that of a much larger
model, 112 KiB a token with Qwen3-0.6B, and what is to be written depends on little that is further back."""
_UBATCH = 512


def draft_path(settings: LoadSettings) -> Path | None:
    """The draft model that these settings load; None for none."""
    if settings.model_draft in ("", AUTO, OFF) or settings.speculative == "off" or settings.n_parallel > 1:
        return None
    return user_path(settings.model_draft)


def draft_settings(settings: LoadSettings) -> LoadSettings:
    """What the draft model of a load with `settings` is loaded with: on the same devices, all of it."""
    n_ubatch = min(settings.n_ubatch, settings.n_batch, _UBATCH)
    return msgspec.structs.replace(
        settings,
        n_ctx=min(settings.n_ctx or DRAFT_CTX, DRAFT_CTX),
        n_gpu_layers=-1,
        n_cpu_moe=0,
        n_batch=n_ubatch,
        n_ubatch=n_ubatch,
        swa_full="on",
        speculative="off",
        model_draft=OFF,
        chat_template="",
        stop=(),
    )


def draft_info(path: Path) -> ModelInfo | None:
    """What its header says; None where it cannot be read. Looks at the file's date, and reads it once."""
    try:
        parts = part_of(path)[1]
        stamps = tuple((part, part.stat().st_mtime_ns) for part in parts)
        return _read(stamps)
    except (OSError, ValueError, ModelFileError):  # no path at all, as one with a NUL, is a ValueError
        return None


@functools.lru_cache(maxsize=16)
def _read(stamps: tuple[tuple[Path, int], ...]) -> ModelInfo:
    return read_model([path for path, _ in stamps])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a folder that may not be looked into, a name that is too long
        return False


def cuts_by_a_token(info: ModelInfo) -> bool:
    """Whether what such a model remembers can be taken back by a token."""
    return not any(layer.state_bytes for layer in info.layers)


def takes_drafts(info: ModelInfo) -> bool:
    """Whether what such a model remembers can be taken back by the few tokens of a draft."""
    return cuts_by_a_token(info) or keeps_snapshots(info.arch)


def why_no_draft(path: Path, draft: Path) -> Later | None:
    """Why the model at `path` cannot be loaded with this draft model; None when it can. Blocking."""
    name = draft.name
    if not _is_file(draft):
        return later(
            "There is no draft model at {path}. Choose another one, or switch the draft model off.", path=str(draft)
        )
    info = draft_info(draft)
    if info is None or why_not(info.kind, info.arch):
        return later("{name} cannot be a draft model: it is not a chat model, or it is damaged.", name=name)
    if not cuts_by_a_token(info):
        return later(
            "{name} cannot be a draft model: its state cannot be rolled back. Choose another one.",
            name=name,
        )
    large = draft_info(path)
    if large is not None and not takes_drafts(large):
        return later(
            "This model's state cannot be rolled back, so no draft model can help it. Switch the draft model off."
        )
    if not same_vocabulary(path, draft):
        return later(
            "{name} has another vocabulary, so it cannot guess what this model writes. Choose a small model of the "
            "same family, or switch the draft model off.",
            name=name,
        )
    return None
