"""Which models can guess what another one writes: much smaller ones with the same vocabulary, the smallest first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE
from tests.engine.memory_models import build
from tui.config.settings import ChosenLoad
from tui.models.library import LibraryModel, inspect
from tui.models.samevocab import same_vocabulary
from tui.planning import drafts
from tui.planning.draftload import draft_info, why_no_draft
from tui.planning.drafts import LEAST_BYTES, auto_draft, may_have_draft, read_bytes, suitable
from tui.planning.exact import Confirmed
from tui.planning.now import MemoryNow
from tui.planning.verdict import Verdict

LARGE = msgspec.structs.replace(inspect(DENSE).info, weights_bytes=20 * LEAST_BYTES)
ROOM = MemoryNow(host_free_bytes=64 << 30, host_total_bytes=64 << 30)


def sized(path: Path, gib: float) -> LibraryModel:
    """A file with a vocabulary, as if its weights were so many GiB."""
    model = inspect(path)
    return msgspec.structs.replace(
        model, info=msgspec.structs.replace(model.info, weights_bytes=int(gib * (1 << 30)), input_bytes=0)
    )


def test_smaller_ones_of_the_same_vocabulary_are_suitable(tmp_path: Path) -> None:
    other = build(tmp_path / "other.gguf", "dense")
    small, tiny, half, foreign = sized(MOE, 2), sized(MOE, 0.5), sized(MOE, 9), sized(other, 1)
    assert suitable(DENSE, LARGE, [small, half, foreign, tiny]) == [tiny, small]
    assert suitable(MOE, LARGE, [tiny]) == [], "it is no draft model of itself"


def test_of_models_with_far_more_or_fewer_tokens_no_vocabulary_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = list[Path]()

    def look(_: Path, other: Path) -> bool:
        compared.append(other)
        return True

    monkeypatch.setattr(drafts, "same_vocabulary", look)
    larger, same = msgspec.structs.replace(sized(MOE, 1).info, n_vocab=LARGE.n_vocab + 513), sized(MOE, 2)
    assert suitable(DENSE, LARGE, [msgspec.structs.replace(same, info=larger), same]) == [same]
    assert compared == [MOE]


def test_nothing_is_suitable_for_a_model_that_cannot_go_back(tmp_path: Path) -> None:
    mamba = inspect(build(tmp_path / "mamba.gguf", "recurrent"))
    info = msgspec.structs.replace(mamba.info, weights_bytes=20 * LEAST_BYTES)
    assert suitable(mamba.path, info, [sized(build(tmp_path / "other.gguf", "dense"), 1)]) == []


def test_of_a_mixture_of_experts_counts_what_a_token_reads() -> None:
    info = inspect(MOE).info
    assert info.expert_share < 1
    assert read_bytes(info) < info.weights_bytes
    assert read_bytes(LARGE) > LEAST_BYTES


@pytest.mark.parametrize(
    ("choice", "is_large", "may"),
    [
        (ChosenLoad(), True, True),
        (ChosenLoad(), False, False),
        (ChosenLoad(model_draft="off"), True, False),
        (ChosenLoad(speculative="off"), True, False),
    ],
)
def test_auto_looks_for_one_only_where_it_could_pay(choice: ChosenLoad, *, is_large: bool, may: bool) -> None:
    assert may_have_draft(choice, LARGE if is_large else inspect(DENSE).info) == may


async def test_auto_takes_the_first_that_fits_beside_the_model() -> None:
    async def library() -> tuple[LibraryModel, ...]:
        return (sized(MOE, 0.5),)

    model = msgspec.structs.replace(inspect(DENSE), info=LARGE)
    for room, found in ((ROOM, str(MOE)), (MemoryNow(host_free_bytes=1 << 20, host_total_bytes=64 << 30), "off")):
        confirmed = Confirmed(None, DENSE, inspect(DENSE).info, (), room)
        assert await auto_draft(confirmed, model, ChosenLoad(backend="cpu"), library) == found


async def test_a_library_that_takes_long_to_look_through_holds_up_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    async def library() -> tuple[LibraryModel, ...]:
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(drafts, "LOOK_S", 0.01)
    confirmed = Confirmed(None, DENSE, inspect(DENSE).info, (), ROOM)
    assert await auto_draft(confirmed, inspect(DENSE), ChosenLoad(), library) == "off"


async def test_plans_that_take_long_hold_up_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Confirmed):
        async def judge(self, choice: ChosenLoad) -> Verdict:
            await asyncio.Event().wait()
            return await super().judge(choice)

    async def library() -> tuple[LibraryModel, ...]:
        return (sized(MOE, 0.5),)

    model = msgspec.structs.replace(inspect(DENSE), info=LARGE)
    assert len(await drafts.drafts_for(model, library)) == 1
    monkeypatch.setattr(drafts, "LOOK_S", 0.5)
    assert await auto_draft(Slow(None, DENSE, model.info, (), ROOM), model, ChosenLoad(), library) == "off"


def test_vocabularies_are_compared_token_by_token(tmp_path: Path) -> None:
    assert same_vocabulary(DENSE, MOE)
    assert not same_vocabulary(DENSE, build(tmp_path / "other.gguf", "dense"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert not same_vocabulary(DENSE, tmp_path / "broken.gguf")
    assert not same_vocabulary(tmp_path / "nothing.gguf", DENSE)


def test_a_model_that_cannot_go_back_takes_none_that_is_named(tmp_path: Path) -> None:
    mamba, dense = (build(tmp_path / f"{kind}.gguf", kind) for kind in ("recurrent", "dense"))
    assert "no draft model can help it" in str(why_no_draft(mamba, dense))
    assert why_no_draft(build(tmp_path / "hybrid.gguf", "hybrid"), dense) is None


@pytest.mark.parametrize("written", ["a" * 300, "x\0y"], ids=["too long a name", "no path at all"])
def test_what_can_be_no_path_is_no_draft_model(written: str) -> None:
    assert draft_info(Path(written)) is None
    assert "There is no draft model at" in str(why_no_draft(DENSE, Path(written)))
