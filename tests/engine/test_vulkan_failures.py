"""What a Vulkan driver can do to the engine: the process ends, the cause is known, and a new one answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import DENSE, TINY
from tests.engine.asking import ask, user
from tests.engine.vulkan import ON_GPU, Driver, vulkan_engine
from tui.engines.interface import EngineError
from tui.protocol.death import EngineDied

DEVICE_LOST, OUT_OF_MEMORY, UNKNOWN = -4, -2, -13


@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        (f"vkQueueSubmit {DEVICE_LOST}", "device_lost", "vk::Queue::submit: ErrorDeviceLost"),
        (f"vkQueueSubmit {OUT_OF_MEMORY}", "out_of_memory", "vk::Queue::submit: ErrorOutOfDeviceMemory"),
        (f"vkAllocateMemory {OUT_OF_MEMORY}", "out_of_memory", "vk::Device::allocateMemory: ErrorOutOfDeviceMemory"),
        (f"vkCreateComputePipelines {UNKNOWN}", "shader", "vk::Device::createComputePipeline: ErrorUnknown"),
    ],
)
async def test_a_failure_while_answering_ends_the_engine_alone_and_names_its_cause(
    tmp_path: Path, fault: str, cause: str, words: str
) -> None:
    driver = Driver(tmp_path, fault)
    async with vulkan_engine(**driver.environment) as engine:
        await engine.load(DENSE, ON_GPU)
        driver.fail()
        with pytest.raises(EngineDied) as died:
            await ask(engine, user("one two three " * 60), thinking=False)
        death = died.value.death
        assert (death.cause, death.last_words, death.running) == (cause, words, "answering")
        assert death.signal_name == "SIGABRT" and any("ggml_vulkan" in line or "what()" in line for line in death.log)
        # The device stays lost; the CPU needs none.
        await engine.restart()
        await engine.load(DENSE, TINY)
        assert (await ask(engine, user("ping"), thinking=False)).text == "pong"


async def test_a_shader_that_cannot_be_compiled_while_loading_is_named(tmp_path: Path) -> None:
    driver = Driver(tmp_path, f"vkCreateComputePipelines {UNKNOWN}")
    async with vulkan_engine(**driver.environment) as engine:
        driver.fail()
        with pytest.raises(EngineDied) as died:
            await engine.load(DENSE, ON_GPU)
        assert (died.value.death.cause, died.value.death.running) == ("shader", "loading")


async def test_memory_that_the_device_does_not_have_for_the_weights_is_refused_and_the_engine_lives_on(
    tmp_path: Path,
) -> None:
    driver = Driver(tmp_path, f"vkAllocateMemory {OUT_OF_MEMORY}")
    async with vulkan_engine(**driver.environment) as engine:
        driver.fail()
        with pytest.raises(EngineError) as refused:
            await engine.load(DENSE, ON_GPU)
        assert refused.value.info.kind == "out_of_memory" and "Vulkan0" in refused.value.info.text
        driver.recover()
        await engine.load(DENSE, ON_GPU)
        assert (await ask(engine, user("ping"), thinking=False)).text == "pong"
