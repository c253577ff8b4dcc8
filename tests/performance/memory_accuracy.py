"""Holds what was planned against what is really taken, on the CPU: models of real shapes with random weights, written
one at a time, times context sizes and KV cache types. Each is loaded into a fresh engine and reads a prompt of one
batch. Prints a Markdown table; exit code 1 when a row is off by more than 3% or 64 MiB, whichever is more, in
llama.cpp's own books or in the process's own memory.

Takes an hour or so on two cores, and as much disk as the largest model (14 GiB); what there is no room for is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psutil

from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.models.library import inspect
from tui.planning.formula import MemoryPlan, estimate
from tui.planning.report import SYSTEM, private_bytes, report
from tui.protocol.bench_messages import BenchTest
from tui.protocol.records import CacheType, LoadSettings

MODELS = {
    "qwen3-0.6b": "Q4_K_M",
    "qwen3-4b": "Q4_K_M",
    "qwen3-8b": "Q4_K_M",
    "qwen3-14b": "Q4_K_M",
    "qwen3-30b-a3b": "Q3_K_L",
}
CONTEXTS = (4096, 16384, 40960)
CACHES: tuple[CacheType, ...] = ("f16", "q8_0", "q4_0")
MIB, GIB = 1 << 20, 1 << 30
TOLERANCE, LEAST = 0.03, 64 * MIB
RESERVE = GIB
BEGIN, END = "<!-- memory_accuracy: begin -->", "<!-- memory_accuracy: end -->"


class Row(NamedTuple):
    """One load; bytes."""

    model: str
    n_ctx: int
    cache: str
    plan: MemoryPlan
    formula: MemoryPlan
    booked: int
    """Taken, by llama.cpp's books."""
    own: int
    """The process's own memory after a prompt, above what it was before the load."""

    @property
    def planned(self) -> int:
        """What the books should have."""
        return self.plan.total_bytes - self.plan.host.other_bytes

    @property
    def is_right(self) -> bool:
        return _is_near(self.planned, self.booked) and _is_near(private_bytes(self.plan), self.own)


def _is_near(planned: int, actual: int) -> bool:
    return abs(actual - planned) <= max(TOLERANCE * actual, LEAST)


class Bench:
    """All rows, and what was left out."""

    def __init__(self, synth: Path, folder: Path, contexts: list[int]) -> None:
        self._synth, self._folder, self._contexts = synth, folder, contexts
        self.rows: list[Row] = []
        self.left_out: list[str] = []

    async def model(self, name: str, quant: str) -> None:
        path = self._folder / f"{name}-{quant}.gguf"
        command = [sys.executable, self._synth, name, path, "--quant", quant]
        try:
            await _done([*command, "--sparse"])
            if path.stat().st_size + RESERVE > shutil.disk_usage(self._folder).free:
                self.left_out.append(f"{name}: the disk has no room for it")
                return
            path.unlink()
            await _done(command)
            for n_ctx in self._contexts:
                for cache in CACHES:
                    await self._load(name, path, LoadSettings(n_ctx=n_ctx, type_k=cache, type_v=cache))
        finally:
            path.unlink(missing_ok=True)

    async def _load(self, name: str, path: Path, settings: LoadSettings) -> None:
        info = inspect(path).info
        planner = DryRunPlanner()
        try:
            plan = await planner.plan(path, info, settings)
        finally:
            await planner.close()
        if not plan.exact:
            raise SystemExit("There is no exact plan: see the log.")
        if private_bytes(plan) + RESERVE > psutil.virtual_memory().available:
            self.left_out.append(f"{name}, {settings.n_ctx:,} tokens, {settings.type_k}: too little RAM")
            return
        async with LocalEngine() as engine:
            loaded = await engine.load(path, settings)
            await engine.ask(BenchTest(n_prompt=settings.n_ubatch, n_gen=1))
            assert loaded.llama.footprint is not None and engine.pid is not None
            lines = report(plan, loaded)
            self.rows.append(
                Row(
                    model=name,
                    n_ctx=settings.n_ctx,
                    cache=settings.type_k,
                    plan=plan,
                    formula=estimate(info, settings),
                    booked=sum(line.actual_bytes for line in lines if line.place != SYSTEM),
                    own=_anonymous(engine.pid) - loaded.llama.footprint.before.resident_bytes,
                )
            )
            print(table(self.rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)


async def _done(command: list[object]) -> None:
    """Run a program, its words to stderr."""
    done = await asyncio.to_thread(lambda: subprocess.run(list(map(str, command)), stdout=sys.stderr, check=False))
    if done.returncode:
        raise SystemExit(f"{command[1]} ended with {done.returncode}")


def _anonymous(pid: int) -> int:
    """A process's own memory that lies in RAM, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))


def table(rows: list[Row]) -> str:
    """Markdown; MiB, and the share of the difference."""
    head = (
        *("model", "context", "KV", "mapped", "repacked", "KV cache", "compute", "planned", "taken", "off"),
        *("planned own", "process", "off", "formula off"),
    )
    lines = [f"| {' | '.join(head)} |", "| --- | ---: | --- |" + " ---: |" * (len(head) - 3)]
    for row in rows:
        host = row.plan.host
        figures = [host.mapped_bytes, host.repacked_bytes, host.kv_bytes, host.compute_bytes]
        cells = [row.model, f"{row.n_ctx:,}", row.cache, *map(_mib, figures)]
        own = private_bytes(row.plan)
        cells += [_mib(row.planned), _mib(row.booked), _off(row.planned, row.booked)]
        cells += [_mib(own), _mib(row.own), _off(own, row.own)]
        cells.append(_off(row.formula.total_bytes - row.formula.host.other_bytes, row.booked))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / MIB:,.0f}"


def _off(planned: int, actual: int) -> str:
    return f"{100 * (actual - planned) / actual:+.1f}%"


def text(bench: Bench) -> str:
    """The table, with what it is about."""
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    ram = psutil.virtual_memory().total / GIB
    n_wrong = sum(not row.is_right for row in bench.rows)
    parts = [
        f"{datetime.date.today():%Y-%m-%d} · {cpu}, {psutil.cpu_count(logical=False)} cores, {ram:.0f} GiB"
        f" · llama.cpp of llama-cpp-python {version('llama_cpp_python')} · {platform.system()}. MiB.",
        table(bench.rows),
        f"Of {len(bench.rows)} rows, {len(bench.rows) - n_wrong} are within 3% or 64 MiB, whichever is more.",
    ]
    parts += [f"Left out: {what}." for what in bench.left_out]
    return "\n\n".join(parts)


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def write_into(file: Path, found: str) -> None:
    """Put it between the marks in `file`."""
    before, rest = file.read_text().split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{rest.split(END)[1]}")


async def run(bench: Bench, names: list[str]) -> None:
    for name in names:
        await bench.model(name, MODELS[name])


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare planned with taken memory on the CPU.")
    parser.add_argument("synth", type=Path, help="the script that writes models with random weights")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME", help="all of them")
    parser.add_argument("--contexts", nargs="+", type=int, default=list(CONTEXTS), metavar="N")
    parser.add_argument("--folder", type=Path, help="where the models are written for the while; a temporary one")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into FILE, between its marks")
    options = parser.parse_args()
    os.nice(19)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = Bench(options.synth, Path(folder), options.contexts)
        asyncio.run(run(bench, options.models))
    found = text(bench)
    print(found)
    if options.write:
        write_into(options.write, found)
    return 0 if bench.rows and all(row.is_right for row in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
