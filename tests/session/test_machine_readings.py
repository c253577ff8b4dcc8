"""What a session reads of the machine, and how fast its answers are, moment by moment."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.conftest import until
from tests.scripted_engine import ScriptedEngine
from tests.session.test_events import LOADED, TURN
from tests.session.test_writing import ON_GPU
from tui.config.settings import MemorySettings
from tui.protocol.messages import Delta, Loaded, Prefill
from tui.protocol.records import Timings
from tui.session import events
from tui.session import monitoring as monitoring_module
from tui.session.live_speed import LiveSpeed
from tui.session.monitoring import Monitoring
from tui.session.speed import AnswerNow, PrefillSpeeds, SpeedNow

READ = Timings(n_prompt=900, n_prefill=900, n_steady=800, steady_s=2.0)


class Watched:
    """The speed of an engine of which the test says what is loaded."""

    def __init__(self, loaded: Loaded | None = LOADED) -> None:
        self.loaded = loaded
        self.told: list[events.AnySessionEvent] = []
        self.speeds = PrefillSpeeds()
        self.speed = LiveSpeed(lambda: self.loaded, self.speeds, self.told.append)


def grew(tps: float) -> events.AnswerGrew:
    return events.AnswerGrew(turn_id="a", delta=Delta(kind="answer", text="x", n_decode=1, decode_tps=tps, n_used=3))


def test_the_history_has_a_sample_for_every_second() -> None:
    watched = Watched()
    watched.speed.each_second()
    watched.speed.hear(grew(30.0))
    watched.speed.each_second()
    assert watched.speed.now.is_decoding and watched.speed.now.history == (0.0, 30.0)
    watched.speed.hear(events.AnswerEnded(turn=TURN))
    assert watched.speed.each_second().history == (0.0, 30.0, 0.0)


def test_another_load_or_conversation_begins_with_what_is_known_of_it() -> None:
    watched = Watched()
    watched.speeds.note(LOADED, READ)
    watched.speed.hear(grew(30.0))
    watched.speed.each_second()
    watched.speed.hear(events.ModelLoaded(loaded=LOADED))
    assert watched.told == [events.SpeedReset(speed=SpeedNow(prefill_tps=400.0))]
    watched.loaded = ON_GPU
    watched.speed.hear(events.ModelLoaded(loaded=ON_GPU))
    assert watched.told[-1] == events.SpeedReset(speed=SpeedNow()) and watched.speed.prefill_tps == 0


def test_while_nothing_is_loaded_nothing_is_known_and_a_load_that_fails_brings_it_back() -> None:
    watched = Watched()
    watched.speeds.note(LOADED, READ)
    watched.speed.hear(events.ModelLoaded(loaded=LOADED))
    watched.loaded = None
    watched.speed.hear(events.PhaseChanged(phase="loading"))
    assert watched.told[-1] == events.SpeedReset(speed=SpeedNow())
    watched.loaded = LOADED
    watched.speed.hear(events.PhaseChanged(phase="ready"))
    assert watched.told[-1] == events.SpeedReset(speed=SpeedNow(prefill_tps=400.0))
    n_told = len(watched.told)
    watched.speed.hear(events.PhaseChanged(phase="answering"))
    assert len(watched.told) == n_told


def test_a_prompt_shows_its_progress_until_the_answer_comes() -> None:
    watched = Watched()
    progress = Prefill(done=512, total=900, tps=0.0, eta_s=0.0)
    watched.speed.hear(events.PromptAdvanced(turn_id="a", progress=progress))
    assert watched.speed.now == SpeedNow(prefill=progress, answer=AnswerNow())
    watched.speed.hear(grew(9.5))
    assert watched.speed.now.prefill is None and watched.speed.now.decode_tps == 9.5
    watched.speed.hear(events.AnswerPaused(turn_id="a"))
    assert not watched.speed.now.is_decoding


async def test_a_reading_is_told_and_is_the_newest() -> None:
    watched = Watched()
    monitoring = Monitoring(ScriptedEngine(), watched.speed, MemorySettings(reserve_percent=0), watched.told.append)
    watched.speed.hear(grew(30.0))
    await monitoring.read()
    read = [event for event in watched.told if isinstance(event, events.MachineRead)]
    assert len(read) == 1 and read[0].host.ram_total_bytes and read[0].speed.history == (30.0,)
    assert (await monitoring.newest()) == (read[0].host, read[0].gpus)


async def test_a_shortage_is_told_when_it_begins() -> None:
    watched = Watched()
    everything = MemorySettings(reserve_gib=1e6)  # no machine has as much
    monitoring = Monitoring(ScriptedEngine(), watched.speed, everything, watched.told.append)
    await monitoring.read()
    await monitoring.read()
    kinds = [type(event) for event in watched.told]
    assert kinds.count(events.MachineRead) == 2 and kinds.count(events.MemoryShort) == 1


def test_an_answer_is_counted_and_its_speeds_are_spread_over_its_seconds() -> None:
    watched = Watched()
    for tps in (20.0, 40.0, 30.0):
        watched.speed.hear(grew(tps))
        watched.speed.each_second()
    answer = watched.speed.now.answer
    assert answer is not None and answer.n_tokens == 1 and answer.took_s > 0
    assert answer.spread is not None
    assert (answer.spread.least, answer.spread.mean, answer.spread.most) == (20.0, 30.0, 40.0)
    timings = Timings(n_decode=90, decode_s=3.0, ttft_s=0.5)
    watched.speed.hear(events.AnswerEnded(turn=replace(TURN, timings=timings)))
    ended = watched.speed.each_second().answer
    assert ended == AnswerNow(n_tokens=90, took_s=3.5, spread=answer.spread)
    watched.speed.hear(grew(5.0))
    assert watched.speed.now.answer == AnswerNow(n_tokens=1)


@pytest.mark.parametrize("why", ["the engine works", "another engine is watched"])
async def test_readings_go_on_though_nobody_looks_while(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring_module, "READ_EVERY_S", 0.001)
    watched = Watched()
    works = why == "the engine works"
    monitoring = Monitoring(
        ScriptedEngine(),
        watched.speed,
        MemorySettings(reserve_percent=0),
        watched.told.append,
        is_busy=lambda: works,
    )
    monitoring.look(False)
    monitoring.start(watch_others=not works)
    try:
        await until(lambda: sum(isinstance(event, events.MachineRead) for event in watched.told) > 2)
        assert not monitoring.is_resting
    finally:
        monitoring.close()


async def test_while_nobody_looks_and_nothing_is_computed_the_machine_is_read_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitoring_module, "READ_EVERY_S", 0.001)
    watched = Watched()
    monitoring = Monitoring(ScriptedEngine(), watched.speed, MemorySettings(reserve_percent=0), watched.told.append)

    def n_read() -> int:
        return sum(isinstance(event, events.MachineRead) for event in watched.told)

    monitoring.look(False)
    monitoring.start()
    try:
        await until(lambda: monitoring.is_resting)
        assert n_read() == 0
        monitoring.look(True)
        await until(lambda: n_read() > 2)
        monitoring.look(False)
        watched.speed.hear(grew(30.0))  # an answer is followed also while nobody looks
        before = n_read()
        await until(lambda: n_read() > before + 2)
    finally:
        monitoring.close()
