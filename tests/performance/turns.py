"""What each step of a long conversation with a thinking model reads, beside what is new in it: ten turns, two more
answers, an edit, a switch to another context size, a reopening from a kept context; then another conversation, and back
in the first one, whose beginning is found in its file.

usage: python tests/performance/turns.py [MODEL.gguf | KIND ...] [--tokens 15000] [--threads 0] [--device Vulkan0]
       [--swa-full off]

A KIND is one of the tiny models of `tests/engine/memory_models.py`, by its kind of memory; without any, all of them.
"new" are the tokens behind the messages that the prompt shares with the one before, "read" those that were evaluated.
TTFT is the time to the first token.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.engine.memory_models import KINDS, build
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.protocol.messages import Count, Delta, Done, Generate, ReadAhead, RestoreContext, SaveContext
from tui.protocol.records import LoadSettings, Message, Sampling, Timings

N_TURNS = 10
_SENTENCE = "The quick brown fox jumps over the lazy dog while the patient cat counts every leaf. "
ROW = "{:<12} {:>9} {:>9} {:>9} {:>9}"


class Talk:
    """A conversation, and what was asked last."""

    def __init__(self, engine: Engine, n_each: int, contexts: Path) -> None:
        self.engine, self.n_each, self._contexts = engine, n_each, contexts
        self.turns: list[Message] = []
        self._before: list[Message] = []

    async def says(self, name: str, turns: Sequence[Message], text: str) -> None:
        """A turn that has about `n_each` tokens, and a row of the table about it."""
        question = Message(role="user", content=text)
        n_sentence = await self._count([Message(role="user", content=_SENTENCE * 10)]) / 10
        question = Message(role="user", content=text + _SENTENCE * max(1, round(self.n_each / n_sentence)))
        await self.asks(name, [*turns, question])

    async def asks(self, name: str, turns: Sequence[Message]) -> None:
        """The answer to this conversation, and a row of the table."""
        n_same = next(
            (i for i, (a, b) in enumerate(zip(turns, self._before, strict=False)) if a != b),
            min(len(turns), len(self._before)),
        )
        n_new = await self._count(turns) - (await self._count(turns[:n_same]) if n_same else 0)
        text, timings = "", Timings()
        command = Generate(
            messages=tuple(turns),
            sampling=Sampling(temperature=0),
            thinking=True,
            thinking_budget=100,
            max_tokens=200,
            ignore_end=True,
            contexts=str(self._contexts),
        )
        async for event in self.engine.generate(command):
            if isinstance(event, Delta) and event.kind == "answer":
                text += event.text
            elif isinstance(event, Done):
                timings = event.timings
        print(ROW.format(name, timings.n_prompt, n_new, timings.n_prefill, f"{timings.ttft_s:.3f} s"), flush=True)
        self._before = list(turns)
        self.turns = [*turns, Message(role="assistant", content=text)]

    async def _count(self, turns: Sequence[Message]) -> int:
        return (await self.engine.ask(Count(messages=tuple(turns), thinking=True))).n_tokens


async def measure(options: argparse.Namespace, model: Path, folder: Path) -> None:
    devices = tuple(options.device.split(",")) if options.device else ()
    settings = LoadSettings(
        n_ctx=options.tokens + 8192, n_threads=options.threads, devices=devices, swa_full=options.swa_full
    )
    file = str(folder / "context.kv")
    async with LocalEngine() as engine:
        await engine.load(model, settings)
        talk = Talk(engine, options.tokens // N_TURNS - 100, folder)
        print(ROW.format("step", "prompt", "new", "read", "TTFT"))
        for n in range(N_TURNS):
            await talk.says(f"turn {n + 1}", talk.turns, f"{n}. ")
        await talk.asks("again", talk.turns[:-1])
        await talk.asks("again", talk.turns[:-1])
        await talk.says("edit", talk.turns[:-6], "No, another one: ")
        await engine.ask(ReadAhead(messages=tuple(talk.turns), thinking=True))
        await talk.says("read ahead", talk.turns, "ahead. ")
        other = msgspec.structs.replace(settings, n_ctx=settings.n_ctx + 1024)
        await engine.load(model, other, keep_context=True)
        await talk.says("switched", talk.turns, "switched. ")
        saved = await engine.ask(SaveContext(path=file))
        await engine.restart()
        await engine.load(model, other)
        await engine.ask(RestoreContext(path=file))
        await talk.says("reopened", talk.turns, "reopened. ")
        await engine.ask(SaveContext(path=file))
        await Talk(engine, options.tokens // 2, folder).says("another", [], "Another one. ")
        await talk.says("back", talk.turns, "back. ")
        print(f"the kept context: {saved.n_bytes / 2**20:.1f} MiB, copied in {saved.held_up_s * 1000:.0f} ms\n")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(KINDS), metavar="MODEL.gguf | KIND")
    parser.add_argument("--tokens", type=int, default=15_000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="")
    parser.add_argument("--swa-full", default="off")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            print(name)
            model = build(Path(folder) / "model.gguf", name) if name in KINDS else Path(name)
            await measure(options, model, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
