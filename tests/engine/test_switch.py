"""Loading the same model with other settings takes the KV cache along, and a load that fails leaves the old one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, user
from tui.engine.client import Engine, EngineError
from tui.engine.messages import Message

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


async def test_a_part_of_the_layers_can_be_offloaded(vulkan: Engine):
    loaded = await vulkan.load(DENSE, msgspec.structs.replace(TINY, devices=("Vulkan0",), n_gpu_layers=2))
    assert loaded.n_gpu_layers == 2
    assert {"Vulkan0"} < {buffer.device for buffer in loaded.buffers if buffer.purpose == "weights"}
    assert (await ask(vulkan, user("ping"), thinking=False)).text == "pong"
