"""What a benchmark computes, timed as llama.cpp's own tools time it. Runs in the engine process only and knows neither
the wire nor conversations."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from tui.engine.batch import Batch
from tui.engine.llama import LlamaError, Session
from tui.protocol.messages import BenchParallel, BenchSample, BenchTest, ParallelSample
from tui.words.later import later


def measure(session: Session, test: BenchTest) -> BenchSample:
    """One repetition, timed as llama-bench times: prompt tokens in batches of `n_batch`, generated ones one by one,
    each synchronised. All are drawn at random before the clock starts: one token over and over would choose the same
    experts of a mixture each time and find them in the CPU's cache. The KV cache is empty before and after."""
    session.memory.clear()
    draw = _draw(session, test.depth + test.n_prompt + test.n_gen)
    before = test.depth + test.n_prompt
    prefill_s = ttft_s = 0.0
    try:
        with session.threads(test.n_threads, test.n_threads_batch):
            _prompt(session, draw[: test.depth])
            started = time.perf_counter()
            _prompt(session, draw[test.depth : before])
            if test.n_prompt:
                prefill_s = time.perf_counter() - started
            for token in draw[before:]:
                session.decode_one(token)
                session.synchronize()
                ttft_s = ttft_s or time.perf_counter() - started
            elapsed_s = time.perf_counter() - started
    finally:
        session.memory.clear()
    return BenchSample(elapsed_s=elapsed_s, prefill_s=prefill_s, ttft_s=ttft_s)


def measure_parallel(session: Session, test: BenchParallel) -> ParallelSample:
    """One repetition with several users at once, timed as llama-batched-bench times: all prompts as one, in batches of
    `n_batch`, then a token of each sequence at each step, synchronised. The KV cache is empty before and after.

    Raises `LlamaError` when the context was not made for so many sequences of this length.
    """
    n_each = test.n_prompt + test.n_gen
    if test.n_parallel > session.n_parallel or n_each > session.n_ctx:
        detail = later(
            "{n_parallel} sequences of {n_each} tokens do not fit a context of {n_have} sequences of {n_ctx} tokens",
            n_parallel=str(test.n_parallel),
            n_each=str(n_each),
            n_have=str(session.n_parallel),
            n_ctx=str(session.n_ctx),
        )
        raise LlamaError("bad_settings", detail)
    session.memory.clear()
    drawn = [_draw(session, n_each) for _ in range(test.n_parallel)]
    try:
        with Batch(test.n_parallel * test.n_prompt) as batch:
            add_prompts(batch, [tokens[: test.n_prompt] for tokens in drawn])
            started = time.perf_counter()
            session.decode_batch(batch)
            session.synchronize()
            read = time.perf_counter()
            for position in range(test.n_prompt, n_each):
                add_step(batch, [tokens[position] for tokens in drawn], position)
                session.decode_batch(batch)
                session.synchronize()
            written = time.perf_counter()
    finally:
        session.memory.clear()
    return ParallelSample(prefill_s=read - started, decode_s=written - read)


def add_prompts(batch: Batch, prompts: Sequence[Sequence[int]]) -> None:
    """Fill the batch with a prompt for each sequence, one behind the other; the logits of each one's end are kept."""
    batch.clear()
    for sequence, prompt in enumerate(prompts):
        for position, token in enumerate(prompt):
            batch.add(token, position, sequence, wants_logits=position == len(prompt) - 1)


def add_step(batch: Batch, tokens: Sequence[int], position: int) -> None:
    """Fill the batch with the next token of each sequence, all at the same position; the logits of all are kept."""
    batch.clear()
    for sequence, token in enumerate(tokens):
        batch.add(token, position, sequence, wants_logits=True)


def _draw(session: Session, n: int) -> list[int]:
    return [random.randrange(session.n_vocab) for _ in range(n)]


def _prompt(session: Session, tokens: Sequence[int]) -> None:
    for at in range(0, len(tokens), session.n_batch):
        session.decode(tokens[at : at + session.n_batch])
    session.synchronize()
