"""What reopening a long conversation takes, with its KV cache from the disk and without: in each case a new engine
process, the model loaded, then one short question; and what keeping the cache takes.

usage: python tests/performance/reopen.py MODEL.gguf [--tokens 4000] [--repeats 3] [--threads 0] [--device Vulkan0]

The conversation ends with an answer of 300 tokens. The file is in the page cache of the system when it is read, unless
something else has pushed it out; "evaluated" counts the tokens that the question, which is the same each time, costs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.protocol.messages import Count, Done, Generate, ReadAhead, RestoreContext, SaveContext
from tui.protocol.records import LoadSettings, Message, Sampling, Timings

QUESTION = Message(role="user", content="And in one word?")
_SENTENCE = "The quick brown fox jumps over the lazy dog while the patient cat counts every leaf. "


async def conversation(engine: Engine, n_tokens: int) -> list[Message]:
    """A question of such a length that it comes to `n_tokens` together with an answer of about 300."""

    def turns(n: int) -> list[Message]:
        return [
            Message(role="user", content=_SENTENCE * n),
            Message(role="assistant", content=_SENTENCE * 17),
        ]

    n = 1
    while (
        missing := n_tokens - (await engine.ask(Count(messages=(*turns(n), QUESTION), thinking=False))).n_tokens
    ) > 0:
        n += max(1, missing // 30)
    return turns(n)


async def ask(engine: Engine, messages: list[Message]) -> tuple[float, Timings]:
    """Seconds from the question to the first token, and what was evaluated."""
    started = time.perf_counter()
    answer = engine.generate(
        Generate(messages=(*messages, QUESTION), sampling=Sampling(temperature=0), thinking=False, max_tokens=1)
    )
    async for event in answer:
        if isinstance(event, Done):
            return time.perf_counter() - started, event.timings
    raise AssertionError("an answer ends with Done")


async def measure(options: argparse.Namespace, folder: Path) -> None:
    devices = tuple(options.device.split(",")) if options.device else ()
    settings = LoadSettings(n_ctx=options.tokens + 1024, n_threads=options.threads, devices=devices)
    file = folder / "context.kv"
    held_up, saving, evaluating, restoring, answering = [], [], [], [], []
    n_bytes = n_prompt = n_evaluated = 0
    for _ in range(options.repeats):
        async with LocalEngine() as engine:
            await engine.load(options.model, settings)
            messages = await conversation(engine, options.tokens)
            seconds, timings = await ask(engine, messages)
            n_prompt = timings.n_prefill
            evaluating.append(seconds)
            await engine.ask(ReadAhead(messages=tuple(messages), thinking=False))
            started = time.perf_counter()
            saved = await engine.ask(SaveContext(path=str(file)))
            saving.append(time.perf_counter() - started)
            assert saved.problem is None, saved
            held_up.append(saved.held_up_s)
            n_bytes = saved.n_bytes
        async with LocalEngine() as engine:
            await engine.load(options.model, settings)
            restored = await engine.ask(RestoreContext(path=str(file)))
            assert restored.problem is None, restored
            restoring.append(restored.restore_s)
            seconds, timings = await ask(engine, messages)
            n_evaluated = timings.n_prefill
            answering.append(seconds)
    print(f"{options.model.name}, {n_prompt:,} tokens, file of {n_bytes / 2**20:,.0f} MiB, median of {options.repeats}")
    for name, times in (
        (f"first token, {n_prompt:,} tokens evaluated", evaluating),
        ("context read back", restoring),
        (f"first token then, {n_evaluated:,} tokens evaluated", answering),
        ("saving: an answer would have waited", held_up),
        ("saving: until it was on the disk", saving),
    ):
        print(f"{name:<45} {statistics.median(times):8.3f} s   ({min(times):.3f} to {max(times):.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="", help="llama.cpp's name, such as Vulkan0; empty for the CPU")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
