"""Chat templates that are mutated or made to do harm, each given to a model that then has to answer, and to be stopped.

    python -m tests.campaigns.templates [--count 200] [--seed 1] [--templates FOLDER]

FOLDER has llama.cpp's templates to start from; the one that `make test` keeps in the cache is taken when it is there.
What counts as wrong: an engine that ends, an answer that does not come, one that cannot be stopped, a note of more than
a line. Prints what was found and the longest times; the exit code is 1 when something was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from tests.tape import CHATML, IM, Tape, build
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.protocol.death import EngineDied
from tui.protocol.messages import Delta, Done, Generate
from tui.protocol.records import LoadSettings, Message, Sampling

SETTINGS = LoadSettings(n_ctx=32768, n_threads=1)
GREEDY = Sampling(temperature=0)
LONGEST_S = 60.0
"""Of one step, on a machine that does other things too."""
HARM = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'a' * 10**10 }}",
    "{{ messages | string * 10**7 }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ raise_exception('no') }}",
    "{{ undefined.more.of.it }}",
    "{% include 'x' %}",
    "{{ '%0999999999d' % 1 }}",
    "{% set messages = [] %}",
    "{{ 1 // 0 }}",
    "{% if messages[2] %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}",
    "\x00",
    "{{ '\\ufdd0' }}1{{ '\\ufdd1' }}",
    "<|im_end|>",
    "{{ bos_token * 3 }}",
)


def mutated(source: str, chance: random.Random) -> str:
    """The template with some of it left out, doubled, moved or harmful."""
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randrange(len(source) + 1) for _ in range(2))
        to = min(to, at + chance.choice((1, 5, 40, 400)))
        kind = chance.choice(("cut", "double", "harm", "harm", "swap", "letter"))
        if kind == "cut":
            source = source[:at] + source[to:]
        elif kind == "double":
            source = source[:to] + source[at:]
        elif kind == "harm":
            source = source[:at] + chance.choice(HARM) + source[at:]
        elif kind == "swap":
            source = source[:at] + source[at:to][::-1] + source[to:]
        elif source:
            source = source[:at] + chance.choice("{}%<>|'\"#\n") + source[at + 1 :]
    return source


class Campaign:
    """Counts what came of each template."""

    def __init__(self, engine: Engine, model: Path) -> None:
        self._engine, self._model = engine, model
        self.came: Counter[str] = Counter()
        self.wrong: list[tuple[int, str]] = []
        self.longest: Counter[str] = Counter()

    async def try_one(self, number: int, source: str) -> None:
        """Load with this template, ask twice, stop the second answer."""
        try:
            settings = msgspec.structs.replace(SETTINGS, chat_template=source)
            loaded = await self._timed("load", self._engine.load(self._model, settings))
            self.came["replaced" if loaded.llama.template_note else "used"] += 1
            if "\n" in loaded.llama.template_note or len(loaded.llama.template_note) > 400:
                self.wrong.append((number, f"the note {loaded.llama.template_note!r}"))
            await self._timed("answer", self._ask(["Hi"]))
            await self._timed("stop", self._ask(["Hi", "Hello there!", "And now?"], stop=True))
        except EngineError as error:
            self.came[error.info.kind] += 1
            if error.info.kind not in ("template", "context_overflow"):
                self.wrong.append((number, f"{error.info.kind}: {error.info.text}"))
        except EngineDied as died:
            self.wrong.append((number, str(died)))
        except TimeoutError:
            self.wrong.append((number, f"no end after {LONGEST_S:.0f} s"))
            await self._engine.close()

    async def _timed(self, name: str, what):  # type: ignore[no-untyped-def]
        started = time.monotonic()
        result = await asyncio.wait_for(what, LONGEST_S)
        self.longest[name] = max(self.longest[name], round((time.monotonic() - started) * 1000))
        return result

    async def _ask(self, contents: list[str], *, stop: bool = False) -> None:
        roles = ("user", "assistant")
        turns = [Message(role=roles[i % 2], content=content) for i, content in enumerate(contents)]  # type: ignore[arg-type]
        answer = self._engine.generate(Generate(messages=tuple(turns), sampling=GREEDY, max_tokens=200, flush_s=0))
        if stop:
            answer.cancel()
        async for event in answer:
            if isinstance(event, Delta):
                self.came["told"] += 1
            elif isinstance(event, Done):
                self.came[f"ended: {event.stop}"] += 1


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--templates", type=Path)
    given = parser.parse_args()
    kept = sorted((Path.home() / ".cache" / "llmtui").glob("templates-*"))
    folder = given.templates or (kept[-1] if kept else Path("nowhere"))
    sources = [CHATML, *(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja")))]
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "tape.gguf"
        build(model, [Tape("assistant\n", ["Hello", " there!", IM[1]])], template=CHATML, eos=IM[1], control=IM)
        async with LocalEngine() as engine:
            campaign = Campaign(engine, model)
            for number in range(given.count):
                await campaign.try_one(number, mutated(chance.choice(sources), chance))
    print(f"{given.count} templates: {dict(campaign.came)}")
    print(f"longest, in ms: {dict(campaign.longest)}")
    for number, what in campaign.wrong:
        print(f"WRONG {number}: {what}")
    return 1 if campaign.wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
