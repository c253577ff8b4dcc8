"""What `Engine` promises, kept by the real engine and by the scripted one that other tests use in its place: the same
events in the same order, the same errors."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import DENSE, TINY, until
from tests.scripted_engine import ScriptedEngine
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.protocol.bench_messages import BenchTest
from tui.protocol.death import EngineDied
from tui.protocol.messages import (
    AnyCommand,
    Count,
    Delta,
    Done,
    Event,
    Generate,
    ListDevices,
    Prefill,
    ReadAhead,
    SaveContext,
    Started,
    Unload,
)
from tui.protocol.records import LoadSettings, Message, Sampling

GREEDY = Sampling(temperature=0)
PING = Generate(messages=(Message(role="user", content="ping"),), sampling=GREEDY, thinking=False, flush_s=0)
LONG = msgspec.structs.replace(PING, messages=(Message(role="user", content="Count to 100"),))


@pytest_asyncio.fixture(params=["real", "scripted"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Each of the two, started, with nothing loaded. The scripted one answers by itself."""
    if request.param == "real":
        async with LocalEngine() as real:
            yield real
    else:
        async with ScriptedEngine(held=()) as scripted:
            scripted.reply = " ".join(str(number) for number in range(1, 101))
            yield scripted


async def kill(engine: Engine) -> None:
    """As the system does when memory runs out."""
    if isinstance(engine, ScriptedEngine):
        engine.die(-signal.SIGKILL)
    else:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)


def order(events: list[Event]) -> list[type[Event]]:
    """The kinds of events, each run of one kind told once."""
    kinds = [type(event) for event in events]
    return [kind for before, kind in zip([None, *kinds], kinds, strict=False) if kind is not before]


async def events_of(engine: Engine, command: Generate) -> list[Event]:
    return [event async for event in engine.generate(command)]


async def test_an_answer_begins_grows_and_is_done(engine: Engine) -> None:
    await engine.load(DENSE, TINY)
    events = await events_of(engine, PING)
    kinds = [kind for kind in order(events) if kind is not Prefill]
    assert kinds == [Started, Delta, Done] and sum(isinstance(event, Done) for event in events) == 1
    started, done = events[0], events[-1]
    assert isinstance(started, Started) and isinstance(done, Done)
    counts = [event.n_decode for event in events if isinstance(event, Delta)]
    assert counts == sorted(set(counts)) and done.timings.n_decode >= counts[-1] > 0
    assert done.stop == "stop" and done.n_ctx == started.n_ctx == TINY.n_ctx
    assert done.timings.n_prompt == started.n_prompt < done.n_used


async def test_a_cancelled_answer_keeps_what_came_and_says_so(engine: Engine) -> None:
    await engine.load(DENSE, TINY)
    if isinstance(engine, ScriptedEngine):
        engine.held = {Generate}
    events = []
    answer = engine.generate(LONG)
    if isinstance(engine, ScriptedEngine):
        await engine.asked(Generate)
        engine.begin()
        engine.say("1")
    async for event in answer:
        events.append(event)
        if isinstance(event, Delta):
            answer.cancel()
    assert isinstance(events[-1], Done) and events[-1].stop == "cancelled"
    assert events[-1].timings.n_decode > 0


@pytest.mark.parametrize(
    "command",
    [Count(messages=PING.messages), ReadAhead(messages=PING.messages), BenchTest(n_prompt=8, n_gen=1)],
    ids=lambda command: type(command).__name__,
)
async def test_without_a_model_it_says_that_there_is_none(engine: Engine, command: AnyCommand) -> None:
    with pytest.raises(EngineError) as error:
        await engine.ask(command)
    assert error.value.info.kind == "no_model"
    with pytest.raises(EngineError) as error:
        await events_of(engine, PING)
    assert error.value.info.kind == "no_model" and engine.alive


async def test_what_is_loaded_is_one_object_until_something_else_is(engine: Engine) -> None:
    assert await engine.settled() is None
    fractions: list[float] = []
    loaded = await engine.load(DENSE, TINY)
    assert engine.loaded is loaded and await engine.settled() is loaded and loaded.path == str(DENSE)
    with pytest.raises(EngineError) as error:
        await engine.load(DENSE.with_name("nothing.gguf"), TINY, fractions.append)
    assert error.value.info.kind == "model_not_found" and engine.loaded is loaded
    again = await engine.load(DENSE, msgspec.structs.replace(TINY, n_ctx=1024), fractions.append)
    assert again is engine.loaded is not loaded and again.n_ctx == 1024
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    freeing = asyncio.create_task(engine.ask(Unload()))
    await until(lambda: engine.loaded is None)
    await freeing
    assert await engine.settled() is None


async def test_commands_wait_for_each_other_and_devices_for_nothing(engine: Engine) -> None:
    await engine.load(DENSE, TINY)
    ended: list[str] = []

    async def note(name: str, what: AnyCommand) -> None:
        await engine.ask(what)
        ended.append(name)

    if isinstance(engine, ScriptedEngine):
        engine.held = {Generate}
    answer = engine.generate(LONG)
    others = [asyncio.create_task(note("count", Count(messages=PING.messages)))]
    if isinstance(engine, ScriptedEngine):
        await engine.asked(Generate)
        engine.begin()
        engine.say("1")
    async for event in answer:
        if isinstance(event, Delta) and not ended:
            await note("devices", ListDevices())
            if isinstance(engine, ScriptedEngine):
                engine.finish()
    await asyncio.gather(*others)
    assert ended == ["devices", "count"]


async def test_whoever_stops_waiting_cancels_and_the_engine_goes_on(engine: Engine) -> None:
    await engine.load(DENSE, TINY)
    if isinstance(engine, ScriptedEngine):
        engine.held = {BenchTest}
    endless = asyncio.create_task(engine.ask(BenchTest(n_prompt=0, n_gen=1900)))
    await asyncio.sleep(0)  # lets it be sent
    endless.cancel()
    await asyncio.wait([endless])
    assert endless.cancelled() and (await engine.ask(Count(messages=PING.messages))).n_tokens > 0


async def test_a_prompt_that_does_not_fit_is_refused_with_figures(engine: Engine) -> None:
    await engine.load(DENSE, LoadSettings(n_ctx=256, n_threads=1))
    too_long = msgspec.structs.replace(PING, messages=(Message(role="user", content="one two " * 600),))
    with pytest.raises(EngineError) as error:
        await events_of(engine, too_long)
    info = error.value.info
    assert info.kind == "context_overflow" and info.n_prompt > info.n_ctx == 256
    assert order(await events_of(engine, PING))[-1] is Done


async def test_a_death_is_told_to_all_who_wait_and_to_the_owner(engine: Engine) -> None:
    deaths: list[EngineDied] = []
    engine.on_death = deaths.append
    await engine.load(DENSE, TINY)
    if isinstance(engine, ScriptedEngine):
        engine.held = {Generate}
    answer = engine.generate(LONG)
    waiting = asyncio.create_task(engine.ask(Count(messages=PING.messages)))
    if isinstance(engine, ScriptedEngine):
        await engine.asked(Generate)
        engine.begin()
        engine.say("1")
    with pytest.raises(EngineDied) as died:
        async for event in answer:
            if isinstance(event, Delta) and engine.alive:
                await kill(engine)
    with pytest.raises(EngineDied):
        await waiting
    assert died.value.death.cause == "killed" and died.value.death.running == "answering"
    assert [death.death for death in deaths] == [died.value.death]
    assert not engine.alive and engine.pid is None and engine.loaded is None
    with pytest.raises(EngineDied) as died:
        await engine.ask(ListDevices())
    assert died.value.death.running == "idle"
    await engine.restart()
    if isinstance(engine, ScriptedEngine):
        engine.held = set()
    await engine.load(DENSE, TINY)
    assert order(await events_of(engine, PING))[-1] is Done and len(deaths) == 1


async def test_closing_tells_those_who_wait_and_not_the_owner(engine: Engine) -> None:
    deaths: list[EngineDied] = []
    engine.on_death = deaths.append
    await engine.load(DENSE, TINY)
    if isinstance(engine, ScriptedEngine):
        engine.held = {BenchTest}
    waiting = asyncio.create_task(engine.ask(BenchTest(n_prompt=0, n_gen=1900)))
    await asyncio.sleep(0)  # lets it be sent
    await engine.close()
    with pytest.raises(EngineDied) as died:
        await waiting
    assert died.value.death.running == "benchmark" and not deaths and not engine.alive
    await engine.close()


async def test_a_text_that_cannot_be_sent_costs_only_that_command(engine: Engine) -> None:
    await engine.load(DENSE, TINY)
    with pytest.raises(EngineError) as error:
        await engine.ask(Count(messages=(Message(role="user", content="\ud800"),)))
    assert error.value.info.kind == "internal" and engine.loaded is not None
    with pytest.raises(EngineError) as error:
        await engine.load("\udcff.gguf", TINY)
    assert error.value.info.kind == "model_unreadable" and engine.loaded is not None


async def test_a_kept_context_is_known_by_its_size(engine: Engine, tmp_path: Path) -> None:
    await engine.load(DENSE, TINY)
    events = await events_of(engine, PING)
    saved = await engine.ask(SaveContext(path=str(tmp_path / "one.kv")))
    done = events[-1]
    assert isinstance(done, Done) and saved.problem is None and saved.n_bytes > 0
    assert abs(saved.n_tokens - done.n_used) <= 1  # the last token need not have been evaluated


def test_both_say_what_they_can_do() -> None:
    assert LocalEngine.capabilities == ScriptedEngine().capabilities
