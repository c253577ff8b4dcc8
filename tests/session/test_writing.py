"""One answer while it is written, without an engine: its events go into conversation and store, and are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import until
from tests.loads import but
from tests.scripted_engine import ScriptedEngine
from tests.session.test_events import LOADED
from tui.chat.store import Store
from tui.config import paths
from tui.config.settings import ChosenLoad, Settings
from tui.protocol.messages import Delta, Done, Loaded, Recast, Started
from tui.protocol.records import Timings
from tui.session import events
from tui.session.context_meter import ContextMeter
from tui.session.engine_phase import EnginePhase
from tui.session.loads import LoadRequest
from tui.session.open_conversation import OpenConversation
from tui.session.replacing import Replacing
from tui.session.speed import PrefillSpeeds
from tui.session.writing import Writing

ON_GPU: Loaded = but(LOADED, devices=("Vulkan0",), n_gpu_layers=3)
STARTED = Started(n_prompt=20, n_cached=5, n_dropped=0, n_ctx=64)
MIB = 1 << 20


class Desk:
    """What an answer is written with."""

    def __init__(self, store: Store) -> None:
        self.told: list[events.AnySessionEvent] = []
        self.store = store
        self.opened = OpenConversation(store, Settings())
        self.speeds = PrefillSpeeds()
        self.replacing = Replacing(self.opened, is_writing=lambda: False, tell=self.told.append)
        engine = ScriptedEngine()
        phase = EnginePhase(engine, lambda: False, lambda _: None)
        self.meter = ContextMeter(engine, self.opened, phase, self.told.append)
        self.swap: Iterator[int | None] = iter(lambda: None, 0)

    def write(self, loaded: Loaded = LOADED) -> Writing:
        return Writing(
            loaded,
            "Tiny",
            opened=self.opened,
            store=self.store,
            replacing=self.replacing,
            meter=self.meter,
            prefill_speeds=self.speeds,
            swap_used=lambda: next(self.swap),
            tell=self.told.append,
        )

    def kinds(self) -> list[type[events.SessionEvent]]:
        return [type(event) for event in self.told]


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    store = Store(paths.database_file())
    await store.start()
    desk = Desk(store)
    desk.opened.say("ping")
    yield desk
    await store.close()


def delta(text: str, n_used: int = 21) -> Delta:
    return Delta(kind="answer", text=text, n_decode=1, decode_tps=0.0, n_used=n_used)


def done(stop: str = "stop", n_decode: int = 1) -> Done:
    timings = Timings(n_prompt=20, n_decode=n_decode, decode_s=1.0)
    return msgspec.convert(
        {"type": "Done", "stop": stop, "timings": msgspec.to_builtins(timings), "n_used": 22, "n_ctx": 64}, Done
    )


async def test_an_answer_is_in_the_store_while_it_is_written(desk: Desk) -> None:
    writing = desk.write()
    writing.take(STARTED)
    assert (desk.opened.now.turns[-1].is_streaming, writing.is_over) == (True, False)
    writing.take(delta("half"))
    await desk.store.flush()
    assert (await desk.store.open(desk.opened.now.id)).turns[-1].text == "half"
    writing.take(delta(" and half"))
    writing.take(done())
    assert writing.is_over and desk.meter.n_used == 22
    await desk.store.flush()
    saved = (await desk.store.open(desk.opened.now.id)).turns[-1]
    assert (saved.text, saved.stop, saved.model, saved.backend) == ("half and half", "stop", "Tiny", ("CPU",))


async def test_a_pause_names_both_backends_and_their_speeds(desk: Desk) -> None:
    writing = desk.write()
    writing.take(STARTED)
    writing.take(delta("one "))
    writing.pause(done("cancelled", n_decode=40))
    assert (writing.is_paused, writing.has_begun, writing.n_decode) == (True, True, 40)
    writing.go_on(ON_GPU, LoadRequest(path=Path(LOADED.path), choice=ChosenLoad()))
    assert not writing.is_paused and events.ModelReloaded not in desk.kinds()  # told with the next token
    writing.take(delta("two"))
    writing.take(done(n_decode=80))
    assert desk.kinds() == [
        events.AnswerBegan,
        events.AnswerGrew,
        events.AnswerPaused,
        events.ModelReloaded,
        events.AnswerGrew,
        events.AnswerEnded,
        events.ContextUsed,
    ]
    turn = desk.opened.now.turns[-1]
    assert (turn.text, turn.backend, len(turn.speeds)) == ("one two", ("CPU", "Vulkan0"), 2)
    assert turn.timings is not None and turn.timings.n_decode == 120


async def test_an_answer_that_stays_where_it_was_names_one_backend(desk: Desk) -> None:
    writing = desk.write()
    writing.take(STARTED)
    writing.take(delta("one "))
    writing.pause(done("cancelled", n_decode=40))
    writing.go_on(LOADED, LoadRequest(path=Path(LOADED.path), choice=ChosenLoad()))
    writing.take(delta("two"))
    writing.take(done(n_decode=80))
    turn = desk.opened.now.turns[-1]
    assert (turn.backend, turn.speeds) == (("CPU",), ()) and events.ModelReloaded not in desk.kinds()


async def test_a_paused_answer_that_is_stopped_keeps_what_it_has(desk: Desk) -> None:
    writing = desk.write()
    writing.take(STARTED)
    writing.take(delta("one"))
    writing.pause(done("cancelled"))
    writing.stop()
    assert writing.is_over and not writing.is_paused
    assert (desk.opened.now.turns[-1].text, desk.opened.now.turns[-1].stop) == ("one", "cancelled")


@pytest.mark.parametrize("is_refused", [False, True])
async def test_without_an_answer_what_was_replaced_is_put_back_unless_it_was_refused(
    desk: Desk, is_refused: bool
) -> None:
    first = desk.write()
    first.take(STARTED)
    first.take(delta("pong"))
    first.take(done())
    answer = desk.opened.now.turns[-1]
    desk.replacing.cut(answer.id)
    desk.told.clear()
    desk.write().break_off("no", is_refused=is_refused)
    assert (answer in desk.opened.now.turns) != is_refused
    assert desk.kinds() == ([] if is_refused else [events.ConversationChanged, events.TurnsPutBack])


async def test_a_word_of_the_new_answer_settles_what_it_replaces(desk: Desk) -> None:
    first = desk.write()
    first.take(STARTED)
    first.take(delta("pong"))
    first.take(done())
    answer = desk.opened.now.turns[-1]
    desk.replacing.cut(answer.id)
    second = desk.write()
    second.take(STARTED)
    second.take(delta("other"))
    second.break_off("the engine died")
    assert [turn.text for turn in desk.opened.now.turns] == ["ping", "other"]
    assert (desk.opened.now.turns[-1].stop, desk.opened.now.turns[-1].error) == ("crashed", "the engine died")
    await desk.store.settled()
    whole = await desk.store.whole(desk.opened.now.id)
    assert [turn.text for turn in whole.hidden] == ["pong"]


async def test_what_was_swapped_out_meanwhile_is_kept_with_the_answer(desk: Desk) -> None:
    desk.swap = iter((100 * MIB, 220 * MIB))
    writing = desk.write()
    writing.take(STARTED)
    writing.take(delta("pong"))
    writing.take(done())
    assert desk.opened.now.turns[-1].swapped_bytes == 120 * MIB


async def test_a_thought_that_was_taken_for_an_answer_is_one_in_the_store_too(desk: Desk) -> None:
    writing = desk.write()
    writing.take(STARTED)
    writing.take(delta("hm"))
    writing.take(Recast())
    await desk.store.flush()
    saved = (await desk.store.open(desk.opened.now.id)).turns[-1]
    assert (saved.text, saved.reasoning) == ("", "hm")
    writing.take(done())


async def test_an_answer_that_was_stopped_before_it_began_leaves_no_turn(desk: Desk) -> None:
    writing = desk.write()
    writing.take(done("cancelled"))
    assert writing.is_over and desk.kinds() == [] and len(desk.opened.now.turns) == 1
    await until(lambda: desk.store.n_unsaved == 0)
