"""From the CPU to Vulkan and back, the KV cache going along: on llvmpipe, which is Vulkan computed by the CPU."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, messages, paused, resumed, user
from tests.engine.vulkan import ON_GPU, vulkan_engine
from tui.engines.interface import Engine
from tui.protocol.messages import WarmUp

pytestmark = pytest.mark.timeout(300)
"""Each process has all shaders compiled anew by the CPU, which on a busy machine takes a minute."""

MODELS = pytest.mark.parametrize("model", [DENSE, MOE], ids=["dense", "mixture of experts"])


@pytest_asyncio.fixture
async def vulkan() -> AsyncIterator[Engine]:
    """An engine that sees llvmpipe, or skip."""
    async with vulkan_engine() as engine:
        yield engine


@MODELS
@pytest.mark.parametrize("flash_attn", ["auto", "off"])
async def test_vulkan_gives_the_cpus_answer_and_the_cache_goes_both_ways(
    vulkan: Engine, model: Path, flash_attn: Literal["auto", "off"]
) -> None:
    cpu, gpu = (msgspec.structs.replace(settings, flash_attn=flash_attn) for settings in (TINY, ON_GPU))
    on_cpu = await vulkan.load(model, cpu)
    first = await ask(vulkan, user("hello"), thinking=False)
    assert first.text.startswith("Hello!")

    loaded = await vulkan.load(model, gpu, keep_context=True)
    if flash_attn == "auto":  # llvmpipe crashes with it, so that the two lay out their caches in different ways
        assert on_cpu.llama.flash_attn and not loaded.llama.flash_attn
    assert loaded.llama.devices == ("Vulkan0",) and loaded.llama.n_gpu_layers == loaded.llama.n_layers == 5
    assert (loaded.n_kept, loaded.n_lost) == (first.done.n_used, 0)
    assert any(buffer.device == "Vulkan0" and buffer.purpose == "weights" for buffer in loaded.llama.buffers)
    again = await ask(vulkan, user("hello"), thinking=False)
    assert again.text == first.text and again.done.timings.n_prefill == 1

    back = await vulkan.load(model, cpu, keep_context=True)
    assert (
        back.n_kept == again.done.n_used
        and back.llama.devices == ()
        and back.llama.flash_attn == on_cpu.llama.flash_attn
    )
    once_more = await ask(vulkan, user("hello"), thinking=False)
    assert once_more.text == first.text and once_more.done.timings.n_prefill == 1


@MODELS
async def test_vulkan_gives_exactly_the_reply_that_the_model_was_trained_to_give(
    vulkan: Engine, model: Path, dialogs: list[dict[str, Any]]
) -> None:
    dialog = min((d for d in dialogs if not d["enable_thinking"]), key=lambda d: len(d["expected"]))
    await vulkan.load(model, ON_GPU)
    await vulkan.ask(WarmUp())
    reply = await ask(vulkan, *messages(dialog), thinking=False)
    assert reply.text == dialog["expected"] and reply.done.stop == "stop"
    assert reply.done.timings.n_cached == 0, "what it was warmed up with is forgotten"

    await vulkan.ask(WarmUp())
    again = await ask(vulkan, *messages(dialog), thinking=False)
    assert again.done.timings.n_prefill == 1, "what was read is kept"


@MODELS
async def test_an_answer_moves_to_vulkan_in_its_middle(vulkan: Engine, model: Path) -> None:
    question = user("Count to 100")
    await vulkan.load(model, TINY)
    whole = await ask(vulkan, question)
    begun = await paused(vulkan, question)
    n_before = len(begun.thinking + begun.text)
    assert (await vulkan.load(model, ON_GPU, keep_context=True, load_first=True)).n_kept == begun.done.n_used
    both = await resumed(vulkan, begun, max_tokens=20)
    assert len(both.thinking + both.text) > n_before and both.done.timings.n_prefill <= 1
    assert whole.thinking.startswith(both.thinking) and whole.text.startswith(both.text)


async def test_a_part_of_the_layers_can_be_offloaded(vulkan: Engine) -> None:
    loaded = await vulkan.load(DENSE, msgspec.structs.replace(ON_GPU, n_gpu_layers=2))
    assert loaded.llama.n_gpu_layers == 2
    assert {"Vulkan0"} < {buffer.device for buffer in loaded.llama.buffers if buffer.purpose == "weights"}
    assert (await ask(vulkan, user("ping"), thinking=False)).text == "pong"


async def test_a_device_that_got_nothing_is_not_said_to_hold_layers() -> None:
    async with vulkan_engine(GGML_VK_VISIBLE_DEVICES="0,0") as engine:
        settings = msgspec.structs.replace(ON_GPU, devices=("Vulkan0", "Vulkan1"), n_gpu_layers=1)
        loaded = await engine.load(DENSE, settings)
        assert loaded.llama.n_gpu_layers == 1 and len(loaded.llama.devices) == 1
        weights = {buffer.device for buffer in loaded.llama.buffers if buffer.purpose == "weights"}
        assert set(loaded.llama.devices) == weights & {"Vulkan0", "Vulkan1"}
