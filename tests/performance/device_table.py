"""What a GPU makes of each model: tok/s and memory on the CPU alone, with half of the layers and with all of them on
the device, how exact the plan was there, and what the switch between CPU and device takes with a long conversation.
Prints Markdown tables for docs/performance.md.

    python tests/performance/device_table.py --device Vulkan0 4b.gguf 8b.gguf 30b-a3b.gguf

Speeds are medians of --rounds repetitions of pp512 and tg128, as `llmtui --bench` measures them. Planned is what the
dry run said before the load; taken is what llama.cpp's books hold after it, and in brackets how much less was free on
the device. A switch is timed from the command to the moment at which the next token can be computed.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.models.info import ModelInfo
from tui.models.library import inspect
from tui.planning.formula import MemoryPlan
from tui.protocol.bench_messages import BenchTest
from tui.protocol.messages import Done, Generate, ListDevices, Loaded, Started
from tui.protocol.records import LoadSettings, Message, Sampling

GIB, MIB = 1 << 30, 1 << 20
N_CONVERSATION = 3000
WORDS = "The keeper of the light house wrote down the wind and the weather of every single day. "


def gib(n_bytes: float) -> str:
    return f"{n_bytes / GIB:.2f}"


async def median_tps(engine: Engine, n_prompt: int, n_gen: int, rounds: int) -> float:
    # Shaders, clocks and pages are warm then.
    await engine.ask(BenchTest(n_prompt=n_prompt, n_gen=min(n_gen, 16)))
    test = BenchTest(n_prompt=n_prompt, n_gen=n_gen)
    return statistics.median([(n_prompt + n_gen) / (await engine.ask(test)).elapsed_s for _ in range(rounds)])


def device_part(plan: MemoryPlan, loaded: Loaded, device: str) -> tuple[int, int, int]:
    """Bytes on the device: planned, by llama.cpp's books, and less free than before."""
    planned = next((cost.total_bytes for cost in plan.devices if cost.device == device), 0)
    found = loaded.llama.footprint
    assert found is not None
    taken = next(
        (p.weights_bytes + p.kv_bytes + p.compute_bytes + p.output_bytes for p in found.placed if p.device == device), 0
    )
    return planned, taken, found.device_free_before.get(device, 0) - found.device_free_after.get(device, 0)


async def speeds(engine: Engine, planner: DryRunPlanner, path: Path, info: ModelInfo, device: str, rounds: int) -> None:
    """Three rows of the first table."""
    n_layers = info.n_layers + 1
    for n_gpu_layers in (0, n_layers // 2, n_layers):
        settings = LoadSettings(n_ctx=8192, devices=(device,) if n_gpu_layers else (), n_gpu_layers=n_gpu_layers)
        free = {found.name: found.free_bytes for found in (await engine.ask(ListDevices())).devices}
        plan = await planner.plan(path, info, settings, free)
        loaded = await engine.load(path, settings)
        planned, taken, gone = device_part(plan, loaded, device)
        pp = await median_tps(engine, 512, 0, rounds)
        tg = await median_tps(engine, 0, 128, rounds)
        place = f"{n_gpu_layers}/{n_layers} on {device}" if n_gpu_layers else "CPU"
        memory = (
            f"{gib(planned)} | {gib(taken)} ({gib(gone)}) | {(taken - planned) / MIB:+.0f}" if n_gpu_layers else "| | "
        )
        found = loaded.llama.footprint
        own = found.after.resident_bytes - found.before.resident_bytes if found else 0
        print(f"| {info.name} {info.quant} | {place} | {pp:,.0f} | {tg:,.1f} | {memory} ", end="")
        print(f"| {gib(own)} | {loaded.load_s:.1f} |", flush=True)


async def answer(engine: Engine, messages: list[Message]) -> tuple[Started, Done]:
    started, done = None, None
    async for event in engine.generate(
        Generate(messages=tuple(messages), sampling=Sampling(temperature=0), thinking=False, max_tokens=8)
    ):
        started = event if isinstance(event, Started) else started
        done = event if isinstance(event, Done) else done
    assert started is not None and done is not None
    return started, done


async def switches(engine: Engine, path: Path, info: ModelInfo, device: str) -> None:
    """Two rows of the second table."""
    on_device = LoadSettings(n_ctx=8192, devices=(device,))
    on_cpu = msgspec.structs.replace(on_device, devices=())
    await engine.load(path, on_cpu)
    question = [Message(role="user", content=WORDS * (N_CONVERSATION // 18))]
    _, first = await answer(engine, question)
    cpu_prefill = first.timings.prefill_tps
    await engine.load(path, on_device)
    _, first = await answer(engine, question)
    prefill = {"CPU": cpu_prefill, device: first.timings.prefill_tps}
    for settings in (on_cpu, on_device):
        began = time.monotonic()
        loaded = await engine.load(path, settings, keep_context=True, load_first=True)
        took = time.monotonic() - began
        to = "+".join(loaded.llama.devices) or "CPU"
        _, after = await answer(engine, question)
        print(
            f"| {info.name} {info.quant} | {to} | {loaded.n_kept:,} | {took:.1f} | {loaded.keep_s:.2f} "
            f"| {after.timings.n_prefill} | {loaded.n_kept / prefill[to]:.1f} |",
            flush=True,
        )


async def measure(models: list[Path], device: str, rounds: int) -> None:
    async with LocalEngine() as engine:
        hello = engine.hello
        assert hello is not None
        known = {found.name: found for found in hello.devices}
        if device not in known:
            raise SystemExit(f"There is no device named {device}; there are {', '.join(known)}.")
        gpu, today = known[device], datetime.datetime.now(datetime.UTC).date()
        print(f"{today}, {gpu.description} ({gib(gpu.total_bytes)} GiB), {known['CPU'].description}, ", end="")
        print(f"llama-cpp-python {version('llama_cpp_python')}\n")
        planner = DryRunPlanner()
        try:
            print(
                "| model | layers | pp512, tok/s | tg128, tok/s | planned, GiB | taken (no longer free), GiB"
                " | off by, MiB | engine's own RAM, GiB | load, s |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
            )
            infos = {path: inspect(path).info for path in models}
            for path, info in infos.items():
                await speeds(engine, planner, path, info, device, rounds)
        finally:
            await planner.close()
        print(
            "\n| model | switch to | tokens taken along | switch, s | of it the context, s | tokens evaluated again |"
            " evaluating all would take, s |\n|---|---|--:|--:|--:|--:|--:|"
        )
        for path, info in infos.items():
            await switches(engine, path, info, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--device", default="Vulkan0")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(measure([path.absolute() for path in arguments.models], arguments.device, arguments.rounds))


if __name__ == "__main__":
    main()
