"""What several tokens at once cost is measured once for each load, and only while nobody wants the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import DENSE, until
from tests.scripted_engine import ScriptedEngine
from tui.engines.local import LocalEngine
from tui.measure.kept_steps import KeptSteps, load_key
from tui.protocol.bench_messages import MeasureSteps, StepCosts
from tui.protocol.messages import Cancel, Hello, Loaded, WarmUp
from tui.protocol.records import Device, DeviceKind, LoadSettings
from tui.session.events import Phase, PhaseChanged
from tui.session.step_costs import StepMeasuring

COSTS = (1.0, 1.25, 1.5)


class Session:
    """One with an engine that drafts, at what the test says."""

    def __init__(self, folder: Path, n_drafts: int = 15) -> None:
        self.engine = ScriptedEngine(held=(MeasureSteps,))
        self.kept = KeptSteps(folder / "steps.json")
        self.n_used = self.n_measured = 0
        self.measuring = StepMeasuring(self.engine, self.kept, lambda: self.n_used)
        self.engine.facts = {"n_drafts": n_drafts}

    async def load(self) -> Loaded:
        return await self.engine.load(DENSE, LoadSettings())

    def at(self, phase: Phase) -> None:
        self.measuring.hear(PhaseChanged(phase=phase))

    @property
    def n_asked(self) -> int:
        return len(self.engine.sent(MeasureSteps))


@pytest_asyncio.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    session = Session(tmp_path)
    await session.engine.start()
    yield session
    session.measuring.close()
    await session.engine.close()


async def test_a_load_is_measured_once_and_then_known(session: Session) -> None:
    loaded = await session.load()
    session.at("ready")
    await session.engine.asked(MeasureSteps)
    assert session.measuring.costs == ()
    session.engine.tell(StepCosts(costs=COSTS))
    await until(lambda: session.measuring.costs == COSTS)
    session.at("answering")
    session.at("ready")
    assert session.engine.hello is not None
    assert session.kept.known(load_key(session.engine.hello, loaded)) == COSTS
    assert await session.load() is not loaded
    session.at("ready")
    await until(lambda: session.measuring.costs == COSTS)
    assert session.n_asked == 1


async def test_a_question_does_not_wait_for_it_and_it_is_made_up_for_later(session: Session) -> None:
    await session.load()
    session.at("ready")
    await session.engine.asked(MeasureSteps)
    session.at("answering")
    await until(lambda: bool(session.engine.sent(Cancel)))
    assert session.measuring.costs == ()
    session.at("ready")
    await until(lambda: session.n_asked == 2)


async def test_on_a_gpu_it_is_measured_again_when_the_context_has_become_far_longer(session: Session) -> None:
    """Else the GPU would be made ready for that in the middle of an answer."""
    session.engine.facts = {"n_drafts": 15, "devices": ("Vulkan0",)}
    await session.load()
    for n_used, n_asked in ((0, 1), (500, 1), (3000, 2), (4000, 2), (7000, 3)):
        session.n_used = n_used
        session.at("answering")
        session.at("ready")
        if n_asked > session.n_measured:
            await session.engine.asked(MeasureSteps)
            session.engine.tell(StepCosts(costs=(1.0, 1.0 + n_asked)))
            await until(lambda costs=(1.0, 1.0 + n_asked): session.measuring.costs == costs)  # type: ignore[misc]
            session.n_measured = n_asked
        for _ in range(20):
            await asyncio.sleep(0)
        assert session.n_asked == n_asked


async def test_nothing_is_measured_of_what_cannot_draft(tmp_path: Path) -> None:
    session = Session(tmp_path, n_drafts=0)
    await session.engine.start()
    await session.load()
    session.at("ready")
    for _ in range(20):
        await asyncio.sleep(0)
    assert (session.n_asked, session.measuring.costs) == (0, ())
    session.measuring.close()


@pytest.mark.parametrize(("kind", "n_warmed"), [("gpu", 1), ("software", 0)])
async def test_a_gpu_is_warmed_up_once_and_software_never(tmp_path: Path, kind: DeviceKind, n_warmed: int) -> None:
    device = Device(name="Vulkan0", description="", kind=kind, total_bytes=1 << 30, free_bytes=1 << 30)
    engine = ScriptedEngine(hello=Hello(pid=0, llama_cpp="scripted", devices=(device,)))
    await engine.start()
    measuring = StepMeasuring(engine, KeptSteps(tmp_path / "steps.json"), lambda: 0)
    await engine.load(DENSE, LoadSettings(devices=("Vulkan0",)))
    for _ in range(2):
        measuring.hear(PhaseChanged(phase="ready"))
        for _ in range(20):
            await asyncio.sleep(0)
    assert len(engine.sent(WarmUp)) == n_warmed
    measuring.close()
    await engine.close()


async def test_the_engine_measures_and_forgets_nothing_of_what_was_read() -> None:
    async with LocalEngine() as engine:
        loaded = await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1))
        assert loaded.llama.n_drafts == 15
        costs = (await engine.ask(MeasureSteps())).costs
        assert len(costs) >= 2 and costs[0] == 1 and all(cost >= 1 for cost in costs)
        off = await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1, speculative="off"))
        assert off.llama.n_drafts == 0
        assert (await engine.ask(MeasureSteps())).costs == ()
