"""What a benchmark computes, timed as llama.cpp's own tools time it. Runs in the engine process only and knows neither
the wire nor conversations."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from tui.engine.llama import Session
from tui.engine.messages import BenchSample, BenchTest


def measure(session: Session, test: BenchTest) -> BenchSample:
    """One repetition, timed as llama-bench times: prompt tokens in batches of `n_batch`, generated ones one by one,
    each synchronised. All are drawn at random before the clock starts: one token over and over would choose the same
    experts of a mixture each time and find them in the CPU's cache. The KV cache is empty before and after."""
    session.clear()
    draw = _draw(session, test.depth + test.n_prompt + test.n_gen)
    before = test.depth + test.n_prompt
    prefill_s = ttft_s = 0.0
    try:
        with session.threads(test.n_threads):
            _prompt(session, draw[: test.depth])
            started = time.perf_counter()
            _prompt(session, draw[test.depth : before])
            if test.n_prompt:
                prefill_s = time.perf_counter() - started
            for token in draw[before:]:
                session.decode([token])
                session.synchronize()
                ttft_s = ttft_s or time.perf_counter() - started
            elapsed_s = time.perf_counter() - started
    finally:
        session.clear()
    return BenchSample(id=test.id, elapsed_s=elapsed_s, prefill_s=prefill_s, ttft_s=ttft_s)


def _draw(session: Session, n: int) -> list[int]:
    return [random.randrange(session.n_vocab) for _ in range(n)]


def _prompt(session: Session, tokens: Sequence[int]) -> None:
    for at in range(0, len(tokens), session.n_batch):
        session.decode(tokens[at : at + session.n_batch])
    session.synchronize()
