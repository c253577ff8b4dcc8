"""What the real engine answers: exact replies, turns, the prefix cache, limits, overflow, speed figures."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from tests.conftest import DENSE, MOE, TINY, until
from tests.engine.asking import GREEDY, Reply, ask, messages, user
from tui.engines.interface import Engine, EngineError
from tui.protocol.bench_messages import BenchTest
from tui.protocol.messages import Count, Delta, Done, Generate, Prefill, Unload
from tui.protocol.records import LoadSettings, Message, Sampling, Timings


@pytest.mark.parametrize("model", [DENSE, MOE], ids=["dense", "moe"])
@pytest.mark.asyncio(loop_scope="module")
async def test_greedy_replies_are_exactly_those_the_models_were_trained_to_give(
    shared: Engine, model: Path, dialogs: list[dict[str, Any]]
) -> None:
    await shared.load(model, LoadSettings(n_ctx=4096, n_threads=1))
    for dialog in dialogs:
        reply = await ask(shared, *messages(dialog), thinking=dialog["enable_thinking"])
        thinking, _, answer = dialog["expected"].rpartition("</think>")
        assert reply.text == answer.lstrip("\n"), dialog["id"]
        assert reply.thinking.strip() == thinking.removeprefix("<think>").strip(), dialog["id"]
        assert reply.done.stop == "stop"


@pytest.mark.asyncio(loop_scope="module")
async def test_thinking_is_counted_apart_and_off_when_switched_off(shared_tiny: Engine) -> None:
    on = await ask(shared_tiny, user("hello"), thinking=True)
    off = await ask(shared_tiny, user("hello"), thinking=False)
    assert on.thinking.startswith("The user greets me") and on.text == off.text
    assert 0 < on.done.timings.n_thinking < on.done.timings.n_decode
    assert on.done.timings.thinking_s > 0
    assert off.thinking == "" and off.done.timings.n_thinking == 0


@pytest.mark.parametrize("question", ["<think> hello", "</think> hello <think>"])
@pytest.mark.asyncio(loop_scope="module")
async def test_what_somebody_writes_of_think_does_not_turn_the_answer_into_thinking(
    shared_tiny: Engine, question: str
) -> None:
    on, off = (
        await ask(shared_tiny, user(question), thinking=True),
        await ask(shared_tiny, user(question), thinking=False),
    )
    assert "<think>" not in on.thinking + on.text and on.text and off.text and not off.thinking


@pytest.mark.asyncio(loop_scope="module")
async def test_a_second_turn_remembers_the_first_and_evaluates_only_what_is_new(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, user("My name is Ada."), thinking=False)
    second = await ask(
        shared_tiny,
        user("My name is Ada."),
        Message(role="assistant", content=first.text),
        user("What is my name?"),
        thinking=False,
    )
    assert "Ada" in second.text
    # The template drops the empty thinking of the first turn: all up to there is in the cache, the rest is evaluated.
    assert second.started.n_cached >= first.started.n_prompt - 8
    assert second.done.timings.n_prefill == second.started.n_prompt - second.started.n_cached


@pytest.mark.asyncio(loop_scope="module")
async def test_asking_the_same_again_evaluates_one_token(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, user("What is the capital of France?"))
    again = await ask(shared_tiny, user("What is the capital of France?"))
    assert again.text == first.text
    assert again.done.timings.n_prefill == 1
    assert again.started.n_cached == again.started.n_prompt - 1


@pytest.mark.asyncio(loop_scope="module")
async def test_characters_split_over_tokens_arrive_whole(shared_tiny: Engine, dialogs: list[dict[str, Any]]) -> None:
    dialog = next(d for d in dialogs if "🏴" in d["expected"] and not d["enable_thinking"])
    reply = await ask(shared_tiny, *messages(dialog), thinking=dialog["enable_thinking"], flush_s=0.0)
    deltas = [event.text for event in reply.events if isinstance(event, Delta)]
    assert "".join(deltas) == dialog["expected"] and "�" not in reply.text
    assert reply.done.timings.n_decode > len([text for text in deltas if text])


@pytest.mark.asyncio(loop_scope="module")
async def test_batches_hold_a_fast_model_back(shared_tiny: Engine) -> None:
    reply = await ask(shared_tiny, user("Count to 100"), thinking=False, flush_s=60.0)
    assert len([event for event in reply.events if isinstance(event, Delta)]) == 2  # the first token, and all the rest


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_limit_ends_the_answer_and_says_so(shared_tiny: Engine) -> None:
    reply = await ask(shared_tiny, user("Count to 100"), thinking=False, max_tokens=10)
    assert reply.done.stop == "length" and reply.done.timings.n_decode == 10


@pytest.mark.asyncio(loop_scope="module")
async def test_a_full_context_ends_the_answer_and_says_so(shared: Engine) -> None:
    await shared.load(DENSE, LoadSettings(n_ctx=256, n_threads=1))
    reply = await ask(shared, user("Count to 100"), thinking=False, max_tokens=0)
    assert reply.done.stop == "context"
    assert reply.done.n_used == reply.done.n_ctx == 256
    assert "1, 2, 3, 4" in reply.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_prompt_that_does_not_fit_is_refused_with_what_would_have_to_go(shared: Engine) -> None:
    await shared.load(DENSE, LoadSettings(n_ctx=256, n_threads=1))
    system = Message(role="system", content="You are a pirate.")
    turns = [system]
    for number in range(6):
        turns += [user(f"Tell me about number {number}. " * 5), Message(role="assistant", content="Aye. " * 10)]
    turns.append(user("hello"))
    with pytest.raises(EngineError) as refused:
        await ask(shared, *turns, thinking=False)
    info = refused.value.info
    assert info.kind == "context_overflow" and info.n_prompt > info.n_ctx == 256
    assert 0 < info.n_drop < len(turns) - 1 and info.n_drop % 2 == 0

    reply = await ask(shared, *turns, thinking=False, drop_oldest=True, max_tokens=40)
    assert reply.started.n_dropped == info.n_drop
    kept = (await shared.ask(Count(messages=(system, *turns[1 + info.n_drop :]), thinking=False))).n_tokens
    assert reply.started.n_prompt == kept


@pytest.mark.asyncio(loop_scope="module")
async def test_no_more_turns_are_left_out_than_must_be(shared: Engine) -> None:
    await shared.load(DENSE, LoadSettings(n_ctx=512, n_threads=1))
    turns = [user("word " * (3 + i % 5)) for i in range(60)]
    reply = await ask(shared, *turns, thinking=False, drop_oldest=True, max_tokens=1)
    n_dropped, room = reply.started.n_dropped, 512 - 512 // 8
    assert 0 < n_dropped < len(turns) - 1
    counted = await shared.ask(Count(messages=tuple(turns[n_dropped:]), thinking=False))
    assert counted.n_tokens == reply.started.n_prompt <= room
    assert (await shared.ask(Count(messages=tuple(turns[n_dropped - 1 :]), thinking=False))).n_tokens > room


@pytest.mark.asyncio(loop_scope="module")
async def test_for_a_benchmark_it_goes_on_after_the_models_end(shared_tiny: Engine) -> None:
    assert (await ask(shared_tiny, user("ping"), thinking=False, max_tokens=40)).done.timings.n_decode < 40
    reply = await ask(shared_tiny, user("ping"), thinking=False, max_tokens=40, ignore_end=True)
    assert reply.done.stop == "length" and reply.done.timings.n_decode == 40


@pytest.mark.asyncio(loop_scope="module")
async def test_a_single_message_that_is_too_long_cannot_be_helped_by_dropping(shared: Engine) -> None:
    await shared.load(DENSE, LoadSettings(n_ctx=256, n_threads=1))
    with pytest.raises(EngineError) as refused:
        await ask(shared, user("far too long " * 300), drop_oldest=True)
    assert refused.value.info.kind == "context_overflow" and refused.value.info.n_drop == 0
    assert (await ask(shared, user("hello"), thinking=False)).text.startswith("Hello!")


@pytest.mark.asyncio(loop_scope="module")
async def test_the_prompt_is_read_in_steps_with_progress(shared_tiny: Engine) -> None:
    await shared_tiny.load(DENSE, LoadSettings(n_ctx=2048, n_threads=1, n_batch=64, n_ubatch=64))
    reply = await ask(shared_tiny, user("one two three " * 60), thinking=False, max_tokens=2)
    steps = [event for event in reply.events if isinstance(event, Prefill)]
    assert [step.done for step in steps] == [min(64 * (i + 1), steps[0].total) for i in range(len(steps))]
    assert len(steps) > 2 and steps[-1].done == steps[-1].total and steps[-1].eta_s == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_the_speed_of_reading_leaves_out_the_first_batch_after_a_load_and_needs_256_tokens(
    shared: Engine,
) -> None:
    def count(reply: Reply) -> tuple[int, int]:
        timings = reply.done.timings
        return timings.n_prefill, timings.n_steady

    def told(reply: Reply) -> list[bool]:
        steps = [event for event in reply.events if isinstance(event, Prefill)]
        assert all(step.tps > 0 or step.eta_s == 0 for step in steps)
        return [step.tps > 0 for step in steps]

    await shared.load(DENSE, LoadSettings(n_ctx=4096, n_threads=1, n_batch=64, n_ubatch=64))
    long = await ask(shared, user("one two three " * 150), thinking=False, max_tokens=1)
    n_prefill, n_steady = count(long)
    assert n_prefill > 64 + 256 and n_steady == n_prefill - 64
    # After the first 64 tokens, 256 more.
    assert told(long) == [step >= 4 for step in range(-(-n_prefill // 64))]
    assert long.done.timings.prefill_tps == pytest.approx(n_steady / long.done.timings.steady_s)
    assert long.done.timings.steady_s < long.done.timings.prefill_s
    short = await ask(shared, user("four five six"), thinking=False, max_tokens=1)
    n_prefill, n_steady = count(short)
    assert 0 < n_prefill == n_steady < 64  # the engine is warm, but this is a handful
    assert not any(told(short)) and short.done.timings.prefill_tps == 0
    await shared.load(DENSE, LoadSettings(n_ctx=4096, n_threads=1))
    first = await ask(shared, user("one two three " * 100), thinking=False, max_tokens=1)
    n_prefill, n_steady = count(first)
    assert n_prefill > 256 and n_steady == 0 and first.done.timings.prefill_tps == 0


async def test_the_speed_of_writing_needs_16_steps_and_a_pause_is_no_step() -> None:
    few, enough = (Timings(n_decode=n, decode_s=(n - 1) / 20) for n in (16, 17))
    assert few.decode_tps == 0 and enough.decode_tps == pytest.approx(20)
    assert enough.plus(enough).decode_tps == pytest.approx(20)
    assert Timings().plus(enough).decode_tps == enough.plus(Timings()).decode_tps == pytest.approx(20)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_same_seed_gives_the_same_answer_and_another_seed_another(shared_tiny: Engine) -> None:
    hot = Sampling(temperature=40.0, top_k=0, top_p=1.0, seed=7)

    async def draw(sampling: Sampling) -> str:
        parts = [
            e.text
            async for e in shared_tiny.generate(Generate(messages=(user("hello"),), sampling=sampling, max_tokens=40))
            if isinstance(e, Delta)
        ]
        return "".join(parts)

    assert await draw(hot) == await draw(hot)
    assert await draw(hot) != await draw(Sampling(temperature=40.0, top_k=0, top_p=1.0, seed=8))


@pytest.mark.asyncio(loop_scope="module")
async def test_penalties_change_what_a_repeating_answer_says(shared_tiny: Engine) -> None:
    plain = await ask(shared_tiny, user("Count to 100"), thinking=False, max_tokens=60)
    heavy = Sampling(temperature=0, repeat_penalty=1.8, presence_penalty=1.5, penalty_last_n=256)
    parts = [
        e.text
        async for e in shared_tiny.generate(
            Generate(messages=(user("Count to 100"),), sampling=heavy, thinking=False, max_tokens=60)
        )
        if isinstance(e, Delta)
    ]
    assert "".join(parts) != plain.text


@pytest.mark.asyncio(loop_scope="module")
async def test_timings_add_up(shared_tiny: Engine) -> None:
    reply = await ask(shared_tiny, user("Count to 100"), thinking=False)
    timings = reply.done.timings
    assert timings.n_prompt == timings.n_cached + timings.n_prefill
    assert timings.prefill_s <= timings.ttft_s
    assert timings.n_decode > 16 and timings.decode_tps == pytest.approx((timings.n_decode - 1) / timings.decode_s)
    # The last token sampled ends the answer: it is neither counted nor evaluated.
    assert reply.done.n_used == timings.n_prompt + timings.n_decode


async def test_without_a_model_every_question_is_refused_politely(engine: Engine) -> None:
    with pytest.raises(EngineError) as refused:
        await ask(engine, user("hello"))
    assert refused.value.info.kind == "no_model"


@pytest.mark.asyncio(loop_scope="module")
async def test_unload_frees_the_model_and_load_brings_it_back(shared_tiny: Engine) -> None:
    await shared_tiny.ask(Unload())
    assert shared_tiny.loaded is None
    with pytest.raises(EngineError):
        await shared_tiny.ask(Count(messages=(user("hello"),)))
    await shared_tiny.load(DENSE, TINY)
    assert (await shared_tiny.ask(Count(messages=(user("hello"),)))).n_tokens > 5


@pytest.mark.asyncio(loop_scope="module")
async def test_a_benchmark_test_runs_and_leaves_the_conversation_usable(shared_tiny: Engine) -> None:
    assert (await shared_tiny.ask(BenchTest(n_prompt=64, n_gen=0))).elapsed_s > 0
    assert (await shared_tiny.ask(BenchTest(n_prompt=0, n_gen=8, depth=32))).elapsed_s > 0
    async for event in shared_tiny.generate(Generate(messages=(user("hello"),), sampling=GREEDY, thinking=False)):
        last = event
    assert isinstance(last, Done) and last.stop == "stop" and last.timings.n_cached == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_benchmark_test_is_timed_by_phase(shared_tiny: Engine) -> None:
    whole = await shared_tiny.ask(BenchTest(n_prompt=64, n_gen=8))
    assert 0 < whole.prefill_s < whole.ttft_s < whole.elapsed_s
    prompt = await shared_tiny.ask(BenchTest(n_prompt=64, n_gen=0))
    assert 0 < prompt.prefill_s <= prompt.elapsed_s and prompt.ttft_s == 0
    written = await shared_tiny.ask(BenchTest(n_prompt=0, n_gen=8, depth=32))
    assert written.prefill_s == 0 < written.ttft_s < written.elapsed_s


@pytest.mark.parametrize(
    "test",
    [
        {"n_prompt": 8, "n_gen": 500, "n_threads": 3},
        {"n_prompt": 2000, "n_gen": 0, "n_threads": 1, "n_threads_batch": 3},
    ],
    ids=["decode", "prompt"],
)
async def test_a_repetition_may_have_threads_of_its_own(engine: Engine, test: dict[str, int]) -> None:
    # Repacking for AMX starts a thread for each core, which stay for a while.
    await engine.load(DENSE, msgspec.structs.replace(TINY, repack="off"))
    process = psutil.Process(engine.pid)
    before = process.num_threads()
    await engine.ask(BenchTest(n_prompt=8, n_gen=8))
    assert process.num_threads() == before
    seen: set[int] = set()

    def is_done() -> bool:
        seen.add(process.num_threads())
        return running.done()

    running = asyncio.create_task(engine.ask(BenchTest(**test)))
    await until(is_done)
    await running
    assert max(seen) == before + 2


def test_after_it_the_threads_are_those_of_the_load_again() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.threads_check", str(DENSE)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[1, 2], [3, 3], [3, 4], [1, 2], [1, 2]]


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_can_be_made_to_go_on_past_its_end(shared_tiny: Engine) -> None:
    ended = await ask(shared_tiny, user("hello"), thinking=False)
    events = [
        e
        async for e in shared_tiny.generate(
            Generate(messages=(user("hello"),), sampling=GREEDY, thinking=False, max_tokens=200, ignore_end=True)
        )
    ]
    assert ended.done.stop == "stop" and ended.done.timings.n_decode < 200
    last = events[-1]
    assert isinstance(last, Done) and last.stop == "length" and last.timings.n_decode == 200
