"""What a benchmark computes, timed as llama.cpp's own tools time it. Runs in the engine process only and knows neither
the wire nor conversations."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence

from tui.engine.batch import Batch
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError
from tui.engine.looprun import NO_TOKEN, Drafted
from tui.engine.tokenloop import token_loop
from tui.protocol.bench_messages import (
    BenchParallel,
    BenchSample,
    BenchSpeculation,
    BenchTest,
    ParallelSample,
    SpeculationSample,
)
from tui.protocol.records import Sampling
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


def measure_speculation(session: Session, test: BenchSpeculation) -> SpeculationSample:
    """One text written twice behind the same prompt, with speculation and without, in the token loop of answers. Raises
    `LlamaError` when the context does not hold it."""
    prompt = session.vocabulary.tokenize(test.prompt)
    answer = session.vocabulary.tokenize(test.answer)
    n_needed = len(prompt) + len(answer)
    if n_needed > session.n_ctx:
        detail = later(
            "{n_needed} tokens do not fit a context of {n_ctx}", n_needed=str(n_needed), n_ctx=str(session.n_ctx)
        )
        raise LlamaError("bad_settings", detail)
    session.memory.clear()
    ways = [(), test.step_costs]
    took: dict[bool, float] = {}
    drafted = Drafted()
    try:
        _prompt(session, prompt[:-1])
        for costs in reversed(ways) if test.ahead_first else ways:
            session.memory.forget_from(len(prompt) - 1)
            _prompt(session, prompt[-1:])
            seconds, found = _write(session, prompt, answer, costs)
            took[bool(costs)] = seconds
            drafted = found if costs else drafted
    finally:
        session.memory.clear()
    return SpeculationSample(
        n_prompt=len(prompt),
        n_gen=len(answer),
        plain_s=took[False],
        ahead_s=took.get(True, took[False]),
        n_drafted=drafted.n_drafted,
        n_accepted=drafted.n_accepted,
    )


def _write(
    session: Session, prompt: Sequence[int], answer: Sequence[int], costs: Sequence[float]
) -> tuple[float, Drafted]:
    """Seconds from the first token of the answer to the last."""
    sampler = session.sampler(Sampling(), 0)
    loop = token_loop(session, sampler, ignore_end=True, costs=costs)
    loop.read(prompt)
    loop.dictate(answer)
    times, pending, n_past = list[float](), NO_TOKEN, len(prompt)
    while len(times) < len(answer):
        run = loop.run(pending, n_past, len(answer) - len(times), math.inf)
        times += run.times
        if run.error is not None:
            raise run.error
        pending, n_past = run.tokens[-1], n_past + run.n_decoded
    return times[-1] - times[0], loop.drafted


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
