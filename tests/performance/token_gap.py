"""What the engine adds to `llama_decode`: the two token loops, compiled and in Python, beside the bare decoding of
tokens known before, eight tokens each in random order, all in one process. A machine that changes its speed from second
to second then matters little: what is compared lies a tenth of a second apart.

    python tests/performance/token_gap.py MODEL.gguf --threads 2 --minutes 3
"""

from __future__ import annotations

import argparse
import ctypes
import math
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from llama_cpp import llama_cpp as lib

from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.engine.looprun import TokenLoop
from tui.engine.pythonloop import PythonLoop
from tui.engine.tokenloop import token_loop
from tui.protocol.records import LoadSettings, Sampling

BLOCK = 8
"""Tokens."""
DEPTH, N_GEN = 40, 240


def bare_decode(session: Session) -> Callable[[], None]:
    """llama-bench's loop, without its random tokens."""
    token = (lib.llama_token * 1)(400)
    batch, address = lib.llama_batch_get_one(token, 1), ctypes.c_void_p(session.context)

    def decode() -> None:
        for _ in range(BLOCK):
            lib.llama_decode(address, batch)
            lib.llama_synchronize(address)

    return decode


def answering(session: Session, loop: TokenLoop) -> Callable[[], None]:
    """A loop that goes on for so many tokens at a time."""
    last = [400]

    def go_on() -> None:
        run = loop.run(last[0], session.memory.n_past, BLOCK, math.inf)
        if run.error or len(run.tokens) != BLOCK:
            raise SystemExit(f"the loop stopped: {run}")
        last[0] = run.tokens[-1]

    return go_on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--devices", default="", help="such as Vulkan0, with all layers; without: the CPU")
    arguments = parser.parse_args()
    backend_init()
    devices = tuple(filter(None, arguments.devices.split(",")))
    settings = LoadSettings(n_ctx=1024, n_threads=arguments.threads, n_gpu_layers=999 * len(devices), devices=devices)
    session = Session(arguments.model, settings, AbortSwitch(), lambda _: None)
    sampler = session.sampler(Sampling(temperature=0.7, top_k=20, top_p=0.8), 1)
    ways = {
        "llama_decode": bare_decode(session),
        "compiled loop": answering(session, token_loop(session, sampler, ignore_end=True)),
        "Python loop": answering(session, PythonLoop(session, sampler, True)),
    }
    chance = random.Random(1)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    end = time.monotonic() + 60 * arguments.minutes
    while time.monotonic() < end:
        session.memory.clear()
        session.decode([chance.randrange(session.n_vocab // 2) for _ in range(DEPTH)])
        session.synchronize()
        for _ in range(N_GEN // BLOCK // len(ways)):
            for name in chance.sample(list(ways), len(ways)):
                began = time.perf_counter()
                ways[name]()
                seconds[name].append((time.perf_counter() - began) / BLOCK)
    reference = seconds["llama_decode"]
    print(f"{'':<14} {'ms/token':>9} {'over llama_decode, us':>24} {'share':>7}   ({len(reference)} blocks of {BLOCK})")
    for name, times in seconds.items():
        over = [1e6 * (mine - theirs) for mine, theirs in zip(times, reference, strict=True)]
        cut = len(over) // 20
        trimmed = sorted(over)[cut : len(over) - cut] or over
        mean, error = statistics.fmean(trimmed), statistics.stdev(over) / math.sqrt(len(over))
        share = mean / 1e6 / statistics.fmean(reference)
        print(f"{name:<14} {1e3 * statistics.fmean(times):>9.3f} {mean:>15.1f} ± {error:>6.1f} {share:>7.2%}")


if __name__ == "__main__":
    main()
