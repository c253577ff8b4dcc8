"""How long the plan for a position of a slider takes, of models of real shapes of which only the header is written: the
first plan with the start of the planner's process, each further position of the layers and of the context, what is
remembered, and the formula, which is shown until llama.cpp's figures are there. Prints a Markdown table, milliseconds.

usage: python tests/performance/plan_latency.py --synth SYNTH_GGUF.py [--device Vulkan0] [--software-vulkan]

Without a device only the context is moved: layers make no difference then. The load settings wait another 30 ms for a
slider to rest before they ask. "CPU" is what the planner's process computes for a new position: on a busy machine the
figure to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.models.info import ModelInfo
from tui.models.library import inspect
from tui.planning.formula import MemoryPlan, estimate
from tui.planning.search import context_steps
from tui.protocol.records import LoadSettings

MODELS = {"qwen3-8b": "Q4_K_M", "qwen3-32b": "Q4_K_M", "qwen3-30b-a3b": "Q3_K_L"}


class Row(NamedTuple):
    """One model; seconds."""

    model: str
    first: float
    layers: list[float]
    contexts: list[float]
    remembered: list[float]
    formula: list[float]
    cpu: float
    """Of a new position, on average."""


async def timed(work: Callable[[], Awaitable[MemoryPlan]]) -> float:
    """Seconds until the plan is there, which must be llama.cpp's."""
    started = time.perf_counter()
    plan = await work()
    elapsed = time.perf_counter() - started
    if not plan.exact:
        raise SystemExit("There is no exact plan: see the log.")
    return elapsed


async def measure(name: str, path: Path, devices: tuple[str, ...], *, software: bool) -> Row:
    """All positions, each asked of a planner that does not know it yet, and once more."""
    info = inspect(path).info
    planner = DryRunPlanner(env=engine_environment(software=software))
    base = LoadSettings(devices=devices)
    contexts = [msgspec.structs.replace(base, n_ctx=n) for n in context_steps(info.n_ctx_train) if n != base.n_ctx]
    layers = [msgspec.structs.replace(base, n_gpu_layers=n) for n in range(info.n_layers + 1)] if devices else []

    async def each(positions: Iterable[LoadSettings]) -> list[float]:
        return [await timed(lambda at=at: planner.plan(path, info, at)) for at in positions]  # type: ignore[misc]

    try:
        (first,) = await each([base])
        before = _cpu(planner)
        new = await each(layers), await each(contexts)
        cpu = (_cpu(planner) - before) / len([*layers, *contexts])
        remembered = await each([*layers, *contexts])
    finally:
        await planner.close()
    return Row(name, first, *new, remembered, [by_formula(info, at) for at in (*layers, *contexts)], cpu)


def _cpu(planner: DryRunPlanner) -> float:
    """Seconds that the planner's process has computed."""
    times = psutil.Process(planner.pid).cpu_times()
    return float(times.user + times.system)


def by_formula(info: ModelInfo, settings: LoadSettings) -> float:
    started = time.perf_counter()
    estimate(info, settings)
    return time.perf_counter() - started


def table(rows: list[Row]) -> str:
    lines = [
        "| model | first plan, process started | layers | context | CPU | remembered | formula |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [row.model, f"{1000 * row.first:.0f}"]
        cells += map(_spread, (row.layers, row.contexts))
        cells += [f"{1000 * row.cpu:.0f}", _spread(row.remembered), _spread(row.formula)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(times: list[float]) -> str:
    if not times:
        return "–"
    median, largest = (1000 * n for n in (statistics.median(times), max(times)))
    return f"{median:.1f}, at most {largest:.1f} ({len(times)})" if median >= 1 else f"{median:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synth", type=Path, required=True, metavar="FILE", help="the script that writes the headers")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--device", default="", metavar="NAME", help="where the layers go; empty: the CPU alone")
    parser.add_argument("--software-vulkan", action="store_true", help="the device may be one that the CPU computes")
    options = parser.parse_args()
    devices = (options.device,) if options.device else ()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            path = Path(folder, f"{name}.gguf")
            command = [sys.executable, options.synth, name, path, "--quant", MODELS[name], "--sparse"]
            subprocess.run(command, stdout=sys.stderr, check=True)
            rows.append(asyncio.run(measure(name, path, devices, software=options.software_vulkan)))
            path.unlink()
    print(f"{datetime.date.today():%Y-%m-%d}, ms: median, largest (number of positions)\n\n{table(rows)}")


if __name__ == "__main__":
    main()
