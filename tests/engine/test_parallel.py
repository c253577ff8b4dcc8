"""Several sequences decoded together, as for many users at once: what each of them gets, and what it takes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import DENSE, MOE, until
from tests.engine.asking import ask, user
from tui.engines.interface import Engine, EngineError
from tui.protocol.bench_messages import BenchParallel
from tui.protocol.records import LoadSettings

FOUR = LoadSettings(n_ctx=1024, n_threads=1, n_parallel=4)
TEXTS = ("The quick brown fox", "Once upon a time there was", "hello, how are you", "Count to 3, and then stop")


def continuations(model: str, n_gen: int, *texts: str) -> tuple[list[list[int]], list[list[int]]]:
    command = [sys.executable, "-m", "tests.engine.parallel_check", model, str(n_gen), *texts]
    alone, together = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return alone, together


@pytest.mark.parametrize("model", [DENSE, MOE], ids=["dense", "moe"])
def test_the_same_prompt_goes_on_in_each_sequence_as_it_does_alone(model: Path) -> None:
    alone, together = continuations(str(model), 40, *[TEXTS[0]] * 4)
    assert together == alone and len(together) == 4 and len(set(together[0])) > 1


def test_sequences_do_not_see_each_other() -> None:
    alone, together = continuations(str(DENSE), 40, *TEXTS)
    assert together == alone
    assert len({tuple(tokens) for tokens in together}) == len(TEXTS)


def test_prompts_longer_than_a_batch_are_read_in_pieces() -> None:
    alone, together = continuations(str(DENSE), 8, *[" ".join(TEXTS * 4)] * 4)
    assert together == alone


@pytest.mark.asyncio(loop_scope="module")
async def test_users_share_the_context_and_each_phase_is_timed(shared: Engine) -> None:
    loaded = await shared.load(DENSE, FOUR)
    assert loaded.n_ctx == 256
    sample = await shared.ask(BenchParallel(n_parallel=4, n_prompt=200, n_gen=56))
    assert sample.prefill_s > 0 and sample.decode_s > 0
    fewer = await shared.ask(BenchParallel(n_parallel=2, n_prompt=16, n_gen=0))
    assert fewer.prefill_s > 0


@pytest.mark.parametrize(("n_parallel", "n_prompt"), [(5, 16), (4, 256)])
@pytest.mark.asyncio(loop_scope="module")
async def test_more_than_the_context_was_made_for_is_refused(shared: Engine, n_parallel: int, n_prompt: int) -> None:
    await shared.load(DENSE, FOUR)
    with pytest.raises(EngineError) as refused:
        await shared.ask(BenchParallel(n_parallel=n_parallel, n_prompt=n_prompt, n_gen=8))
    assert refused.value.info.kind == "bad_settings" and "4 sequences of 256 tokens" in refused.value.info.text


@pytest.mark.asyncio(loop_scope="module")
async def test_it_can_be_cancelled_and_leaves_the_conversation_usable(shared: Engine) -> None:
    await shared.load(DENSE, LoadSettings(n_ctx=8 * 4096, n_threads=1, n_parallel=8))
    process = psutil.Process(shared.pid)
    before = process.cpu_times().user
    endless = asyncio.create_task(shared.ask(BenchParallel(n_parallel=8, n_prompt=16, n_gen=4080)))
    await until(lambda: process.cpu_times().user > before + 0.1)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    reply = await ask(shared, user("Count to 3"), thinking=False)
    assert reply.text.startswith("1, 2") and reply.started.n_cached == 0
