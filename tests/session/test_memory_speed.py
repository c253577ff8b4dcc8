"""The memory is measured when somebody wants to know how fast models will be, and only while nothing is computed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import until
from tests.scripted_engine import ScriptedEngine
from tui.measure.kept_bandwidth import KeptBandwidth
from tui.protocol.bench_messages import Bandwidths, MeasureBandwidth
from tui.session import memory_speed
from tui.session.events import Phase, PhaseChanged
from tui.session.memory_speed import MemorySpeed


class Session:
    """One whose engine is at what the test says; `probes` are the engines that were made to measure."""

    def __init__(self, folder: Path) -> None:
        self.engine = ScriptedEngine()
        self.phase: Phase = "ready"
        self.kept = KeptBandwidth(folder / "bandwidth.json")
        self.probes: list[ScriptedEngine] = []
        self.memory_speed = MemorySpeed(self.engine, self._make, lambda: self.phase, self.kept)

    def _make(self) -> ScriptedEngine:
        self.probes.append(ScriptedEngine(held=(MeasureBandwidth,)))
        return self.probes[-1]

    def at(self, phase: Phase) -> None:
        self.phase = phase
        self.memory_speed.hear(PhaseChanged(phase=phase))

    async def probe(self, n: int = 1) -> ScriptedEngine:
        """The newest of so many, once it measures."""
        await until(lambda: len(self.probes) == n)
        await self.probes[-1].asked(MeasureBandwidth)
        return self.probes[-1]


@pytest_asyncio.fixture
async def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    async def nobody(*_: int | None) -> bool:
        return False

    monkeypatch.setattr(memory_speed, "is_disturbed", nobody)  # other tests have engines that compute
    session = Session(tmp_path)
    await session.engine.start()
    return session


FOUND = Bandwidths(bytes_per_s={"CPU": 40e9})


async def test_it_is_measured_once_for_all_who_ask(session: Session) -> None:
    asked = [asyncio.create_task(session.memory_speed.measured()) for _ in range(3)]
    probe = await session.probe()
    assert probe.sent(MeasureBandwidth)[0].devices == ("CPU",)
    assert not any(one.done() for one in asked)
    probe.tell(FOUND)
    assert await asyncio.gather(*asked) == [True] * 3
    assert session.kept.known() == {"CPU": 40e9}
    assert (len(session.probes), probe.alive) == (1, False)
    assert session.engine.commands == []


async def test_what_two_measurements_agree_about_is_not_measured_again(session: Session) -> None:
    for n in (1, 2):
        asked = asyncio.create_task(session.memory_speed.measured())
        (await session.probe(n)).tell(FOUND)
        assert await asked
    assert not await session.memory_speed.measured()
    assert len(session.probes) == 2


@pytest.mark.parametrize("phase", ["starting", "loading", "answering"])
async def test_nothing_is_measured_while_something_is_computed(session: Session, phase: Phase) -> None:
    session.at(phase)
    asked = asyncio.create_task(session.memory_speed.measured())
    await asyncio.wait([asked], timeout=0)
    assert (session.probes, asked.done()) == ([], False)
    session.at("ready")
    (await session.probe()).tell(FOUND)
    assert await asked


async def test_an_answer_that_begins_stops_it_and_it_is_done_after_that(session: Session) -> None:
    asked = asyncio.create_task(session.memory_speed.measured())
    probe = await session.probe()
    session.at("answering")
    await until(lambda: not probe.alive)
    assert (session.kept.known(), asked.done()) == ({}, False)
    session.at("ready")
    (await session.probe(2)).tell(FOUND)
    assert await asked


async def test_a_benchmark_has_the_machine_for_itself(session: Session) -> None:
    asked = asyncio.create_task(session.memory_speed.measured())
    probe = await session.probe()
    with session.memory_speed.held():
        await until(lambda: not probe.alive)
        assert not asked.done()
    (await session.probe(2)).tell(FOUND)
    assert await asked


async def test_a_driver_that_takes_the_probe_along_does_no_harm(session: Session) -> None:
    for n in range(1, 4):
        asked = asyncio.create_task(session.memory_speed.measured())
        (await session.probe(n)).die()
        assert await asked
    assert not await session.memory_speed.measured()
    assert (session.kept.known(), session.engine.alive) == ({}, True)


async def test_whoever_no_longer_waits_does_not_stop_it(session: Session) -> None:
    asked = asyncio.create_task(session.memory_speed.measured())
    probe = await session.probe()
    asked.cancel()
    await asyncio.wait([asked])
    probe.tell(FOUND)
    await until(lambda: session.kept.known())


async def test_it_ends_with_the_session(session: Session) -> None:
    asked = asyncio.create_task(session.memory_speed.measured())
    probe = await session.probe()
    await session.memory_speed.close()
    assert (await asked, probe.alive, session.kept.known()) == (False, False, {})
    assert not await session.memory_speed.measured()
