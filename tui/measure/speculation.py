"""Has a loaded model write one text with speculation and without."""

from __future__ import annotations

from collections.abc import Sequence

from tui.engines.interface import Engine
from tui.measure.repeated_texts import RepeatedText
from tui.measure.report import SpeculationResult
from tui.measure.timeleft import TimedRun
from tui.protocol.bench_messages import BenchSpeculation

_CHARACTERS = 4
"""Of a token, about."""


async def write(engine: Engine, text: RepeatedText, costs: Sequence[float], *, ahead_first: bool) -> SpeculationResult:
    """One repetition. `costs` are those that `MeasureSteps` found. Raises `EngineError` and `EngineDied`."""
    sample = await engine.ask(
        BenchSpeculation(prompt=text.prompt, answer=text.answer, step_costs=tuple(costs), ahead_first=ahead_first)
    )
    n_steps = sample.n_gen - 1
    return SpeculationResult(
        text=text.name,
        n_prompt=sample.n_prompt,
        n_gen=sample.n_gen,
        plain_tps=n_steps / sample.plain_s,
        ahead_tps=n_steps / sample.ahead_s,
        n_drafted=sample.n_drafted,
        n_accepted=sample.n_accepted,
    )


def run_of(text: RepeatedText, job: int) -> TimedRun:
    """What one repetition reads and writes, about."""
    return TimedRun(n_read=len(text.prompt) // _CHARACTERS, n_steps=2 * len(text.answer) // _CHARACTERS, job=job)
