"""Which variant of a repository, and which of the known models, is the one for this machine, and why."""

from __future__ import annotations

import pytest

from tests.planning.shapes import ASKED, CPU, DEVICES, GIB, QWEN3_8B, machine
from tui.hubs.records import RemoteFile, RepoId, Variant
from tui.planning.now import MemoryNow
from tui.planning.recommending import (
    JudgedVariant,
    active_params,
    as_variant,
    best_suggestion,
    first_to_read,
    recommended,
    would_fit,
)
from tui.planning.suggestions import permitted, suggestions

BITS = {"Q2_K": 3.0, "Q3_K_M": 4.0, "Q4_K_M": 4.9, "Q5_K_M": 5.7, "Q6_K": 6.6, "Q8_0": 8.5, "BF16": 16.0}


def variant(quant: str, n_files: int = 1) -> Variant:
    """Of Qwen3 8B."""
    size = int(QWEN3_8B.n_params * BITS[quant] / 8) // n_files
    files = tuple(RemoteFile(path=f"q-{quant}-{number}.gguf", size_bytes=size) for number in range(n_files))
    return Variant(repo=RepoId(hub="huggingface", name="a/b"), label=quant, quant=quant, files=files)


async def judged(memory: MemoryNow, tps: dict[str, float] | None = None) -> list[JudgedVariant]:
    found = []
    for quant in BITS:
        one = variant(quant)
        info = as_variant(QWEN3_8B, one)
        permission = await permitted(info, DEVICES, memory, ASKED)
        speed = (tps or {}).get(quant)
        found.append(JudgedVariant(variant=one, info=info, permission=permission, decode_tps=speed))
    return found


async def why(memory: MemoryNow, tps: dict[str, float] | None = None) -> tuple[str, str] | None:
    found = recommended(await judged(memory, tps))
    return (found.label, found.why) if found else None


async def test_with_room_for_all_it_is_the_best_and_no_more_than_that() -> None:
    assert await why(machine(64 * GIB, 48 * GIB)) == ("Q6_K", "unmeasured")


async def test_with_less_room_it_is_the_largest_that_fits() -> None:
    label, reason = await why(machine(GIB, 6 * GIB)) or ("", "")
    assert (label, reason) == ("Q5_K_M", "unmeasured")


async def test_what_is_too_slow_gives_way_to_what_is_fast_enough() -> None:
    tps = {"Q2_K": 30.0, "Q3_K_M": 24.0, "Q4_K_M": 20.0, "Q5_K_M": 13.0, "Q6_K": 9.0, "Q8_0": 6.0, "BF16": 3.0}
    assert await why(machine(64 * GIB, 48 * GIB), tps) == ("Q5_K_M", "best")


async def test_where_all_are_slow_it_is_the_fastest_of_good_quality() -> None:
    tps = {quant: 20 / bits for quant, bits in BITS.items()}
    assert await why(machine(64 * GIB, 48 * GIB), tps) == ("Q4_K_M", "fastest")


async def test_where_only_small_ones_fit_it_says_that_quality_is_lost() -> None:
    label, reason = await why(machine(GIB // 2, 9 * GIB // 2)) or ("", "")
    assert (label, reason) == ("Q3_K_M", "largest")


async def test_where_nothing_fits_there_is_none() -> None:
    assert await why(machine(GIB, GIB)) is None


def test_a_variant_is_as_large_as_its_files_and_has_its_quantization() -> None:
    one = variant("Q8_0")
    info = as_variant(QWEN3_8B, one)
    assert info.size_bytes == pytest.approx(one.size_bytes, rel=0.01) and info.quant == "Q8_0"
    assert info.n_params == QWEN3_8B.n_params


def test_the_header_that_is_read_first_is_a_usual_one_in_one_file() -> None:
    assert first_to_read([variant("Q2_K"), variant("Q4_K_M"), variant("BF16", 3)]) == variant("Q4_K_M")
    split, whole = variant("BF16", 3), variant("Q8_0")
    assert first_to_read([whole, split]) == whole
    assert first_to_read([]) is None


@pytest.mark.parametrize(
    ("name", "n_params", "active"),
    [
        ("unsloth/Qwen3-30B-A3B-GGUF", 30_500_000_000, 3_000_000_000),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct-GGUF", 80_000_000_000, 3_000_000_000),
        ("Qwen/Qwen3-4B-GGUF", 4_000_000_000, 4_000_000_000),
        ("somebody/tiny-a22b", 1_000_000_000, 1_000_000_000),
    ],
)
def test_active_parameters_are_in_the_name(name: str, n_params: int, active: int) -> None:
    assert active_params(name, n_params) == active


def test_a_guess_by_parameters_goes_with_the_memory() -> None:
    memory = machine(32 * GIB, 12 * GIB, reserve=GIB)
    assert would_fit(8_000_000_000, memory) == "fits"
    assert would_fit(235_000_000_000, memory) == "no"


async def test_without_any_speed_the_best_suggestion_reads_little_for_a_token() -> None:
    found = await suggestions((CPU,), machine(64 * GIB), ASKED)
    best = best_suggestion(found, [None] * len(found))
    assert best is not None and best.info.name == "Qwen3-30B-A3B"


async def test_with_speeds_it_is_the_largest_that_is_fast_enough_or_else_the_fastest() -> None:
    found = await suggestions((CPU,), machine(64 * GIB), ASKED)
    speeds = [60.0, 30.0, 14.0, 8.0, 4.0, 11.0, 2.0]
    best = best_suggestion(found, speeds)
    assert best is not None and best.info.name == "Qwen3-4B"
    slow = best_suggestion(found, [speed / 10 for speed in speeds])
    assert slow is not None and slow.info.name == "Qwen3-0.6B"


async def test_where_none_fits_nothing_is_suggested() -> None:
    found = await suggestions((CPU,), machine(GIB // 4), ASKED)
    assert best_suggestion(found, [None] * len(found)) is None
