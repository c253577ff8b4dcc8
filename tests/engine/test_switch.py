"""Loading the same model with other settings takes the KV cache along, and a load that fails leaves the old one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import GREEDY, Reply, ask, user
from tui.engine.client import Engine, EngineError
from tui.engine.messages import Delta, Done, Message

QUESTION = user("用Python写冒泡排序")


async def second_turn(engine: Engine, first: str):
    return await ask(engine, QUESTION, Message(role="assistant", content=first), user("谢谢"), thinking=False)


async def test_the_cache_goes_along_and_only_what_is_new_is_evaluated(tiny: Engine):
    first = await ask(tiny, QUESTION, thinking=False)
    loaded = await tiny.load(DENSE, msgspec.structs.replace(TINY, n_batch=256, n_ubatch=128), keep_context=True)
    assert loaded.n_kept == first.done.n_used and loaded.n_ubatch == 128
    moved = await second_turn(tiny, first.text)

    await tiny.load(DENSE, TINY)
    again = await second_turn(tiny, first.text)
    assert moved.text == again.text
    assert again.started.n_cached == 0 and moved.started.n_cached >= first.started.n_prompt - 8


async def test_a_cache_of_another_type_is_evaluated_again(tiny: Engine):
    first = await ask(tiny, QUESTION, thinking=False)
    settings = msgspec.structs.replace(TINY, type_k="q8_0", type_v="q8_0")
    assert (await tiny.load(DENSE, settings, keep_context=True)).n_kept == 0
    reply = await second_turn(tiny, first.text)
    assert reply.started.n_cached == 0 and reply.text


async def test_a_cache_that_is_larger_than_the_new_context_is_left_behind(tiny: Engine):
    first = await ask(tiny, QUESTION, thinking=False)
    assert first.done.n_used > 64
    loaded = await tiny.load(DENSE, msgspec.structs.replace(TINY, n_ctx=64), keep_context=True)
    assert loaded.n_kept == 0 or loaded.n_ctx > first.done.n_used


async def test_another_model_takes_nothing_along(tiny: Engine):
    await ask(tiny, QUESTION, thinking=False)
    assert (await tiny.load(MOE, TINY, keep_context=True)).n_kept == 0


async def test_when_the_new_settings_cannot_be_loaded_the_old_ones_stay_with_their_cache(tiny: Engine):
    first = await ask(tiny, QUESTION, thinking=False)
    before = tiny.loaded
    with pytest.raises(EngineError):
        await tiny.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), keep_context=True)
    assert tiny.loaded == before
    reply = await second_turn(tiny, first.text)
    assert reply.started.n_cached >= first.started.n_prompt - 8


async def paused(engine: Engine, question: Message, thinking: bool = True) -> Reply:
    """An answer that was cancelled in its middle. A model as small as this is sometimes done before."""
    for _ in range(30):
        reply = Reply()
        answer = engine.generate([question], GREEDY, thinking=thinking, flush_s=0)
        async for event in answer:
            reply.add(event)
            if isinstance(event, Delta):
                answer.cancel()
        if reply.done.stop == "cancelled":
            return reply
    raise AssertionError("the answer was always complete before it could be cancelled")


async def resumed(engine: Engine, reply: Reply) -> Reply:
    """The same answer to its end; what came is added to `reply`."""
    async for event in engine.generate([], GREEDY, resume=True):
        reply.add(event)
    return reply


@pytest.mark.parametrize("thinking", [True, False])
async def test_an_answer_that_was_cancelled_goes_on_where_it_stopped(tiny: Engine, thinking: bool):
    question = user("Count to 100")
    whole = await ask(tiny, question, thinking=thinking)
    begun = await paused(tiny, question, thinking)
    n_before = begun.done.timings.n_decode
    n_used = begun.done.n_used
    both = await resumed(tiny, begun)
    assert (both.thinking, both.text) == (whole.thinking, whole.text)
    assert both.done.stop == whole.done.stop
    assert n_before + both.done.timings.n_decode == whole.done.timings.n_decode
    assert both.done.timings.n_prefill <= 1 and both.started.n_cached >= n_used - 1


async def test_an_answer_goes_on_in_another_session_and_after_a_load_that_failed(tiny: Engine):
    question = user("Count to 100")
    whole = await ask(tiny, question)
    begun = await paused(tiny, question)
    with pytest.raises(EngineError):
        await tiny.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), keep_context=True)
    await tiny.load(DENSE, msgspec.structs.replace(TINY, n_ubatch=64), keep_context=True, load_first=True)
    both = await resumed(tiny, begun)
    assert both.text == whole.text and both.done.timings.n_prefill <= 1


async def test_without_the_cache_all_is_evaluated_again_and_the_text_goes_on(tiny: Engine):
    begun = await paused(tiny, user("Count to 100"))
    before, n_tokens = begun.text + begun.thinking, begun.done.timings.n_prompt + begun.done.timings.n_decode
    await tiny.load(DENSE, msgspec.structs.replace(TINY, type_k="q8_0", type_v="q8_0"), keep_context=True)
    both = await resumed(tiny, begun)
    assert both.started.n_cached == 0 and both.done.timings.n_prefill == n_tokens
    assert len(both.text + both.thinking) > len(before)


async def test_there_is_nothing_to_go_on_with_after_an_answer_that_ended(tiny: Engine):
    await ask(tiny, user("ping"))
    with pytest.raises(EngineError, match="no cancelled answer"):
        await resumed(tiny, Reply())


async def test_a_cancel_before_the_first_token_is_taken_up_with_the_prompt(tiny: Engine):
    whole = await ask(tiny, QUESTION)
    await tiny.load(DENSE, TINY)
    answer = tiny.generate([QUESTION], GREEDY)
    answer.cancel()
    stops = [event.stop async for event in answer if isinstance(event, Done)]
    assert stops == ["cancelled"]
    assert (await resumed(tiny, Reply())).text == whole.text


async def test_what_is_loaded_stays_when_the_new_is_loaded_first_and_fails_or_is_cancelled(tiny: Engine):
    first = await ask(tiny, QUESTION, thinking=False)
    before = tiny.loaded
    with pytest.raises(EngineError):
        await tiny.load(MOE, msgspec.structs.replace(TINY, devices=("Vulkan9",)), load_first=True)
    assert tiny.loaded == before
    again = await ask(tiny, QUESTION, thinking=False)
    assert again.text == first.text and again.done.timings.n_prefill == 1  # its KV cache is as it was

    load = asyncio.create_task(tiny.load(MOE, TINY, load_first=True))
    await asyncio.sleep(0)
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert tiny.loaded.path in (str(DENSE), str(MOE))  # it may have been complete
    assert (await tiny.devices()) and (await ask(tiny, user("ping"), thinking=False)).text == "pong"


@pytest_asyncio.fixture
async def vulkan() -> AsyncIterator[Engine]:
    """An engine that sees llvmpipe, Vulkan computed by the CPU: llama.cpp hides such devices unless they are named."""
    async with Engine(env={"GGML_VK_VISIBLE_DEVICES": "0"}) as engine:
        if not any(device.name == "Vulkan0" for device in engine.hello.devices):
            pytest.skip("this llama.cpp was built without Vulkan, or the machine has no Vulkan driver")
        yield engine


async def test_vulkan_gives_the_cpus_answer_and_the_cache_goes_both_ways(vulkan: Engine):
    cpu = msgspec.structs.replace(TINY, flash_attn="off")
    gpu = msgspec.structs.replace(cpu, devices=("Vulkan0",))
    await vulkan.load(DENSE, cpu)
    first = await ask(vulkan, user("hello"), thinking=False)

    loaded = await vulkan.load(DENSE, gpu, keep_context=True)
    assert loaded.devices == ("Vulkan0",) and loaded.n_gpu_layers == loaded.n_layers == 5
    assert loaded.n_kept == first.done.n_used
    assert any(buffer.device == "Vulkan0" and buffer.purpose == "weights" for buffer in loaded.buffers)
    again = await ask(vulkan, user("hello"), thinking=False)
    assert again.text == first.text and again.done.timings.n_prefill == 1

    back = await vulkan.load(DENSE, cpu, keep_context=True)
    assert back.n_kept == again.done.n_used and back.devices == ()
    assert (await ask(vulkan, user("hello"), thinking=False)).text == first.text


async def test_an_answer_moves_to_vulkan_in_its_middle(vulkan: Engine):
    cpu = msgspec.structs.replace(TINY, flash_attn="off")
    gpu = msgspec.structs.replace(cpu, devices=("Vulkan0",))
    question = user("Count to 100")
    await vulkan.load(DENSE, cpu)
    whole = await ask(vulkan, question)
    begun = await paused(vulkan, question)
    assert (await vulkan.load(DENSE, gpu, keep_context=True, load_first=True)).n_kept == begun.done.n_used
    both = await resumed(vulkan, begun)
    assert (both.thinking, both.text) == (whole.thinking, whole.text) and both.done.timings.n_prefill <= 1


async def test_a_part_of_the_layers_can_be_offloaded(vulkan: Engine):
    loaded = await vulkan.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan0",), n_gpu_layers=2))
    assert loaded.n_gpu_layers == 2
    assert {"Vulkan0"} < {buffer.device for buffer in loaded.buffers if buffer.purpose == "weights"}
    assert (await ask(vulkan, user("ping"), thinking=False)).text == "pong"
