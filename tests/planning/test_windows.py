"""Models with a sliding window: a full cache of it where there is ample room and nobody chose, what that takes, and
what going back takes."""

from __future__ import annotations

import msgspec
import pytest

from tests.planning.shapes import DEVICES, GEMMA, GIB, QWEN3_8B, machine
from tui.config.settings import ChosenLoad
from tui.planning.remedies import remedies
from tui.planning.search import auto_fit
from tui.planning.verdict import Verdict, judge
from tui.planning.verdict_words import checkpoints, remedy_label, windows
from tui.protocol.records import SwaFull

LONG = ChosenLoad(n_ctx=32768, backend="cpu")


def judged(spare: int, swa_full: SwaFull = "auto") -> Verdict:
    """With so many bytes free beyond what the small cache takes, a reserve of 1 GiB included."""
    choice = msgspec.structs.replace(LONG, swa_full=swa_full)
    small = judge(GEMMA, msgspec.structs.replace(LONG, swa_full="off"), DEVICES, machine(999 * GIB)).plan
    return judge(GEMMA, choice, DEVICES, machine(small.total_bytes + spare, reserve=GIB))


def test_a_full_cache_is_taken_where_as_much_again_stays_free() -> None:
    more = judged(999 * GIB).plan.window_saves_bytes
    assert more > 8 * GIB
    assert judged(2 * more + GIB).plan.swa_full
    for spare in (2 * more + GIB - 1, more + GIB, GIB):
        verdict = judged(spare)
        assert verdict.fit == "fits" and not verdict.plan.swa_full


@pytest.mark.parametrize(("chosen", "is_full"), [("on", True), ("off", False)])
def test_what_somebody_chose_is_taken_however_much_is_free(chosen: SwaFull, is_full: bool) -> None:
    for spare in (GIB, 999 * GIB):
        verdict = judged(spare, chosen)
        assert verdict.plan.swa_full == is_full
        assert verdict.fit == ("no" if is_full and spare == GIB else "fits")


def test_layers_on_the_gpu_go_before_a_full_cache() -> None:
    asked = ChosenLoad(n_ctx=32768)
    on_gpu = judge(GEMMA, msgspec.structs.replace(asked, swa_full="off"), DEVICES, machine(64 * GIB, 999 * GIB))
    device = on_gpu.plan.devices[0].total_bytes + GIB
    found = auto_fit(GEMMA, asked, DEVICES, machine(64 * GIB, device, reserve=GIB))
    assert found is not None
    assert found.verdict.plan.n_gpu_layers == 49 and not found.verdict.plan.swa_full
    assert found.choice.swa_full == "auto"


def test_a_full_cache_that_does_not_fit_can_be_left_out() -> None:
    asked = msgspec.structs.replace(LONG, swa_full="on")
    memory = machine(judged(0).plan.total_bytes + GIB, reserve=GIB)
    offered = {remedy.change: remedy for remedy in remedies(GEMMA, asked, DEVICES, memory)}
    less = offered["windows"]
    assert less.choice.swa_full == "auto" and less.verdict.fit == "fits" and not less.verdict.plan.swa_full
    assert remedy_label(less) == "Without the full SWA cache: 9.5 GiB less"


def test_the_plan_says_what_a_small_cache_saves_and_a_full_one_takes() -> None:
    assert windows(judged(GIB).plan, is_auto=True) == "auto: off, saves 9.5 GiB"
    assert windows(judged(99 * GIB).plan, is_auto=True) == "auto: on, takes 9.5 GiB more"
    assert windows(judged(GIB, "off").plan, is_auto=False) == "saves 9.5 GiB"
    short = judge(GEMMA, msgspec.structs.replace(LONG, n_ctx=1024), DEVICES, machine(99 * GIB))
    assert short.plan.swa_full and windows(short.plan, is_auto=True) == "no difference with this context"


def test_checkpoints_take_a_share_of_what_is_free_and_never_a_load_away() -> None:
    one = 40 * 1024 * 2 * 8 * 256 * 2
    assert judged(GIB).plan.checkpoint_bytes == one
    assert judged(GIB).checkpoint_room_bytes == GIB // 8
    assert judged(999 * GIB).checkpoint_room_bytes == 4 * GIB
    assert judged(-1).fit == "no" and judged(-1).checkpoint_room_bytes == 0
    assert checkpoints(judged(9 * GIB)) == "checkpoints: 320.0 MiB each, at most 1.1 GiB of RAM"
    assert checkpoints(judge(QWEN3_8B, LONG, DEVICES, machine(99 * GIB))) == ""
