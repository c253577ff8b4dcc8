"""Text that repeats what was said comes several tokens at once, and is the same text."""

from __future__ import annotations

import msgspec
import pytest

from tests.conftest import DENSE
from tests.engine.asking import Reply
from tui.engines.local import LocalEngine
from tui.protocol.messages import Delta, Done, Generate
from tui.protocol.records import LoadSettings, Message, Sampling

CHEAP = tuple(1 + 0.01 * n for n in range(16))
"""Costs with which any guess is worth a draft."""
QUESTION = (Message(role="user", content="Show a table"),)


async def reply(engine: LocalEngine, costs: tuple[float, ...], **how: object) -> Reply:
    found = Reply()
    command = Generate(messages=QUESTION, step_costs=costs, flush_s=0.0, max_tokens=120)
    async for event in engine.generate(msgspec.structs.replace(command, **how)):
        found.add(event)
    return found


SAMPLINGS = [Sampling(temperature=0), Sampling(seed=3), Sampling(temperature=0, repeat_penalty=1.1)]


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "seeded", "penalties"])
async def test_the_answer_is_the_same_with_drafts_and_without(sampling: Sampling) -> None:
    async with LocalEngine() as engine:
        await engine.load(DENSE, LoadSettings(n_ctx=1024, n_threads=1))
        plain = await reply(engine, (), sampling=sampling, ignore_end=True)
        again = await reply(engine, (), sampling=sampling, ignore_end=True)
        drafted = await reply(engine, CHEAP, sampling=sampling, ignore_end=True)
    assert plain.done.timings.n_drafted == again.done.timings.n_drafted == 0
    told = drafted.done.timings
    assert told.n_drafted >= told.n_accepted and told.n_drafted > 0
    assert (drafted.thinking, drafted.text) == (plain.thinking, plain.text) == (again.thinking, again.text)
    assert drafted.done.n_used == plain.done.n_used
    assert drafted.done.timings.n_decode == plain.done.timings.n_decode
    last = [event for event in drafted.events if isinstance(event, Delta)][-1]
    assert 0 < last.n_drafted <= told.n_drafted


async def test_an_answer_that_was_stopped_goes_on_with_drafts_as_without() -> None:
    """From several places, also on another context size."""
    async with LocalEngine() as engine:
        await engine.load(DENSE, LoadSettings(n_ctx=1024, n_threads=1))
        whole = await reply(engine, (), sampling=Sampling(seed=3), ignore_end=True)
        for n_before in (1, 30, 55):
            parts = Reply()
            stream = engine.generate(
                Generate(messages=QUESTION, sampling=Sampling(seed=3), step_costs=CHEAP, flush_s=0.0, ignore_end=True)
            )
            async for event in stream:
                parts.add(event)
                if isinstance(event, Delta) and event.n_decode >= n_before:
                    stream.cancel()
            n_left = 120 - parts.done.timings.n_decode
            if n_left > 0:
                await engine.load(DENSE, LoadSettings(n_ctx=1024 + n_before, n_threads=1), keep_context=True)
                goes_on = Generate(
                    resume=True,
                    sampling=Sampling(seed=3),
                    step_costs=CHEAP,
                    flush_s=0.0,
                    max_tokens=n_left,
                    ignore_end=True,
                )
                async for event in engine.generate(goes_on):
                    parts.add(event)
                assert (parts.thinking, parts.text) == (whole.thinking, whole.text)
                assert sum(event.timings.n_drafted for event in parts.events if isinstance(event, Done)) > 0
