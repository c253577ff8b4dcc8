"""Whole model files with something wrong in them, each really loaded by the engine, asked for an answer, and stopped in
the middle of another one. After each, a sound model must load and answer.

    python -m tests.campaigns.mutated_models [--seed 1] [--every N] [--kinds KIND ...] [--bench 24] [--app 24]

Right is an answer, an error of one line of a known kind, a load that the guardrail does not begin, or the death of the
engine with a cause that is right and the file's name. Wrong is a file that takes over `LONGEST_S` for one step, more
memory than its plan says, an error that nobody can read, a misleading cause. `--bench` and `--app` give so many of the
worst ones to `python -m tui --bench` and to the app. Prints a row for each kind of mutation; the exit code is 1 when
something was wrong. `--keep FOLDER` gets each file that was wrong. Some 10 minutes for all (about 1,900) on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from tests.campaigns.mutated_files import Mutated, Originals, everything
from tests.campaigns.mutated_in_app import through_the_app
from tests.conftest import DENSE
from tests.running import COMMAND
from tui.app.death_card import engine_stopped
from tui.app.phrases import load_failure, refusal
from tui.app.widgets.transcript_entries import Card
from tui.base.exit_codes import ExitCode
from tui.base.splitfile import part_of
from tui.base.text import n_harmful
from tui.config.keymap import default_keymap
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.models.modelfile import ModelFileError, read_model
from tui.protocol.death import Death, EngineDied
from tui.protocol.messages import Delta, Done, Generate
from tui.protocol.records import ErrorInfo, LoadSettings, Message, Sampling
from tui.shell.trouble import death_report, error_sentence

LONGEST_S = 40.0
"""Of one step, on a machine that does other things too."""
MOST_PLANNED = 4 << 30
"""Bytes; what is planned to take more is not begun, as the guardrail would not."""
SLACK = 1 << 30
"""By how much a load may take more than is planned."""
LONGEST_TEXT = 1200
"""Characters of an error as it is shown, the file's path included."""
KNOWN = (
    "model_unreadable",
    "model_unsupported",
    "model_refused",
    "out_of_memory",
    "bad_settings",
    "template",
    "decode",
)
MISLEADING = (
    "cpu_code",
    "file_changed",
    "killed",
    "device_lost",
    "shader",
    "not_stopped",
    "out_of_step",
    "not_started",
)
"""Causes of death that a file alone, on a sound machine, cannot have."""
QUESTION = (Message(role="user", content="Say hello, please: ü 你好 🙂 <|im_end|> <think>"),)
PING = (Message(role="user", content="ping"),)
KEYS = default_keymap()
_T = TypeVar("_T")


class Campaign:
    """Counts what came of each file."""

    def __init__(self, engine: Engine, planner: DryRunPlanner, keep: Path | None, *, is_talkative: bool) -> None:
        self._engine, self._planner, self._keep, self._is_talkative = engine, planner, keep, is_talkative
        self.came: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.longest: Counter[str] = Counter()
        self.most_more = 0
        self.n_wrong = 0
        self.worst: dict[str, Mutated] = {}
        """Files that could not be used, one for each reason."""
        self._peak = 0

    def complain(self, mutated: Mutated, path: Path, what: str) -> None:
        self.n_wrong += 1
        self.came[mutated.kind]["WRONG"] += 1
        print(f"WRONG {mutated.kind} | {mutated.what} | {what}", flush=True)
        if self._keep is not None:
            shutil.copytree(path.parent, self._keep / f"{self.n_wrong:04d}", dirs_exist_ok=True)

    async def try_one(self, mutated: Mutated, path: Path) -> None:
        """Plan, load, ask, stop; then a sound file."""
        try:
            outcome = await self._outcome(mutated, path)
        except TimeoutError:
            outcome = "no end"
            self.complain(mutated, path, f"no end after {LONGEST_S:.0f} s")
            await self._engine.close()
        self.came[mutated.kind][outcome.partition("|")[0]] += 1
        if "|" in outcome:
            self.worst.setdefault(re.sub(r"'.*'|[\d,]+", "", outcome)[:60], mutated)
        if self._is_talkative:
            print(f"{mutated.kind} | {mutated.what} | {outcome}", flush=True)
        if mutated.kind == "sound" and outcome != "answered":
            self.complain(mutated, path, f"a sound file: {outcome}")
        await self._still_well(mutated, path)

    async def _outcome(self, mutated: Mutated, path: Path) -> str:
        """What came of it, behind a "|" why."""
        settings = LoadSettings(n_ctx=mutated.n_ctx, n_threads=1)
        try:
            info = await asyncio.to_thread(read_model, part_of(path)[1])
            plan = await self._timed("plan", self._planner.plan(path, info, settings))
            if plan.total_bytes > MOST_PLANNED:
                return f"kept off by the guardrail| {plan.total_bytes >> 30} GiB"
            planned = plan.total_bytes
        except ModelFileError as error:
            if len(error.reason) > LONGEST_TEXT or "\n" in error.reason or n_harmful(error.reason):
                self.complain(mutated, path, f"the reason {error.reason!r}")
            planned = 0
        try:
            async with self._watched(planned) as before:
                await self._timed("load", self._engine.load(path, settings))
                await self._timed("answer", self._ask(max_tokens=24))
                await self._timed("stop", self._ask(stops=True))
        except EngineError as error:
            self._judge_error(mutated, path, error.info)
            return f"{error.info.kind}| {error.info.text}"
        except EngineDied as died:
            self._judge_death(mutated, path, died.death)
            death = died.death
            return f"died {death.running}: {death.cause}| {death.signal_name or death.exit_code} {death.last_words}"
        self.most_more = max(self.most_more, self._peak - before - planned)
        if self._peak - before - planned > SLACK:
            self.complain(mutated, path, f"{self._peak - before >> 20} MiB, {planned >> 20} were planned")
        return "answered"

    @contextlib.asynccontextmanager
    async def _watched(self, planned: int):  # type: ignore[no-untyped-def]
        """Look at the memory of the engine meanwhile, and end it before the machine suffers. Gives what it had."""
        before = self._peak = private_bytes(self._engine.pid)

        async def watch() -> None:
            while True:
                now = private_bytes(self._engine.pid)
                self._peak = max(self._peak, now)
                if now > before + planned + 2 * SLACK:
                    await self._engine.close()
                    return
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        try:
            yield before
        finally:
            watching.cancel()

    async def _timed(self, name: str, what: Awaitable[_T]) -> _T:
        started = time.monotonic()
        try:
            return await asyncio.wait_for(what, LONGEST_S)
        finally:
            self.longest[name] = max(self.longest[name], round((time.monotonic() - started) * 1000))

    async def _ask(self, *, max_tokens: int = 0, stops: bool = False) -> None:
        answer = self._engine.generate(
            Generate(messages=tuple(QUESTION), sampling=Sampling(seed=1), max_tokens=max_tokens, flush_s=0)
        )
        async for event in answer:
            if isinstance(event, Delta) and stops:
                answer.cancel()
            elif isinstance(event, Done) and event.stop not in ("stop", "length", "context", "cancelled"):
                raise AssertionError(event)

    def _judge_error(self, mutated: Mutated, path: Path, info: ErrorInfo) -> None:
        if info.kind not in KNOWN:
            self.complain(mutated, path, f"{info.kind}: {info.text}")
        shown = [info.text, body(load_failure(path, info, KEYS)), error_sentence(path, info, ""), refusal(info, KEYS)]
        if any(len(text) > LONGEST_TEXT for text in shown) or "\n" in info.text or n_harmful(info.text):
            self.complain(mutated, path, f"an error that nobody can read: {info.text[:3000]!r}")

    def _judge_death(self, mutated: Mutated, path: Path, death: Death) -> None:
        shown = (body(engine_stopped(death, 0, 512, KEYS)), death_report(death))
        if death.cause in MISLEADING:
            self.complain(mutated, path, f"a misleading cause: {death.cause} {death.signal_name} {death.last_words}")
        if any(len(text) > LONGEST_TEXT or n_harmful(text) for text in shown):
            self.complain(mutated, path, f"a death that nobody can read: {shown}")
        if any(path.name not in text for text in shown):
            self.complain(mutated, path, f"a death without the file's name: {shown}")

    async def _still_well(self, mutated: Mutated, path: Path) -> None:
        """A sound model loads and answers, in a new process where the old one died."""
        try:
            if not self._engine.alive:
                await self._engine.restart()
            await self._timed("sound load", self._engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1)))
            ping = self._engine.generate(
                Generate(
                    messages=(Message(role="user", content="ping"),), sampling=Sampling(temperature=0), thinking=False
                )
            )
            said = "".join([event.text async for event in ping if isinstance(event, Delta)])
            if said != "pong":
                self.complain(mutated, path, f"a sound model then says {said!r}")
        except (EngineError, EngineDied, TimeoutError) as error:
            self.complain(mutated, path, f"a sound model then cannot be used: {error!r}")
            await self._engine.restart()

    def bench(self, mutated: Mutated, path: Path) -> None:
        """The file by the command line: a sentence, and an exit code that says whose fault it was."""
        command = [*COMMAND, "--bench", str(path), "--no-history", "-p", "16", "-n", "8", "-r", "2"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=4 * LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            self.complain(mutated, path, "--bench does not end")
            return
        self.came["--bench"][f"exit code {done.returncode}"] += 1
        said = "\n".join(line for line in re.split(r"[\r\n]+", done.stderr) if line.strip())
        name = re.sub(r"\d{5}", r"\\d{5}", path.name)  # of any of its parts
        expected = (ExitCode.FINE, ExitCode.MODEL, ExitCode.ENGINE)
        is_named = done.returncode == ExitCode.FINE or "not measured. " in said or re.search(name, said)
        if done.returncode not in expected or "Traceback" in said or not is_named:
            self.complain(mutated, path, f"--bench: exit code {done.returncode}, {said[-2000:]}")
        elif len(said) > 2 * LONGEST_TEXT or n_harmful(re.sub(r"\x1b\[\w+", "", said)):
            self.complain(mutated, path, f"--bench: {said!r}")


def body(card: Card) -> str:
    return f"{card.title}\n{card.body}"


def private_bytes(pid: int | None) -> int:
    """Memory of a process that no file stands behind; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+)", status)
    return int(found[1]) << 10 if found else 0


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="try one in N of them")
    parser.add_argument("--kinds", nargs="+", default=[])
    parser.add_argument("--bench", type=int, default=24)
    parser.add_argument("--app", type=int, default=24)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    started, n_tried = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as temporary:
        scratch, rng = Path(temporary), random.Random(options.seed)
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            os.environ[name] = str(scratch / "home" / name)
        planner = DryRunPlanner()
        async with LocalEngine() as engine:
            campaign = Campaign(engine, planner, options.keep, is_talkative=options.verbose)
            for number, mutated in enumerate(everything(Originals(scratch, rng), rng)):
                if number % options.every or (options.kinds and mutated.kind not in options.kinds):
                    continue
                n_tried += 1
                await campaign.try_one(mutated, mutated.write(scratch / f"{number:04d}"))
                shutil.rmtree(scratch / f"{number:04d}")
                if n_tried % 200 == 0:
                    print(f"{n_tried:,} files, {campaign.n_wrong} wrong", flush=True)
        await planner.close()
        worst = list(campaign.worst.values())
        for number, mutated in enumerate(rng.sample(worst, min(options.bench, len(worst)))):
            campaign.bench(mutated, mutated.write(scratch / f"bench-{number}"))
        of_app = rng.sample(worst, min(options.app, len(worst)))
        campaign.came["the app"] = await through_the_app(of_app, scratch / "app", campaign.complain)
    print(f"{n_tried:,} files, seed {options.seed}, {time.monotonic() - started:.0f} s")
    for kind, came in campaign.came.items():
        print(f"  {kind:<20} {', '.join(f'{n} {what}' for what, n in came.most_common())}")
    print(f"longest, in ms: {dict(campaign.longest)}; {campaign.most_more >> 20} MiB at most beyond what was planned")
    print(f"{campaign.n_wrong} wrong")
    return campaign.n_wrong > 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
