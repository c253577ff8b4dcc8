"""A load on the CPU, with a GPU in sight: nothing of it lives there, and nothing is sent there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, on_the_cpu, user
from tests.engine.vulkan import ON_GPU, Driver, vulkan_engine

LONG = user("one two three " * 20)
"""More than the 32 tokens from which on llama.cpp sends a batch to a GPU that holds nothing of the model."""

TIMINGS = "Vulkan Timings:"
"""What llama.cpp's Vulkan backend logs for every graph that it computes, when it is asked to."""


@pytest.mark.parametrize("model", [DENSE, MOE], ids=["dense", "mixture of experts"])
async def test_all_buffers_are_the_cpus_and_the_graph_is_in_one_piece(model: Path) -> None:
    async with vulkan_engine() as engine:
        loaded = await engine.load(model, TINY)
        assert {buffer.purpose for buffer in loaded.llama.buffers} == {"weights", "kv", "compute", "output"}
        assert on_the_cpu(loaded)
        assert loaded.llama.devices == () and loaded.llama.n_gpu_layers == 0
        splits = [match[1] for line in engine.log if (match := re.search(r"graph.*splits = ([\d/ ()a-z=]+),", line))]
        assert splits and set(splits) == {"1"}


async def test_no_batch_of_a_cpu_load_reaches_the_gpu() -> None:
    async with vulkan_engine(GGML_VK_PERF_LOGGER="1") as engine:
        await engine.load(DENSE, TINY)
        reply = await ask(engine, LONG, thinking=False, max_tokens=2)
        assert reply.started.n_prompt > 64
        assert not any(TIMINGS in line for line in engine.log)


async def test_the_same_prompt_does_reach_it_when_no_layer_is_offloaded_but_the_device_is_named() -> None:
    # What makes the test above one that can fail: "0 layers on the GPU" is not "the CPU alone".
    async with vulkan_engine(GGML_VK_PERF_LOGGER="1") as engine:
        loaded = await engine.load(DENSE, msgspec.structs.replace(ON_GPU, n_gpu_layers=0))
        assert loaded.llama.n_gpu_layers == 0
        await ask(engine, LONG, thinking=False, max_tokens=2)
        assert any(TIMINGS in line for line in engine.log)


async def test_a_cpu_load_neither_takes_memory_of_the_gpu_nor_submits_to_it(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    async with vulkan_engine(**driver.environment) as engine:
        before = driver.n_submits, driver.n_allocations
        await engine.load(DENSE, TINY)
        await ask(engine, LONG, thinking=False, max_tokens=2)
        assert (driver.n_submits, driver.n_allocations) == before == (0, 0)
        await engine.load(DENSE, ON_GPU)
        assert driver.n_submits > 0 and driver.n_allocations > 0
