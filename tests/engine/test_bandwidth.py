"""Measuring memory's bandwidth: what is measured and what is left out, and that the engine is none the worse for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import until
from tests.engine.asking import ask, user
from tests.engine.vulkan import Driver, vulkan_engine
from tui.engines.interface import Engine
from tui.protocol.bench_messages import MeasureBandwidth

MIB = 1 << 20


async def test_the_host_is_measured_and_a_device_that_is_not_there_left_out(engine: Engine) -> None:
    found = (await engine.ask(MeasureBandwidth(devices=("CPU", "Vulkan9"), n_threads=1))).bytes_per_s
    assert set(found) == {"CPU"} and found["CPU"] > 0
    assert ((await engine.ask(MeasureBandwidth(devices=("CPU",)))).bytes_per_s)["CPU"] > 0


async def test_what_is_loaded_stays_and_the_memory_is_given_back(tiny: Engine) -> None:
    process = psutil.Process(tiny.pid)
    before = process.memory_info().rss
    await tiny.ask(MeasureBandwidth(devices=("CPU",), n_threads=1))
    assert process.memory_info().rss < before + 64 * MIB
    assert (await ask(tiny, user("ping"), thinking=False)).text == "pong"


async def test_cancelling_stops_it_and_the_engine_goes_on(engine: Engine) -> None:
    process = psutil.Process(engine.pid)
    # From here on the engine has all threads that it rests with.
    assert (await engine.ask(MeasureBandwidth(devices=()))).bytes_per_s == {}
    at_rest = process.num_threads()
    measuring = asyncio.create_task(engine.ask(MeasureBandwidth(devices=("CPU",), n_threads=2)))
    await until(lambda: process.num_threads() > at_rest)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    await until(lambda: process.num_threads() == at_rest)
    assert ((await engine.ask(MeasureBandwidth(devices=("CPU",), n_threads=1))).bytes_per_s)[
        "CPU"
    ] > 0 and engine.pid == process.pid


async def test_a_vulkan_device_is_measured_and_computes_afterwards() -> None:
    async with vulkan_engine() as engine:
        assert ((await engine.ask(MeasureBandwidth(devices=("Vulkan0",)))).bytes_per_s)["Vulkan0"] > 0
        assert ((await engine.ask(MeasureBandwidth(devices=("Vulkan0",)))).bytes_per_s)["Vulkan0"] > 0


async def test_a_device_without_memory_for_it_is_left_out(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "vkAllocateMemory -2")
    async with vulkan_engine(**driver.environment) as engine:
        driver.fail()
        assert set((await engine.ask(MeasureBandwidth(devices=("Vulkan0", "CPU"), n_threads=1))).bytes_per_s) == {"CPU"}


def test_last_level_caches_count_once_for_all_cpus_that_share_them(tmp_path: Path) -> None:
    for cpu in range(4):
        for index, (level, size, shared) in enumerate(
            ((1, "32K", f"{cpu}"), (3, "16384K", "0-1" if cpu < 2 else "2-3"))
        ):
            folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{index}"
            folder.mkdir(parents=True)
            for name, value in (("level", level), ("size", size), ("shared_cpu_list", shared)):
                (folder / name).write_text(f"{value}\n")
    # In a process of its own, as the engine's modules bring llama.cpp along.
    code = "import sys; from pathlib import Path; from tui.engine.bandwidth import cache_bytes\n"
    code += "print(cache_bytes(Path(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 32 * MIB
