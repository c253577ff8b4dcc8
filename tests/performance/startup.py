"""Measures how long `llmtui --version` and `--help` take from the start of the process to its end, Python's own start
beside them. Prints medians in milliseconds; exit code 1 when one is over the budget.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

BUDGET_MS = 150.0


def took_ms(command: list[str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast llmtui answers --version and --help.")
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    rounds = parser.parse_args().rounds
    script = Path(sys.executable).with_name("llmtui")
    llmtui = [str(script)] if script.exists() else [sys.executable, "-m", "tui"]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "llmtui --version": [*llmtui, "--version"],
        "llmtui --help": [*llmtui, "--help"],
    }
    # The first round reads files into the page cache and writes bytecode; rounds take turns, so that load hits all.
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            ms = took_ms(command)
            if number:
                samples[name].append(ms)
    medians = {name: statistics.median(times) for name, times in samples.items()}
    for name, times in samples.items():
        print(f"{name:<18} {medians[name]:6.1f} ms   ({min(times):.1f} to {max(times):.1f}, {rounds} rounds)")
    slow = [name for name, median in medians.items() if median > BUDGET_MS]
    if slow:
        print(f"over the budget of {BUDGET_MS:.0f} ms: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
