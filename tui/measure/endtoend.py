"""An answer timed as a user gets it: from sending a conversation to the last of its text, on the front end's clock,
with tokenizing, sampling, detokenizing and the wire between the processes in it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tui.engines.interface import Engine
from tui.measure.report import EndToEnd
from tui.protocol.bench_messages import BenchTest
from tui.protocol.messages import Count, Delta, Done, Event, Generate, Started
from tui.protocol.records import Message, Sampling

N_PROMPT, N_GEN = 512, 256
_WORDS = (
    *("the", "a", "of", "and", "to", "in", "is", "it", "on", "as", "with", "his", "they", "at", "be", "this", "from"),
    *("water", "house", "people", "time", "day", "long", "light", "small", "great", "hand", "sea", "wind", "year"),
)
_TRIES = 12


async def prompt_of(engine: Engine, n_tokens: int) -> Message:
    """A question of random words that comes to `n_tokens` with the chat template, or as near as its words allow, and
    begins like no other, so that nothing of it is cached."""
    draw = random.Random()
    words = [str(draw.randrange(10**9)), *(draw.choice(_WORDS) for _ in range(n_tokens))]
    best: tuple[int, str] | None = None
    text = ""
    for _ in range(_TRIES):
        text = " ".join(words)
        prompt = (Message(role="user", content=text),)
        missing = n_tokens - (await engine.ask(Count(messages=prompt, thinking=False))).n_tokens
        if missing >= 0 and (best is None or missing < best[0]):
            best = missing, text
        if missing == 0:
            break
        if missing > 0:
            words += [draw.choice(_WORDS) for _ in range(max(1, missing // 2))]
        else:
            # A word is a token at least, mostly: half of what is too many is never far too much to take away.
            del words[max(1, len(words) + missing // 2) :]
    return Message(role="user", content=best[1] if best else text)


async def end_to_end(
    engine: Engine,
    n_prompt: int = N_PROMPT,
    n_gen: int = N_GEN,
    on_event: Callable[[Event], None] | None = None,
    sampling: Sampling | None = None,
) -> EndToEnd:
    """Ask the loaded model and time the answer, which goes on past the model's own end to `n_gen` tokens. The KV cache
    is emptied before. `on_event` gets each event as it comes, for a front end that shows the text and so has its own
    cost in the figures. Without `sampling` its tokens are chosen as the engine does by itself.

    Raises `EngineError` and `EngineDied` as `Engine.generate` does.
    """
    sampling = sampling or Sampling()
    question = await prompt_of(engine, n_prompt)
    await engine.ask(BenchTest(n_prompt=0, n_gen=1))  # what the template begins with would else be cached
    sent = time.perf_counter()
    first: tuple[float, int] | None = None
    last = sent
    n_read = n_written = 0
    async for event in engine.generate(
        Generate(messages=(question,), sampling=sampling, thinking=False, max_tokens=n_gen, ignore_end=True)
    ):
        now = time.perf_counter()
        if on_event:
            on_event(event)
        if isinstance(event, Started):
            n_read = event.n_prompt
        elif isinstance(event, Delta):
            first, last, n_written = first or (now, event.n_decode), now, event.n_decode
        elif isinstance(event, Done):
            n_written = event.timings.n_decode
            first, last = first or (now, n_written), now
    first = first or (last, n_written)
    took = last - first[0]
    return EndToEnd(
        n_prompt=n_read,
        n_gen=n_written,
        sampling=sampling,
        ttft_s=first[0] - sent,
        decode_tps=(n_written - first[1]) / took if took > 0 else 0.0,
    )
