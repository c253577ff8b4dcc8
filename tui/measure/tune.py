"""Finds the load settings that are fastest on this machine by trying them: threads first, which need no reload, then
one change at a time, on a CPU whether it repacks weights before all others, then the good ones together, in turns with
what it began with. Knows no terminal and saves nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tui.config.load import engine_settings
from tui.config.settings import ChosenLoad
from tui.engines.interface import Engine, EngineError
from tui.measure.duel import LOOKS, Duel
from tui.measure.report import Test
from tui.measure.stats import RelativeDifference, mean
from tui.measure.tune_candidates import Candidates, changes, without_threads
from tui.protocol.bench_messages import BenchTest
from tui.protocol.death import EngineDied
from tui.protocol.messages import Loaded
from tui.protocol.records import Device

BUDGET_S = 110.0
TURN_PROMPT, TURN_GEN = 512, 256
"""What is to be fast: a turn of so many tokens read and written."""
_THREADS_UNTIL, _CHANGES_UNTIL = 0.2, 0.55
"""Shares of the budget after which threads and single changes are tried no more."""
_STEP_S = 2.5
"""What the shortest measurement may take: its tokens are chosen for that."""
_WORTHWHILE = 1.02
"""A single change must be so much faster to be put together with others."""
_SHORT_OF_LOOK = 3
"""Fewer rounds than this prove nothing; they are not begun."""

Outcome = Literal["start", "tried", "dropped", "stopped", "failed", "best"]
"""What was not over in time is "stopped"; "failed" cannot be loaded."""
Stage = Literal["threads", "changes", "in turns"]


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
    """How much faster the best candidate was than `start`, measured in turns with it, with bounds that hold though
    several were tried (`tui.measure.duel`); None when that was not done."""
    trials: tuple[Trial, ...]
    not_tried: tuple[ChosenLoad, ...]
    """For want of time."""
    n_too_large: int
    """Candidates that would not have left enough memory."""

    @property
    def is_better(self) -> bool:
        return self.best != self.start

    @property
    def leader(self) -> Trial | None:
        """What looks fastest so far, surely or not; None while the start does."""
        fastest = max(self.trials, key=lambda trial: trial.speed, default=None)
        return None if fastest is None or fastest.choice == self.start or not fastest.speed else fastest

    def percent_of(self, trial: Trial) -> float | None:
        """How much faster it looks than the start, by all measurements, sure or not; None where one has none."""
        start = next((one.speed for one in self.trials if one.choice == self.start), 0.0)
        return 100 * (trial.speed / start - 1) if start and trial.speed else None


class TuneProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search is."""

    stage: Stage
    choice: ChosenLoad
    """What is tried now."""
    spent_s: float
    budget_s: float
    outcome: TuneOutcome
    """So far."""

    @property
    def fraction(self) -> float:
        """Of the budget."""
        return min(1.0, self.spent_s / self.budget_s)

    @property
    def left_s(self) -> float:
        """Seconds that it may still take."""
        return max(0.0, self.budget_s - self.spent_s)


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
        start: ChosenLoad,
        devices: Sequence[Device],
        candidates: Candidates,
        fits: Callable[[ChosenLoad], Awaitable[bool]],
        *,
        budget_s: float = BUDGET_S,
        on_progress: Callable[[TuneProgress], None] | None = None,
    ) -> None:
        """`fits` says whether a load leaves enough memory."""
        self._engine, self._path, self._devices = engine, path, devices
        self._candidates, self._fits = candidates, fits
        self._budget_s = budget_s
        self._on_progress = on_progress or (lambda progress: None)
        self._start = start
        self._trials: dict[ChosenLoad, Trial] = {}
        self._duel: Duel[ChosenLoad] = Duel(start, ())
        self._not_tried: list[ChosenLoad] = []
        self._n_too_large = 0
        self._stage: Stage = "threads"
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
        best, rivals = self._duel.winner, self._duel.ranked
        outcomes: dict[ChosenLoad, Outcome] = {} if best is None else {best: "best"}
        shown = best or next(iter(rivals), None)
        return TuneOutcome(
            start=self._start,
            best=best or self._start,
            gain=self._duel.difference(shown) if shown else None,
            trials=tuple(
                msgspec.structs.replace(trial, outcome=outcomes.get(choice, trial.outcome))
                for choice, trial in self._trials.items()
            ),
            not_tried=tuple(choice for choice in self._not_tried if choice not in self._trials),
            n_too_large=self._n_too_large,
        )

    async def run(self) -> TuneOutcome:
        """Search. Raises `EngineError` when not even the start settings can be loaded, `EngineDied` when the engine
        ends with them; cancelling the task that waits stops at once."""
        self._began = time.monotonic()
        loaded = await self._load(self._start, self._step)
        self._n_threads, self._n_ctx = loaded.llama.n_threads, loaded.n_ctx
        await self._choose_step()
        self._trials[self._start] = Trial(choice=self._start, outcome="start")
        base = await self._choose_threads()
        self._stage = "changes"
        singles = [c for c in self._candidates.with_one_change(base, loaded) if await self._has_room(c)]
        await self._halve([base, *singles], _CHANGES_UNTIL)
        self._stage = "in turns"
        await self._decide(base, singles)
        return self.result

    # Search -----------------------------------------------------------------------------------------------------------

    async def _has_room(self, choice: ChosenLoad) -> bool:
        if choice in self._trials or await self._fits(choice):
            return True
        self._n_too_large += 1
        return False

    async def _choose_threads(self) -> ChosenLoad:
        """The start with the threads that are fastest for decode, and those that are for prompts: each number is
        measured for both at once, all of them twice."""
        choices = list(self._candidates.with_threads(self._start, self._n_threads))
        for order in (choices, choices[::-1]):
            for choice in order if len(choices) > 1 else ():
                if not await self._try(choice, self._step, _THREADS_UNTIL):
                    break
        self._not_tried += [choice for choice in choices if choice not in self._trials]
        trials = [trial for choice in choices if (trial := self._trials.get(choice)) and trial.speeds]
        if not trials:
            return self._start
        start, *others = trials if trials[0].choice == self._start else (self._trials[self._start], *trials)
        decode = prompt = start
        for trial in others:
            if mean(trial.decode_tps) > _WORTHWHILE * mean(decode.decode_tps):
                decode = trial
            if mean(trial.prefill_tps) > _WORTHWHILE * mean(prompt.prefill_tps):
                prompt = trial
        if decode.choice == prompt.choice:
            return decode.choice
        n_prompt = prompt.choice.n_threads_batch or prompt.choice.n_threads or self._n_threads
        return msgspec.structs.replace(decode.choice, n_threads_batch=n_prompt)

    async def _halve(self, choices: Sequence[ChosenLoad], until: float) -> None:
        """Measure all, then the faster half with twice the tokens in the other order, and so on."""
        left, step = list(choices), self._step
        while len(left) > 1:
            measured = [choice for choice in left if await self._try(choice, step, until)]
            self._not_tried += [choice for choice in left if choice not in self._trials]
            ranked, dropped = halved([self._trials[choice] for choice in measured])
            if len(measured) < len(left) or not ranked:
                break
            for trial in dropped:
                self._drop(trial.choice)
            left = [trial.choice for trial in reversed(ranked)]
            step = self._scaled(step, 2)

    async def _decide(self, base: ChosenLoad, singles: Sequence[ChosenLoad]) -> None:
        """Put what helped together, and measure it, and the best single change, in turns with the start settings until
        it is sure or time is up."""
        together, single = self._together(base, singles), max((base, *singles), key=self._speed)
        rivals: list[ChosenLoad] = []
        for choice in dict.fromkeys((together, single, base)):
            if choice != self._start and len(rivals) < 2 and await self._has_room(choice):
                rivals.append(choice)
        step = self._scaled(self._step, 2)
        if self._n_rounds_left(rivals, step) < LOOKS[1]:
            step = self._step
        if len(rivals) == 2 and self._n_rounds_left(rivals, step) < LOOKS[0]:
            del rivals[1]
        if not rivals or self._n_rounds_left(rivals, step) < _SHORT_OF_LOOK:
            return
        self._duel = Duel(self._start, rivals)
        while turns := self._duel.turns:
            speeds = {}
            for choice in turns:
                if not await self._try(choice, step, 1.0):
                    return
                speeds[choice] = self._trials[choice].speeds[-1]
            self._duel.add(speeds)

    def _n_rounds_left(self, rivals: Sequence[ChosenLoad], step: Test) -> float:
        """How many rounds there is time for: who was measured last in one is first in the next."""
        order = (self._start, *rivals)
        n_loads = sum(without_threads(one) != without_threads(other) for one, other in itertools.pairwise(order))
        round_s = len(order) * self._expected_s(step) + n_loads * self._load_s
        return (self._budget_s - self._spent_s) / max(round_s, 1e-9)

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

    def _drop(self, choice: ChosenLoad) -> None:
        if choice != self._start:
            self._trials[choice] = msgspec.structs.replace(self._trials[choice], outcome="dropped")

    # Measuring --------------------------------------------------------------------------------------------------------

    @property
    def _spent_s(self) -> float:
        return time.monotonic() - self._began

    def _expected_s(self, step: Test) -> float:
        return self._step_s * step.n_tokens / max(1, self._step.n_tokens)

    async def _try(self, choice: ChosenLoad, step: Test, until: float) -> bool:
        """Measure once, if there is time for it and it can be loaded; what takes longer than that is stopped."""
        if (trial := self._trials.get(choice)) and trial.outcome in ("failed", "stopped"):
            return False
        expected_s = self._expected_s(step) + (self._load_s if self._needs_load(choice) else 0.0)
        spent_s = self._spent_s
        if spent_s + expected_s > until * self._budget_s:
            return False
        self._on_progress(
            TuneProgress(
                stage=self._stage, choice=choice, spent_s=spent_s, budget_s=self._budget_s, outcome=self.result
            )
        )
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
        except (EngineError, EngineDied) as error:
            if isinstance(error, EngineDied) and choice == self._start:
                raise
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
        return self._loaded is None or without_threads(choice) != without_threads(self._loaded)

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
