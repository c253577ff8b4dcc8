"""The chart of docs/performance.md: models of real shapes with random weights, written, measured and deleted one at a
time, on every backend named. Prints the bench's own table and writes the chart as SVG; the samples are kept as JSON,
and a run that is given the JSON of an earlier one leaves out what it holds.

    python tests/performance/model_chart.py synth_gguf.py --backends cpu,vulkan --samples all.json --svg chart.svg
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import msgspec

from tui.base.terminal_style import page
from tui.bench.command import make_job
from tui.bench.render import for_eyes
from tui.config.settings import ChosenLoad
from tui.engines.local import LocalEngine
from tui.measure.bench_plan import BenchJob, BenchPlan, plan_tests
from tui.measure.chart import charts
from tui.measure.chart_plot import draw
from tui.measure.condition import MachineProbe
from tui.measure.report import Comparison
from tui.measure.runner import Progress, Runner
from tui.models.library import inspect

MODELS = (
    *(("qwen3-4b", "Q4_K_M"), ("qwen3-8b", "Q4_K_M"), ("qwen3-14b", "Q4_K_M")),
    *(("qwen3-30b-a3b", "Q3_K_L"), ("qwen3-32b", "Q3_K_L"), ("ds-r1-qwen-7b", "Q4_K_M")),
)


async def measure(path: Path, arguments: argparse.Namespace) -> Comparison:
    """All backends of one model."""
    tests = plan_tests([arguments.n_prompt], [arguments.n_gen])
    async with LocalEngine() as engine:
        devices = (await engine.start()).devices
        model = inspect(path)
        jobs: list[BenchJob] = [
            make_job(model, {"backend": backend}, ChosenLoad(), devices, tests)
            for backend in arguments.backends.split(",")
        ]
        with contextlib.closing(MachineProbe.of(engine)) as probe:
            plan = BenchPlan(jobs=tuple(jobs), tests=tests, repetitions=arguments.repetitions)
            found = await Runner(engine, plan, _tell, probe).run()
    return found


def _tell(progress: Progress) -> None:
    if progress.test and progress.repetition:
        print(f"  {progress.test.name} run {progress.repetition}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("synth", type=Path, help="the script that writes models with random weights")
    parser.add_argument("--backends", default="cpu")
    parser.add_argument("--models", nargs="+", default=[name for name, _ in MODELS], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("-p", "--n-prompt", type=int, default=512)
    parser.add_argument("-n", "--n-gen", type=int, default=128)
    parser.add_argument("-r", "--repetitions", type=int, default=3)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--svg", type=Path)
    arguments = parser.parse_args()
    decode = msgspec.json.Decoder(Comparison).decode
    known = decode(arguments.samples.read_bytes()) if arguments.samples.exists() else Comparison()
    for name, quant in MODELS:
        path = arguments.folder / f"{name}-{quant}.gguf"
        if name not in arguments.models or any(Path(report.loaded.path).name == path.name for report in known.reports):
            continue
        try:
            command = [sys.executable, arguments.synth, name, path, "--quant", quant]
            subprocess.run(command, stdout=sys.stderr, check=True)
            found = asyncio.run(measure(path, arguments))
        finally:
            path.unlink(missing_ok=True)
        known = Comparison(reports=(*known.reports, *found.reports))
        arguments.samples.write_bytes(msgspec.json.encode(known))
    print(page(for_eyes(known)))
    if arguments.svg and (drawn := charts(known)):
        arguments.svg.write_bytes(draw(drawn, "svg"))


if __name__ == "__main__":
    main()
