"""Compares `llmtui --bench` with llama.cpp's own llama-bench on this machine: same model, libraries, threads and batch
sizes, the two taking turns so that whatever else the machine does hits both. Exit code 0 when they agree within their
own spread, 1 when they do not, 2 when the machine was too busy to tell.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from llama_programs import CPU_ARGUMENTS, llama_bench_path

REPOSITORY = Path(__file__).resolve().parents[2]
TOLERANCE = 0.02
"""Part by which the figures may differ where llama-bench's own spread is smaller still."""
QUIET = 0.05
"""Spread, as a part of the median, up to which a machine counts as quiet."""

Samples = dict[str, list[float]]
"""Test ("pp512") to tokens per second of every repetition."""


def default_model() -> Path:
    """SmolLM2-135M, from LLMTUI_SMOLLM2 or fetched by the script that the tests use."""
    if named := os.environ.get("LLMTUI_SMOLLM2"):
        return Path(named)
    script = REPOSITORY / "scripts" / "small_model.py"
    done = subprocess.run([sys.executable, script, "--cached"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def measure(command: Sequence[str], into: Samples) -> None:
    """Run one of the two programs and add its samples; both print the same JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    for record in json.loads(done.stdout):
        name = f"pp{record['n_prompt']}" if record["n_prompt"] else f"tg{record['n_gen']}"
        into.setdefault(name, []).extend(record["samples_ts"])


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles: what a few repetitions disturbed from outside do not move."""
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare llmtui --bench with llama-bench.")
    parser.add_argument("model", nargs="?", type=Path, help="GGUF file; SmolLM2-135M by default")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="times that each program is run (4)")
    parser.add_argument("-r", "--repetitions", type=int, default=5, metavar="N", help="of a test in a round (5)")
    parser.add_argument("-t", "--threads", type=int, default=psutil.cpu_count(logical=False) or 1, metavar="N")
    parser.add_argument("-p", "--n-prompt", type=int, default=512, metavar="N")
    parser.add_argument("-n", "--n-gen", type=int, default=128, metavar="N")
    arguments = parser.parse_args()
    model = arguments.model or default_model()
    same = ["-p", arguments.n_prompt, "-n", arguments.n_gen, "-r", arguments.repetitions, "-t", arguments.threads]
    same = [*map(str, same), "-b", "2048", "-ub", "512", "-fa", "auto"]
    commands = {
        "llama-bench": [str(llama_bench_path()), "-m", str(model), *same, *CPU_ARGUMENTS, "-o", "json"],
        "llmtui": [sys.executable, "-m", "tui", "--bench", str(model), *same, "--backend", "cpu", "--json"],
    }
    samples: dict[str, Samples] = {name: {} for name in commands}
    for number in range(arguments.rounds):
        # The one that goes first finds a cooler CPU: they take turns at that too.
        for name in sorted(commands, reverse=number % 2 == 1):
            print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr)
            measure(commands[name], samples[name])
    print(f"{model.name}, {arguments.threads} threads, {arguments.rounds} x {arguments.repetitions} repetitions")
    print(f"load of the machine {os.getloadavg()[1]:.1f} over 5 minutes; medians ± half the distance of quartiles\n")
    print(f"{'test':<8} {'llama-bench':>18} {'llmtui':>18} {'ratio':>8} {'best':>8}")
    agreed = quiet = True
    for test, theirs in samples["llama-bench"].items():
        ours = samples["llmtui"][test]
        middle, best = statistics.median(ours) / statistics.median(theirs), max(ours) / max(theirs)
        noise = max(spread(values) / statistics.median(values) for values in (ours, theirs))
        quiet &= noise <= QUIET
        agreed &= abs(middle - 1) <= max(TOLERANCE, noise)
        cells = [f"{statistics.median(values):.2f} ± {spread(values):.2f}" for values in (theirs, ours)]
        print(f"{test:<8} {cells[0]:>18} {cells[1]:>18} {middle:>8.3f} {best:>8.3f}")
    print("\nratio: of the medians; best: of the fastest repetitions.")
    if not quiet:
        print(
            f"No verdict: something else took the machine's time (spread over {QUIET:.0%}). Run this when it is quiet."
        )
        return 2
    print("They agree." if agreed else "They DISAGREE.")
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
