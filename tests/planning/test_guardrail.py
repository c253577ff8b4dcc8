"""`may_load`: what is loaded as it was asked for, what is changed first, and what is left to a person, with what would
help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.planning.shapes import CPU, DEVICES, GIB, HEAD_80, QWEN3_8B, QWEN3_30B_A3B, machine
from tui.config.settings import ChosenLoad
from tui.models.info import ModelInfo
from tui.planning.exact import Confirmed
from tui.planning.guardrail import ALL_SETTINGS, PLACEMENT, LoadPermission, may_load, no_others
from tui.planning.now import MemoryNow
from tui.planning.verdict import judge
from tui.planning.verdict_words import in_words, loaded_instead

ROOMY = machine(64 * GIB, 64 * GIB, reserve=GIB)
SMALL_CARD = machine(64 * GIB, 3 * GIB, reserve=GIB)
SMALL = machine(4 * GIB, 4 * GIB)
LOW_CARD = machine(64 * GIB, 15 * GIB)
ASKED = ChosenLoad(n_ctx=32768)


async def asked(
    choice: ChosenLoad, memory: MemoryNow, chosen: frozenset[str] = ALL_SETTINGS, *, helps: bool = False
) -> LoadPermission:
    confirmed = Confirmed(None, Path("/models/a.gguf"), QWEN3_8B, DEVICES, memory)
    return await may_load(confirmed, choice, chosen=chosen, others=no_others if helps else None)


async def test_what_fits_is_loaded_as_it_was_asked_for() -> None:
    permission = await asked(ASKED, ROOMY, helps=True)
    assert (permission.is_given, permission.fit, permission.instead, permission.remedies) == (True, "fits", None, ())
    assert permission.outcome == judge(QWEN3_8B, ASKED, DEVICES, ROOMY)


async def test_what_nobody_chose_is_changed_to_what_fits() -> None:
    permission = await asked(ASKED, SMALL_CARD, frozenset({"n_ctx"}))
    assert permission.instead is not None and not permission.is_given
    assert permission.fit == "tight" and permission.outcome.fit == "fits" and permission.verdict.fit == "no"
    assert permission.instead.choice.n_ctx == 32768
    n_gpu_layers = permission.instead.choice.n_gpu_layers
    assert f"{n_gpu_layers} of 37 layers on the GPU and a context of 32,768 tokens" in loaded_instead(
        permission.instead
    )


@pytest.mark.parametrize("chosen", [PLACEMENT, ALL_SETTINGS], ids=["layers", "everything"])
async def test_what_somebody_chose_is_not_changed_but_what_would_help_is_told_who_asks(chosen: frozenset[str]) -> None:
    permission = await asked(ASKED, SMALL_CARD, chosen, helps=True)
    assert permission.instead is None and not permission.is_given
    assert permission.remedies and all(remedy.verdict.fit == "fits" for remedy in permission.remedies)
    assert (await asked(ASKED, SMALL_CARD, chosen)).remedies == ()


async def test_a_context_is_cut_only_if_nobody_chose_it() -> None:
    choice = ChosenLoad(n_ctx=32768, backend="cpu")
    memory = machine(judge(QWEN3_8B, ChosenLoad(n_ctx=2048, backend="cpu"), DEVICES, ROOMY).plan.host.total_bytes)
    cut = (await asked(choice, memory, ALL_SETTINGS - {"n_ctx"})).instead
    assert cut is not None and cut.is_cut and cut.choice.n_ctx == 2048
    assert (await asked(choice, memory)).instead is None


@pytest.mark.parametrize(
    ("info", "choice", "memory", "words"),
    [
        (
            QWEN3_8B,
            ChosenLoad(n_ctx=4096),
            ROOMY,
            "fits · needs X of Y in Vulkan0 · 37/37 layers on GPU",
        ),
        (QWEN3_8B, ChosenLoad(n_ctx=4096, n_gpu_layers=0), ROOMY, "fits · needs X of Y in RAM · 0/37 layers on GPU"),
        (QWEN3_8B, ChosenLoad(n_ctx=4096, backend="cpu"), ROOMY, "fits · needs X of Y in RAM · CPU only"),
        (
            QWEN3_30B_A3B,
            ChosenLoad(n_ctx=4096, n_cpu_moe=9),
            ROOMY,
            "fits · needs X of Y in Vulkan0 · 49/49 layers on GPU · experts on CPU: 9 layers",
        ),
        (QWEN3_30B_A3B, ChosenLoad(n_ctx=4096), SMALL, "does not fit · needs X of Y in Vulkan0"),
        (QWEN3_30B_A3B, ChosenLoad(n_ctx=4096), LOW_CARD, "does not fit · needs X of Y in Vulkan0"),
    ],
)
def test_in_words_it_says_what_is_needed_where_and_how_it_would_be_loaded(
    info: ModelInfo, choice: ChosenLoad, memory: MemoryNow, words: str
) -> None:
    verdict = judge(info, choice, (CPU, *DEVICES[1:]), memory)
    told = re.sub(r"needs [\d.]+ of [\d.]+ GiB", "needs X of Y", in_words(verdict, verdict.fit))
    assert told == words


def test_what_cannot_be_loaded_at_all_says_why_in_words() -> None:
    verdict = judge(HEAD_80, ChosenLoad(n_ctx=4096, type_k="q8_0"), (CPU, *DEVICES[1:]), ROOMY)
    assert in_words(verdict, verdict.fit) == verdict.obstacle != ""
