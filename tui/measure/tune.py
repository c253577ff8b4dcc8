"""Finds the load settings that are fastest on this machine by trying them: threads first, which need no reload, then
one change at a time, on a CPU whether it repacks weights before all others, then the good ones together against what it
began with. Knows no terminal and saves nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tui.config.load import engine_settings
from tui.config.loadtable import LOAD_ROWS
from tui.config.settings import ChosenLoad
from tui.engines.interface import Engine, EngineError
from tui.machine.cpus import n_usable_cpus, physical_cores
from tui.measure.report import Test
from tui.measure.stats import RelativeDifference, mean, relative_difference
from tui.models.info import ModelInfo
from tui.planning.loadcheck import obstacle
from tui.protocol.messages import BenchTest, Loaded
from tui.protocol.records import Device, Repack

BUDGET_S = 110.0
TURN_PROMPT, TURN_GEN = 512, 256
"""What is to be fast: a turn of so many tokens read and written."""
_THREADS_UNTIL, _CHANGES_UNTIL = 0.25, 0.65
"""Shares of the budget after which threads and single changes are tried no more."""
_STEP_S = 2.5
"""What the shortest measurement may take: its tokens are chosen for that."""
_PAIRS = 5
_WORTHWHILE = 1.02
"""A single change must be so much faster to be put together with others."""

Outcome = Literal["start", "tried", "dropped", "stopped", "failed", "best"]
"""What was not over in time is "stopped"; "failed" cannot be loaded."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that were tried, and how fast they were in each measurement."""

    choice: ChosenLoad
    prefill_tps: tuple[float, ...] = ()
    decode_tps: tuple[float, ...] = ()
    outcome: Outcome = "tried"

    @property
    def speed(self) -> float:
        """Turns per second by all measurements; 0 where there are none."""
        return mean(self.speeds)

    @property
    def speeds(self) -> tuple[float, ...]:
        """Turns per second by each measurement."""
        pairs = zip(self.prefill_tps, self.decode_tps, strict=True)
        return tuple(1 / (TURN_PROMPT / pp + TURN_GEN / tg) for pp, tg in pairs)

    @property
    def turn_s(self) -> float:
        """Seconds that a turn takes."""
        return 1 / self.speed if self.speed else 0.0


class TuneOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    start: ChosenLoad
    best: ChosenLoad
    """`start` when nothing was surely faster."""
    gain: RelativeDifference | None
    """How much faster the best candidate was than `start`, measured in turns with it; None when that was not done."""
    trials: tuple[Trial, ...]
    not_tried: tuple[ChosenLoad, ...]
    """For want of time."""
    n_too_large: int
    """Candidates that would not have left enough memory."""

    @property
    def is_better(self) -> bool:
        return self.best != self.start


def changes(start: ChosenLoad, choice: ChosenLoad) -> dict[str, object]:
    """Fields of `choice` that differ from those of `start`, in the order of the table."""
    return {name: getattr(choice, name) for name in LOAD_ROWS if getattr(choice, name) != getattr(start, name)}


def halved(trials: Sequence[Trial]) -> tuple[list[Trial], list[Trial]]:
    """The faster half, one at least, and the rest, each with the fastest first."""
    ranked = sorted(trials, key=lambda trial: trial.speed, reverse=True)
    n = max(1, (len(ranked) + 1) // 2)
    return ranked[:n], ranked[n:]


class Tuner:
    """One search, on an engine of its own, which it may start anew. `result` is what was found so far, at any time."""

    def __init__(
        self,
        engine: Engine,
        path: Path,
        info: ModelInfo,
        start: ChosenLoad,
        devices: Sequence[Device],
        fits: Callable[[ChosenLoad], Awaitable[bool]],
        *,
        fastest_fit: ChosenLoad | None = None,
        budget_s: float = BUDGET_S,
        on_progress: Callable[[float, ChosenLoad], None] | None = None,
    ) -> None:
        """`fits` says whether a load leaves enough memory; `fastest_fit` is the placement that a search by memory alone
        takes for the fastest. `on_progress` gets the share of the budget that is spent and what is tried now."""
        self._engine, self._path, self._info, self._devices = engine, path, info, devices
        self._fits, self._fastest_fit = fits, fastest_fit
        self._budget_s = budget_s
        self._on_progress = on_progress or (lambda spent, choice: None)
        self._start, self._best = start, start
        self._gain: RelativeDifference | None = None
        self._trials: dict[ChosenLoad, Trial] = {}
        self._not_tried: list[ChosenLoad] = []
        self._n_too_large = 0
        self._loaded: ChosenLoad | None = None
        self._began = time.monotonic()
        self._load_s = self._step_s = 0.0
        self._warm_prompt = 0
        """The longest prompt that was read since the last load."""
        self._step = Test(n_prompt=32, n_gen=4)
        self._n_threads = self._n_ctx = 0
        """What 0 in the start settings stands for; what is loaded later may be loaded with other threads."""

    @property
    def result(self) -> TuneOutcome:
        """What is known so far."""
        return TuneOutcome(
            start=self._start,
            best=self._best,
            gain=self._gain,
            trials=tuple(self._trials.values()),
            not_tried=tuple(choice for choice in self._not_tried if choice not in self._trials),
            n_too_large=self._n_too_large,
        )

    async def run(self) -> TuneOutcome:
        """Search. Raises `EngineError` when not even the start settings can be loaded, `EngineDied` when the engine
        ends; cancelling the task that waits stops at once."""
        self._began = time.monotonic()
        loaded = await self._load(self._start, self._step)
        self._n_threads, self._n_ctx = loaded.llama.n_threads, loaded.n_ctx
        await self._choose_step()
        self._trials[self._start] = Trial(choice=self._start, outcome="start")
        threads = await self._halve(list(self._thread_choices()), _THREADS_UNTIL)
        base = threads.choice if threads and threads.speed > self._speed(self._start) else self._start
        singles = [c for c in self._single_changes(base, loaded) if await self._has_room(c)]
        await self._halve([base, *singles], _CHANGES_UNTIL)
        await self._decide(base, singles)
        return self.result

    # Candidates -------------------------------------------------------------------------------------------------------

    def _thread_choices(self) -> Iterator[ChosenLoad]:
        """The start settings with each number of threads worth trying, their own first. llama.cpp's threads spin while
        they wait for each other: more of them than CPUs that may be used, as in a container, would take for ever."""
        yield self._start
        n_cpus = n_usable_cpus()
        n_cores = physical_cores()
        for n in dict.fromkeys((n_cores, n_cores - 1, n_cores // 2, n_cpus)):
            if n > 0 and n != self._n_threads:
                yield msgspec.structs.replace(self._start, n_threads=n, n_threads_batch=0)

    def _single_changes(self, base: ChosenLoad, loaded: Loaded) -> Iterator[ChosenLoad]:
        """`base` with one thing changed, the most promising first."""

        def change(**fields: object) -> ChosenLoad:
            return msgspec.structs.replace(base, **fields)

        found = list(self._placements(base))
        is_on_cpu = not engine_settings(base, self._devices)[0].devices
        # Where nothing was repacked, on and off are the same.
        if is_on_cpu and (base.repack == "off" or loaded.llama.repacked):
            found.append(change(repack=_other_repack(base)))
        quantized = base.type_v not in ("f16", "f32", "bf16")
        if not quantized:
            found.append(change(flash_attn="off" if loaded.llama.flash_attn else "on"))
        found += [
            change(n_ubatch=n, n_batch=max(n, base.n_batch)) for n in (256, 1024, 128, 2048) if n != base.n_ubatch
        ]
        if base.flash_attn != "off" and (base.type_k, base.type_v) == ("f16", "f16"):
            found.append(change(type_k="q8_0", type_v="q8_0"))
        yield from (choice for choice in dict.fromkeys(found) if choice != base and self._can_be_loaded(choice))

    def _can_be_loaded(self, choice: ChosenLoad) -> bool:
        return not obstacle(self._info, engine_settings(choice, self._devices)[0])

    def _placements(self, base: ChosenLoad) -> Iterator[ChosenLoad]:
        """Where layers and experts could be, on a machine with a GPU."""
        if not engine_settings(base, self._devices)[0].devices:
            return
        n_all = self._info.n_layers + 1
        if self._fastest_fit is not None:
            fit = self._fastest_fit
            yield msgspec.structs.replace(base, n_gpu_layers=fit.n_gpu_layers, n_cpu_moe=fit.n_cpu_moe)
        yield msgspec.structs.replace(base, n_gpu_layers=-1, n_cpu_moe=0)
        if self._info.is_moe:
            yield msgspec.structs.replace(base, n_gpu_layers=-1, n_cpu_moe=self._info.n_layers)
        yield msgspec.structs.replace(base, backend="cpu")
        yield msgspec.structs.replace(base, backend="cpu", repack=_other_repack(base))
        yield msgspec.structs.replace(base, n_gpu_layers=n_all // 2, n_cpu_moe=0)

    async def _has_room(self, choice: ChosenLoad) -> bool:
        if choice in self._trials or await self._fits(choice):
            return True
        self._n_too_large += 1
        return False

    # Search -----------------------------------------------------------------------------------------------------------

    async def _halve(self, choices: Sequence[ChosenLoad], until: float) -> Trial | None:
        """Measure all, then the faster half with twice the tokens, and so on; the fastest in the end, None when nothing
        could be measured in time."""
        left, step = list(choices), self._step
        ranked: list[Trial] = []
        while len(left) > 1:
            measured = [choice for choice in left if await self._try(choice, step, until)]
            self._not_tried += [choice for choice in left if choice not in self._trials]
            ranked, dropped = halved([self._trials[choice] for choice in measured])
            if len(measured) < len(left) or not ranked:
                break
            for trial in dropped:
                self._mark(trial.choice, "dropped")
            left = [trial.choice for trial in ranked]
            step = self._scaled(step, 2)
        return ranked[0] if ranked else None

    async def _decide(self, base: ChosenLoad, singles: Sequence[ChosenLoad]) -> None:
        """Put what helped together, and measure it in turns with the start settings until time is up."""
        winner = self._together(base, singles)
        if winner != self._start and not await self._has_room(winner):
            winner = base
        if winner == self._start:
            return
        ours: list[float] = []
        theirs: list[float] = []
        step = self._scaled(self._step, 2)
        for number in range(_PAIRS):
            # A B, B A, …: what changes steadily meanwhile is the same for both, and half of the loads are saved.
            pair = [(self._start, theirs), (winner, ours)]
            for choice, speeds in pair if number % 2 == 0 else reversed(pair):
                if not await self._try(choice, step, 1.0):
                    break
                speeds.append(self._trials[choice].speeds[-1])
        n = min(len(ours), len(theirs))
        self._gain = relative_difference(theirs[:n], ours[:n]) if n > 1 else None
        if self._gain is not None and self._gain.low > 0:
            self._best = winner
            self._mark(winner, "best")

    def _together(self, base: ChosenLoad, singles: Sequence[ChosenLoad]) -> ChosenLoad:
        """`base` with every change that was worth while by itself; of two values of one field, the faster."""
        wanted: dict[str, object] = {}
        for choice in sorted(singles, key=self._speed):
            if self._speed(choice) >= _WORTHWHILE * self._speed(base):
                wanted |= changes(base, choice)
        if wanted.get("flash_attn") == "off":
            wanted = {name: value for name, value in wanted.items() if name not in ("type_k", "type_v")}
        return msgspec.structs.replace(base, **wanted)

    def _speed(self, choice: ChosenLoad) -> float:
        trial = self._trials.get(choice)
        return trial.speed if trial else 0.0

    def _mark(self, choice: ChosenLoad, outcome: Outcome) -> None:
        if choice != self._start:
            self._trials[choice] = msgspec.structs.replace(self._trials[choice], outcome=outcome)

    # Measuring --------------------------------------------------------------------------------------------------------

    async def _try(self, choice: ChosenLoad, step: Test, until: float) -> bool:
        """Measure once, if there is time for it and it can be loaded; what takes longer than that is stopped."""
        if (trial := self._trials.get(choice)) and trial.outcome in ("failed", "stopped"):
            return False
        expected_s = self._step_s * step.n_tokens / max(1, self._step.n_tokens)
        if self._needs_load(choice):
            expected_s += self._load_s
        spent_s = time.monotonic() - self._began
        if spent_s + expected_s > until * self._budget_s:
            return False
        self._on_progress(min(1.0, spent_s / self._budget_s), choice)
        try:
            async with asyncio.timeout(until * self._budget_s - spent_s):
                await self._load(choice, step)
                sample = await self._engine.ask(
                    BenchTest(
                        n_prompt=step.n_prompt,
                        n_gen=step.n_gen,
                        n_threads=choice.n_threads or self._n_threads,
                        n_threads_batch=choice.n_threads_batch,
                    )
                )
        except TimeoutError:
            # What was measured of it before stays. A GPU goes on with what it has begun: its process must end.
            self._trials.setdefault(choice, Trial(choice=choice, outcome="stopped"))
            self._loaded = None
            await self._engine.close()
            return False
        except EngineError:
            # llama.cpp refuses this combination, or there was no memory for it after all.
            self._loaded = None
            self._trials[choice] = Trial(choice=choice, outcome="failed")
            return False
        trial = self._trials.get(choice) or Trial(choice=choice)
        decode_s = sample.elapsed_s - sample.prefill_s
        self._trials[choice] = msgspec.structs.replace(
            trial,
            prefill_tps=(*trial.prefill_tps, step.n_prompt / max(sample.prefill_s, 1e-9)),
            decode_tps=(*trial.decode_tps, step.n_gen / max(decode_s, 1e-9)),
        )
        return True

    def _needs_load(self, choice: ChosenLoad) -> bool:
        return self._loaded is None or _without_threads(choice) != _without_threads(self._loaded)

    async def _load(self, choice: ChosenLoad, step: Test) -> Loaded:
        settings = engine_settings(choice, self._devices)[0]
        began = time.monotonic()
        loaded = None if self._needs_load(choice) else self._engine.loaded
        is_new = loaded is None
        if loaded is None:
            self._loaded = None
            await self._engine.start()
            loaded = await self._engine.load(self._path, settings)
            self._loaded = choice
        # A GPU's programs for prompts of a length are compiled when the first comes; for a CPU any warm-up will do.
        if is_new or (settings.devices and step.n_prompt > self._warm_prompt):
            self._warm_prompt = step.n_prompt if settings.devices else self._step.n_prompt
            await self._engine.ask(BenchTest(n_prompt=self._warm_prompt, n_gen=1))
        if is_new:
            self._load_s = time.monotonic() - began
        return loaded

    async def _choose_step(self) -> None:
        """As many tokens as take about `_STEP_S`, or less where the budget is small."""
        n_tokens = self._step.n_tokens
        sample = await self._engine.ask(BenchTest(n_prompt=self._step.n_prompt, n_gen=self._step.n_gen))
        wanted_s = min(_STEP_S, self._budget_s / 40)
        factor = min(8.0, max(0.25, wanted_s / max(sample.elapsed_s, 1e-9)))
        self._step = self._scaled(self._step, factor)
        self._step_s = sample.elapsed_s * self._step.n_tokens / n_tokens

    def _scaled(self, step: Test, factor: float) -> Test:
        """A step of `factor` times the tokens, or of as many as the context holds."""
        factor = min(factor, self._n_ctx / step.n_tokens)
        return Test(n_prompt=max(8, int(step.n_prompt * factor)), n_gen=max(2, int(step.n_gen * factor)))


def _other_repack(choice: ChosenLoad) -> Repack:
    """What "auto" is not is off."""
    return "on" if choice.repack == "off" else "off"


def _without_threads(choice: ChosenLoad) -> ChosenLoad:
    return msgspec.structs.replace(choice, n_threads=0, n_threads_batch=0)
