"""Holds forecasts of speed against what was then measured: models of real shapes with random weights, dense ones and
mixtures of experts, written one at a time, each measured as `llmtui --bench` does. Of each device half of them, drawn
at random, are what a forecast learns from, the other half what it is tested with, many times over; also each model
alone from all the others, and each from bandwidth alone. Prints a Markdown table: how often the speed was within the
bar, how wide the bar was, how far off the forecast was.

`--minutes N` ends the measuring after so long, the small shapes first: ten minutes on two cores give an answer.
`--keep FILE` keeps what was measured, and adds to it: later calls without a script to write models only compute.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import math
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from tui.engines.local import LocalEngine
from tui.measure.bench_plan import BenchJob, BenchPlan, context_for, plan_tests
from tui.measure.forecast import Basis, Range, forecast
from tui.measure.known_speeds import KnownRun, KnownSpeeds, of_reports
from tui.measure.report import Report
from tui.measure.runner import Runner
from tui.models.info import ModelInfo
from tui.models.library import inspect
from tui.planning.formula import estimate
from tui.protocol.records import LoadSettings

TESTS = plan_tests([64], [16])
REPETITIONS = 2
SPLITS = 200
RESERVE = 1 << 30
SMALL = {
    "small-0.1b": {"embd": 512, "layers": 12, "heads": 8, "kv_heads": 4, "ffn": 1536, "tied": True},
    "small-moe-8": {"experts": 8, "experts_used": 2, "expert_ffn": 512, "embd": 768},
    "small-0.2b": {"embd": 768, "layers": 16, "heads": 12, "kv_heads": 4, "ffn": 2048, "tied": True},
    "small-1b": {"embd": 1536, "layers": 24, "heads": 12, "kv_heads": 4, "ffn": 4608, "tied": True},
    "small-moe-16": {"experts": 16, "experts_used": 2, "expert_ffn": 768},
    "small-moe-32": {"experts": 32, "experts_used": 4, "expert_ffn": 512},
    "small-moe-64": {"experts": 64, "experts_used": 8, "expert_ffn": 384, "embd": 1536},
}
"""Shapes beside those of the script, so that a small machine has enough of both kinds."""
_MIXTURE = {"arch": "qwen3moe", "embd": 1024, "layers": 20, "heads": 16, "kv_heads": 4, "ffn": 3072}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one device."""

    shape: str
    info: ModelInfo
    report: Report


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast and what came of it."""

    expected: Range
    tps: float


def shapes_of(synth: Path) -> ModuleType:
    """The script that writes models, with the small shapes added."""
    spec = importlib.util.spec_from_file_location("written_models", synth)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["written_models"] = module
    spec.loader.exec_module(module)
    for name, fields in SMALL.items():
        values: dict[str, Any] = {**(_MIXTURE if "experts" in fields else {"arch": "qwen3"}), **fields}
        module.MODELS[name] = module.Shape(name=name.replace("-", " "), **values)
    return module


def write(module: ModuleType, shape: str, quant: str, path: Path, *, sparse: bool) -> None:
    """Have it write one."""
    before = sys.argv
    sys.argv = [module.__name__, shape, str(path), "--quant", quant, *["--sparse"] * sparse]
    try:
        module.main()
    finally:
        sys.argv = before


async def measure(path: Path, devices: tuple[str, ...], n_threads: int) -> Report | None:
    """One benchmark; None where it failed."""
    settings = LoadSettings(n_ctx=context_for(TESTS), devices=devices, n_threads=n_threads)
    plan = BenchPlan(
        jobs=(BenchJob(model=inspect(path), settings=settings),), tests=TESTS, repetitions=REPETITIONS, bandwidth=True
    )
    async with LocalEngine() as engine:
        runner = Runner(engine, plan)
        reports = (await runner.run()).reports
    for failure in runner.failures:
        print(f"{path.name}: {failure.error}", file=sys.stderr)
    return reports[0] if reports and reports[0].results else None


def measure_all(options: argparse.Namespace, found: list[Measured]) -> None:
    """All shapes in all quantizations on all devices, less what is known already, each kept as it comes."""
    module = shapes_of(options.synth)
    until = time.monotonic() + 60 * options.minutes
    known = {(one.shape, one.info.quant, one.report.backend) for one in found}
    for shape in options.models or [*SMALL, *module.MODELS]:
        for quant in options.quants:
            if time.monotonic() >= until:
                return
            wanted = [device for device in options.devices if (shape, quant, device.rstrip("0123456789")) not in known]
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                path = Path(folder, f"{shape}-{quant}.gguf")
                if not wanted:
                    continue
                if shape not in SMALL:
                    write(module, shape, quant, path, sparse=True)
                    if path.stat().st_size + RESERVE > shutil.disk_usage(folder).free:
                        continue
                    path.unlink()
                write(module, shape, quant, path, sparse=False)
                info = inspect(path).info
                for device in wanted:
                    report = asyncio.run(measure(path, () if device == "CPU" else (device,), options.threads))
                    if report is not None:
                        found.append(Measured(shape=shape, info=info, report=report))
            if options.keep:
                options.keep.write_bytes(msgspec.json.encode(found))


def cases(tested: Iterable[Measured], known: KnownSpeeds) -> tuple[list[Case], list[Case]]:
    """What is expected of these, written and read, beside what they did."""
    decode, prompt = [], []
    for one in tested:
        result, prefill = one.report.decode, one.report.prefill
        plan = estimate(one.info, one.report.settings)
        n_threads = one.report.loaded.llama.n_threads
        expected = forecast(one.info, plan, known, n_threads=n_threads, n_past=8)
        if expected and expected.decode_tps and result:
            decode.append(Case(expected=expected.decode_tps, tps=result.avg_ts))
        if expected and expected.prompt_tps and prefill:
            prompt.append(Case(expected=expected.prompt_tps, tps=prefill.avg_ts))
    return decode, prompt


def known_of(learned: Sequence[Measured]) -> KnownSpeeds:
    """What these tell."""
    return of_reports([one.report for one in learned], n_threads=0)


def by_halves(found: Sequence[Measured]) -> tuple[list[Case], list[Case]]:
    """Half to learn from, half to test, many times."""
    chance = random.Random(1)
    decode: list[Case] = []
    prompt: list[Case] = []
    for _ in range(SPLITS):
        learned = chance.sample(range(len(found)), len(found) // 2)
        tested = [one for number, one in enumerate(found) if number not in learned]
        more = cases(tested, known_of([found[number] for number in learned]))
        decode += more[0]
        prompt += more[1]
    return decode, prompt


def one_by_one(found: Sequence[Measured]) -> tuple[list[Case], list[Case]]:
    """Each by all the others."""
    decode: list[Case] = []
    prompt: list[Case] = []
    for one in found:
        more = cases([one], known_of([other for other in found if other is not one]))
        decode += more[0]
        prompt += more[1]
    return decode, prompt


def by_bandwidth(found: Sequence[Measured]) -> list[Case]:
    """Each by the bandwidth that was measured before it, and nothing else."""
    return [
        case
        for one in found
        for case in cases([one], KnownSpeeds(bandwidth=known_of([one]).bandwidth))[0]
    ]  # fmt: skip


def rows(device: str, how: str, what: str, found: Sequence[Case]) -> list[str]:
    """Of the table: all of them, and by what they are known from."""
    groups: dict[Basis | str, list[Case]] = defaultdict(list)
    for case in found:
        groups["all"].append(case)
        groups[case.expected.basis].append(case)
    told = []
    for name in ("all", "like", "others"):
        if not (group := groups.get(name, [])) or (name != "all" and len(groups) == 2):
            continue
        held = sum(case.expected.holds(case.tps) for case in group) / len(group)
        width = statistics.median(case.expected.width for case in group)
        off = statistics.median(abs(case.expected.error(case.tps)) for case in group)
        figures = f"{len(group):,} | {held:.0%} | {width:.2f} | {off:.0%}"
        told.append(f"| {device} | {what} | {how} | {name} | {figures} |")
    return told


def table(found: Sequence[Measured]) -> str:
    """Of all devices."""
    lines = [
        "| device | speed | learned from | basis | forecasts | within the bar | width (median) | off (median) |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for device in dict.fromkeys(one.report.backend for one in found):
        here = [one for one in found if one.report.backend == device]
        for how, made in (("half of the models", by_halves(here)), ("all other models", one_by_one(here))):
            for what, group in zip(("decode", "prefill"), made, strict=True):
                lines += rows(device, how, what, group)
        lines += rows(device, "bandwidth alone", "decode", by_bandwidth(here))
    return "\n".join(lines)


def speeds(found: Sequence[Measured]) -> str:
    """What was measured."""
    lines = ["| model | device | read per token | prefill tok/s | decode tok/s | of the roofline |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for one in found:
        run: KnownRun = known_of([one]).runs[0]
        roofline = one.report.roofline
        share = f"{run.decodes[0].tps / roofline.tps:.0%}" if roofline else ""
        read = sum(run.decodes[0].read_bytes.values()) / 1e6
        figures = f"{read:,.0f} MB | {run.prefills[0].tps:.1f} | {run.decodes[0].tps:.1f} | {share}"
        lines.append(f"| {one.shape} {one.info.quant} | {one.report.backend} | {figures} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="How near forecasts of speed come to what is measured.")
    parser.add_argument("synth", type=Path, nargs="?", help="the script that writes models with random weights")
    parser.add_argument("--models", nargs="+", metavar="SHAPE", help="all that there is room for")
    parser.add_argument("--quants", nargs="+", default=["Q4_K_M", "Q8_0"], metavar="QUANT")
    parser.add_argument("--devices", nargs="+", default=["CPU"], metavar="DEVICE", help='"CPU", "Vulkan0", …')
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; its cores")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no other model is measured")
    parser.add_argument("--folder", type=Path, help="where the models are written for the while; a temporary one")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keeps what was measured, and takes it up again")
    options = parser.parse_args()
    found: list[Measured] = []
    if options.keep and options.keep.exists():
        found = msgspec.json.decode(options.keep.read_bytes(), type=list[Measured])
    if options.synth:
        measure_all(options, found)
    print(speeds(found), table(found), sep="\n\n")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
