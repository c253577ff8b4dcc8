"""Loading the same model with other settings takes the KV cache along, and a load that fails leaves the old one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import GREEDY, Reply, ask, paused, resumed, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.models.gguf_files import Shape
from tui.engines.interface import Engine, EngineError
from tui.protocol.messages import Done, Generate
from tui.protocol.records import LoadSettings, Message, Sampling

QUESTION = user("用Python写冒泡排序")


async def second_turn(engine: Engine, first: str) -> Reply:
    return await ask(engine, QUESTION, Message(role="assistant", content=first), user("谢谢"), thinking=False)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_cache_goes_along_and_only_what_is_new_is_evaluated(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, QUESTION, thinking=False)
    loaded = await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, n_batch=256, n_ubatch=128), keep_context=True)
    assert loaded.n_kept == first.done.n_used and loaded.llama.n_ubatch == 128
    moved = await second_turn(shared_tiny, first.text)

    await shared_tiny.load(DENSE, TINY)
    again = await second_turn(shared_tiny, first.text)
    assert moved.text == again.text
    assert again.started.n_cached == 0 and moved.started.n_cached >= first.started.n_prompt - 8


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cache_of_another_type_is_evaluated_again(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, QUESTION, thinking=False)
    settings = msgspec.structs.replace(TINY, type_k="q8_0", type_v="q8_0")
    assert (await shared_tiny.load(DENSE, settings, keep_context=True)).n_kept == 0
    reply = await second_turn(shared_tiny, first.text)
    assert reply.started.n_cached == 0 and reply.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cache_that_is_larger_than_the_new_context_is_left_behind(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, QUESTION, thinking=False)
    assert first.done.n_used > 64
    loaded = await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, n_ctx=64), keep_context=True)
    assert loaded.n_kept == 0 or loaded.n_ctx > first.done.n_used


@pytest.mark.parametrize(("n_ctx", "is_kept"), [(512, True), (2048, False)])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_cache_does_not_go_where_long_rope_turns_positions_otherwise(
    shared: Engine, tmp_path: Path, n_ctx: int, is_kept: bool
) -> None:
    model = with_vocabulary(
        Shape(n_vocab=N_VOCAB), tmp_path / "long.gguf", qwen3__rope__scaling__original_context_length=1024
    )
    await shared.load(model, msgspec.structs.replace(TINY, n_ctx=256))
    first = await ask(shared, user("hello"), max_tokens=4)
    loaded = await shared.load(model, msgspec.structs.replace(TINY, n_ctx=n_ctx), keep_context=True)
    assert loaded.n_kept == (first.done.n_used if is_kept else 0)


@pytest.mark.asyncio(loop_scope="module")
async def test_another_model_takes_nothing_along(shared_tiny: Engine) -> None:
    await ask(shared_tiny, QUESTION, thinking=False)
    assert (await shared_tiny.load(MOE, TINY, keep_context=True)).n_kept == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_when_the_new_settings_cannot_be_loaded_the_old_ones_stay_with_their_cache(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, QUESTION, thinking=False)
    before = shared_tiny.loaded
    with pytest.raises(EngineError):
        await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), keep_context=True)
    assert shared_tiny.loaded == before
    reply = await second_turn(shared_tiny, first.text)
    assert reply.started.n_cached >= first.started.n_prompt - 8


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_was_cancelled_goes_on_where_it_stopped(shared_tiny: Engine, thinking: bool) -> None:
    question = user("Count to 100")
    whole = await ask(shared_tiny, question, thinking=thinking)
    begun = await paused(shared_tiny, question, thinking=thinking)
    n_before = begun.done.timings.n_decode
    n_used = begun.done.n_used
    both = await resumed(shared_tiny, begun)
    assert (both.thinking, both.text) == (whole.thinking, whole.text)
    assert both.done.stop == whole.done.stop
    assert n_before + both.done.timings.n_decode == whole.done.timings.n_decode
    assert both.done.timings.n_prefill <= 1 and both.started.n_cached >= n_used - 1


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_goes_on_in_another_session_and_after_a_load_that_failed(shared_tiny: Engine) -> None:
    question = user("Count to 100")
    whole = await ask(shared_tiny, question)
    begun = await paused(shared_tiny, question)
    with pytest.raises(EngineError):
        await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), keep_context=True)
    await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, n_ubatch=64), keep_context=True, load_first=True)
    both = await resumed(shared_tiny, begun)
    assert both.text == whole.text and both.done.timings.n_prefill <= 1


@pytest.mark.asyncio(loop_scope="module")
async def test_without_the_cache_all_is_evaluated_again_and_the_text_goes_on(shared_tiny: Engine) -> None:
    begun = await paused(shared_tiny, user("Count to 100"))
    before, n_tokens = begun.text + begun.thinking, begun.done.timings.n_prompt + begun.done.timings.n_decode
    await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, type_k="q8_0", type_v="q8_0"), keep_context=True)
    both = await resumed(shared_tiny, begun)
    assert both.started.n_cached == 0 and both.done.timings.n_prefill == n_tokens
    assert len(both.text + both.thinking) > len(before)


@pytest.mark.asyncio(loop_scope="module")
async def test_there_is_nothing_to_go_on_with_after_an_answer_that_ended(shared_tiny: Engine) -> None:
    await ask(shared_tiny, user("ping"))
    with pytest.raises(EngineError, match="no cancelled answer"):
        await resumed(shared_tiny, Reply())


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancel_before_the_first_token_is_taken_up_with_the_prompt(shared_tiny: Engine) -> None:
    whole = await ask(shared_tiny, QUESTION)
    await shared_tiny.load(DENSE, TINY)
    answer = shared_tiny.generate(Generate(messages=(QUESTION,), sampling=GREEDY))
    answer.cancel()
    stops = [event.stop async for event in answer if isinstance(event, Done)]
    assert stops == ["cancelled"]
    assert (await resumed(shared_tiny, Reply())).text == whole.text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancel_before_it_is_known_what_fits_is_taken_up_with_the_question(shared: Engine) -> None:
    await shared.load(DENSE, LoadSettings(n_ctx=256, n_threads=1))
    turns = [user(f"Remember the number {i} for me, please.") for i in range(400)]  # long to look through
    whole = await ask(shared, *turns, thinking=False, drop_oldest=True, max_tokens=20)
    answer = shared.generate(Generate(messages=tuple(turns), sampling=GREEDY, thinking=False, drop_oldest=True))
    answer.cancel()
    events = [event async for event in answer]
    (last,) = events
    assert isinstance(last, Done) and last.stop == "cancelled"
    both = await resumed(shared, Reply(), max_tokens=20)
    assert both.text == whole.text and both.started.n_dropped == whole.started.n_dropped > 0


@pytest.mark.asyncio(loop_scope="module")
async def test_with_a_seed_the_answer_is_the_same_with_a_switch_in_its_middle(shared_tiny: Engine) -> None:
    n_tokens = 200
    hot = Sampling(temperature=2.0, top_k=40, top_p=1.0, repeat_penalty=1.1, seed=7)
    whole = Reply()
    async for event in shared_tiny.generate(
        Generate(messages=(QUESTION,), sampling=hot, max_tokens=n_tokens, ignore_end=True)
    ):
        whole.add(event)
    other = msgspec.structs.replace(hot, seed=8)
    begun = await paused(shared_tiny, QUESTION, sampling=hot, max_tokens=n_tokens, ignore_end=True)
    rest = n_tokens - begun.done.timings.n_decode
    assert begun.done.timings.n_decode > 0 and rest > 1
    await shared_tiny.load(DENSE, msgspec.structs.replace(TINY, n_ctx=4096), keep_context=True)
    both = await resumed(shared_tiny, begun, sampling=hot, max_tokens=rest, ignore_end=True)
    assert (both.thinking, both.text) == (whole.thinking, whole.text)
    assert both.done.stop == "length" and both.done.timings.n_decode == rest

    begun = await paused(shared_tiny, QUESTION, sampling=hot, max_tokens=n_tokens, ignore_end=True)
    rest = n_tokens - begun.done.timings.n_decode
    both = await resumed(shared_tiny, begun, sampling=other, max_tokens=rest, ignore_end=True)
    assert (both.thinking, both.text) != (whole.thinking, whole.text)  # it really was drawn


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_loaded_stays_when_the_new_is_loaded_first_and_fails(shared_tiny: Engine) -> None:
    first = await ask(shared_tiny, QUESTION, thinking=False)
    before = shared_tiny.loaded
    with pytest.raises(EngineError):
        await shared_tiny.load(MOE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), load_first=True)
    assert shared_tiny.loaded is before
    again = await ask(shared_tiny, QUESTION, thinking=False)
    assert again.text == first.text and again.done.timings.n_prefill == 1  # its KV cache is as it was
