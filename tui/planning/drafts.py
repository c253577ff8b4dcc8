"""Which models of the library could be the draft model of another one: what "auto" takes, and what a dialog offers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.models.samevocab import MOST_MORE, same_vocabulary
from tui.planning.draftload import AUTO, OFF, cuts_by_a_token, draft_info, takes_drafts
from tui.planning.exact import Confirmed
from tui.planning.guardrail import Others

MOST_SHARE = 0.2
"""Of the large model's bytes that a token reads, those of one that is worth being offered."""
LEAST_BYTES = 1 << 30
"""Of a model that reads less for a token, a step is too short for guesses to be worth memory: "auto" takes none."""
LOOK_S = 3.0
"""So long "auto" looks for a draft model: neither a library on a slow disk nor plans for many files are waited for."""


def read_bytes(info: ModelInfo) -> int:
    """Of its weights, what a token reads."""
    idle = sum(layer.expert_bytes for layer in info.layers) * (1 - info.expert_share)
    return max(1, info.weights_bytes - round(idle) - (0 if info.tied_bytes else info.input_bytes))


def suitable(path: Path, info: ModelInfo, models: Iterable[LibraryModel]) -> list[LibraryModel]:
    """Those of `models` that can guess what the one at `path` writes and are much smaller, the one that reads least
    first. Blocking: vocabularies are compared."""
    if not takes_drafts(info):
        return []
    most = MOST_SHARE * read_bytes(info)
    small = [
        model
        for model in models
        if model.path != path
        and read_bytes(model.info) <= most
        and cuts_by_a_token(model.info)
        and abs(model.info.n_vocab - info.n_vocab) <= MOST_MORE  # else no header is read for it
    ]
    small.sort(key=lambda one: read_bytes(one.info))
    found = [model for model in small if same_vocabulary(path, model.path)]
    for model in found:
        draft_info(model.path)  # so that no plan with it reads its header on the event loop
    return found


async def drafts_for(model: LibraryModel, others: Others) -> list[LibraryModel]:
    """As `suitable`, of the models that `others` gives."""
    models = await others()
    return await asyncio.to_thread(suitable, model.path, model.info, models)


def may_have_draft(choice: ChosenLoad, info: ModelInfo) -> bool:
    """Whether "auto" is to look for a draft model at all."""
    return choice.model_draft == AUTO and choice.speculative != OFF and read_bytes(info) >= LEAST_BYTES


async def auto_draft(confirmed: Confirmed, model: LibraryModel, choice: ChosenLoad, others: Others) -> str:
    """What "auto" comes to: the path of the first suitable model of `others` that fits beside `model`, which is that of
    `confirmed`; "off" where none does, or where looking for them takes so long that the load would wait for it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            for draft in await drafts_for(model, others):
                verdict = await confirmed.judge(msgspec.structs.replace(choice, model_draft=str(draft.path)))
                if verdict.fit == "fits":
                    return str(draft.path)
    return OFF
