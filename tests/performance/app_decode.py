"""Decode speed through the whole app against llama.cpp's own llama-bench, interleaved on one machine: the real `llmtui`
in a terminal of 120x40, a real model, one answer a round. Prints tok/s of both, their ratio, the CPU time that the UI
process took for each token, and how much of the cores others took meanwhile. The model gets the CPU when the ratio is
97% or more.

    python tests/performance/app_decode.py MODEL.gguf --threads 2 --rounds 8

llama-bench's tg test starts at an empty context and the app's answer behind a prompt of some tokens, so llama-bench is
given the same depth. Sampling, detokenizing, the wire, the transcript and the sidebar are all in the app's figure.
llama.cpp's threads wait for each other: a neighbour that takes 10% of one core can take half of the speed. Therefore a
round during which others were busy is shown, but counts only when --quiet allows it. The neighbours of a virtual
machine are not seen, and one round says little: many of them, as with `--patience 0 --rounds 300`, give a mean ratio
with a standard error that means something. The app is started anew every few rounds, as llama-bench is in each: two
processes of one program may differ by a few percent for as long as they live.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llama_programs import CPU_ARGUMENTS, llama_bench_path
from terminal import (
    CTRL_N,
    ENTER,
    Program,
    children,
    cpu_s,
    last_footer,
    llmtui,
    machine_cpu_s,
    reaped_cpu_s,
    wait_until_loaded,
    wait_until_quiet,
)

DEPTH = 40
"""About the tokens of the prompt below with the system prompt of SmolLM2's template."""


@dataclass(frozen=True)
class Half:
    """One of the two measurements of a round."""

    tps: float
    others: float
    """Cores that everything else kept busy meanwhile."""
    ui_ms: float = 0.0
    n_tokens: int = 0


def with_others(measure: Callable[[], tuple[float, float, float, int]]) -> Half:
    """Measure, and see what else the machine did. `measure` gives tok/s, its own CPU seconds, ms of the UI per token
    and tokens."""
    began, before = time.monotonic(), machine_cpu_s()
    tps, own, ui_ms, n_tokens = measure()
    seconds = time.monotonic() - began
    return Half(tps, max(0.0, machine_cpu_s() - before - own) / seconds, ui_ms, n_tokens)


def app_half(app: Program, engine: int, number: int) -> Half:
    """One answer of the app, in a new conversation."""
    app.send(CTRL_N)
    app.read(0.3)
    app.send(b"Tell me a very long story about dragon number %d." % number)
    app.read(0.3)

    def measure() -> tuple[float, float, float, int]:
        ui_before, engine_before, mine = cpu_s(app.pid), cpu_s(engine), time.process_time()
        here = app.send(ENTER)
        app.wait_for("tok/s · ttft", here)
        ui = cpu_s(app.pid) - ui_before
        own = ui + cpu_s(engine) - engine_before + time.process_time() - mine
        app.read(0.3)
        n_tokens, tps, _ = last_footer(app)
        return tps, own, 1000 * ui / n_tokens, n_tokens

    return with_others(measure)


def bench_half(model: Path, threads: int, n_gen: int) -> Half:
    """llama-bench's own tg figure."""
    command = [str(llama_bench_path()), "-m", str(model), "-t", str(threads), *CPU_ARGUMENTS]
    command += ["-p", "0", "-n", str(n_gen), "-d", str(DEPTH), "-r", "1", "-fa", "auto", "-o", "json"]

    def measure() -> tuple[float, float, float, int]:
        before = reaped_cpu_s()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(json.loads(done.stdout)[0]["avg_ts"]), reaped_cpu_s() - before, 0.0, n_gen

    return with_others(measure)


def rest(patience_s: float) -> None:
    """Wait for quiet, if there is any patience."""
    if patience_s > 0:
        wait_until_quiet(patience_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--n-gen", type=int, default=256)
    parser.add_argument("--restart", type=int, default=4, help="rounds after which the app is started anew (4)")
    parser.add_argument("--quiet", type=float, default=0.05, help="cores that others may take in a round (0.05)")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for quiet before a half (30)")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no round after so long (60)")
    arguments = parser.parse_args()
    rounds: list[tuple[Half, Half]] = []
    print(f"{'round':>6} {'llama-bench':>12} {'app':>8} {'ratio':>7} {'UI ms/token':>12} {'others':>12}")
    with contextlib.ExitStack() as running:
        end = time.monotonic() + 60 * arguments.minutes
        for number in range(1, arguments.rounds + 1):
            if time.monotonic() > end:
                break
            if (number - 1) % arguments.restart == 0:
                running.close()
                app = running.enter_context(
                    llmtui(arguments.model, "--threads", str(arguments.threads), max_tokens=arguments.n_gen)
                )
                wait_until_loaded(app)
                (engine,) = children(app.pid)
                app_half(app, engine, 0)  # llama-bench warms up too
            # In turn the one and the other first: what comes first follows another kind of pause.
            for is_bench in (True, False) if number % 2 else (False, True):
                rest(arguments.patience)
                if is_bench:
                    bench = bench_half(arguments.model, arguments.threads, arguments.n_gen)
                else:
                    mine = app_half(app, engine, number)
            if mine.n_tokens < arguments.n_gen // 2:
                print(f"{number:>6}  the answer has only {mine.n_tokens} tokens; left out")
                continue
            is_quiet = max(bench.others, mine.others) <= arguments.quiet
            if is_quiet:
                rounds.append((bench, mine))
            print(
                f"{number:>6} {bench.tps:>12.1f} {mine.tps:>8.1f} {mine.tps / bench.tps:>7.1%} {mine.ui_ms:>12.3f}"
                f" {bench.others:>5.2f} {mine.others:>6.2f}{'' if is_quiet else '  disturbed'}",
                flush=True,
            )
    if not rounds:
        print("No round was quiet: nothing can be said.")
        return
    theirs, ours = [bench.tps for bench, _ in rounds], [mine.tps for _, mine in rounds]
    ratios = [mine.tps / bench.tps for bench, mine in rounds]
    ratio = statistics.median(ratios)
    ui_ms = statistics.median(mine.ui_ms for _, mine in rounds)
    middle = statistics.median(theirs), statistics.median(ours)
    print(f"median {middle[0]:>12.1f} {middle[1]:>8.1f} {ratio:>7.1%} {ui_ms:>12.3f}   ({len(rounds)} quiet rounds)")
    if len(ratios) > 2:
        logs = [math.log(one) for one in ratios]
        error = statistics.stdev(logs) / math.sqrt(len(logs))
        print(f"mean ratio {math.exp(statistics.fmean(logs)):.1%} ± {error:.1%} (geometric mean, standard error)")
    print(f"best   {max(theirs):>12.1f} {max(ours):>8.1f} {max(ours) / max(theirs):>7.1%}")


if __name__ == "__main__":
    main()
