"""The scripted engine does what a test tells it to, when it tells it, and nothing by itself."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.conftest import DENSE, TINY
from tests.scripted_engine import ScriptedEngine
from tui.engines import client
from tui.engines.interface import EngineError
from tui.protocol.death import EngineDied
from tui.protocol.messages import PROTOCOL, Count, Delta, Done, Event, Generate, Hello, Load, Started
from tui.protocol.records import Message

HELLO = Generate(messages=(Message(role="user", content="hello"),))


async def gather(engine: ScriptedEngine, into: list[Event]) -> None:
    async for event in engine.generate(HELLO):
        into += [event]


async def started() -> ScriptedEngine:
    engine = ScriptedEngine()
    await engine.start()
    await engine.load(DENSE, TINY)
    return engine


async def test_an_answer_comes_at_the_pace_of_the_test() -> None:
    engine, events = await started(), []  # type: ignore[var-annotated]
    task = asyncio.create_task(gather(engine, events))
    command = await engine.asked(Generate)
    assert command.messages == HELLO.messages and not events
    engine.begin(n_prompt=7)
    engine.think("hm")
    engine.say("hello")
    assert not task.done()
    engine.finish()
    await task
    started_, *_, last, done = events
    assert isinstance(started_, Started) and started_.n_prompt == 7
    assert isinstance(last, Delta) and (last.text, last.n_decode, last.n_used) == ("hello", 2, 9)
    assert isinstance(done, Done) and done.timings.n_decode == 2 and done.n_used == 9


async def test_what_fails_does_so_with_the_facts_that_the_test_gives() -> None:
    engine = await started()
    task = asyncio.create_task(gather(engine, []))
    await engine.asked(Generate)
    engine.fail("context_overflow", "too long", n_drop=3)
    with pytest.raises(EngineError) as error:
        await task
    assert (error.value.info.kind, error.value.info.n_drop) == ("context_overflow", 3) and engine.alive


async def test_a_held_load_fails_and_what_is_to_stay_stays() -> None:
    engine = await started()
    before = engine.loaded
    engine.held.add(Load)
    for load_first in (True, False):
        task = asyncio.create_task(engine.load(DENSE, TINY, load_first=load_first))
        await engine.asked(Load)
        assert engine.loaded is None
        engine.fail("out_of_memory")
        with pytest.raises(EngineError):
            await task
        assert engine.loaded is (before if load_first else None)


async def test_it_dies_with_its_last_words() -> None:
    deaths: list[EngineDied] = []
    engine = await started()
    engine.on_death = deaths.append
    task = asyncio.create_task(gather(engine, []))
    await engine.asked(Generate)
    engine.die(-signal.SIGABRT, "vk::Queue::submit: ErrorDeviceLost")
    with pytest.raises(EngineDied) as died:
        await task
    assert died.value.death.cause == "device_lost" and deaths == [died.value]


async def test_one_that_does_not_heed_a_cancel_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CANCEL_GRACE_S", 0.0)
    engine = await started()
    engine.heeds_cancel = False
    answer = engine.generate(HELLO)
    await engine.asked(Generate)
    answer.cancel()
    with pytest.raises(EngineDied) as died:
        async for _ in answer:
            pass
    assert died.value.death.cause == "not_stopped"


async def test_what_was_sent_is_known() -> None:
    engine = await started()
    await engine.ask(Count(messages=HELLO.messages, thinking=False))
    (count,) = engine.sent(Count)
    assert count.messages == HELLO.messages and not count.thinking and count in engine.commands


async def test_an_engine_of_another_version_is_not_worked_with() -> None:
    engine = ScriptedEngine(hello=Hello(pid=1, llama_cpp="", devices=(), protocol=PROTOCOL + 1))
    with pytest.raises(EngineDied) as died:
        await engine.start()
    death = died.value.death
    assert death.cause == "other_version" and str(PROTOCOL + 1) in death.last_words and not engine.alive
