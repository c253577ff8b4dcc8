"""Prompts, answers and loads through the door of a session, with an engine that does what the test tells it to."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import DENSE, MOE, until
from tests.session.conftest import Session
from tui.chat.conversation import Turn
from tui.config.settings import ChatSettings, Settings
from tui.protocol.messages import Generate, Load, Prefill, Recast, Started
from tui.session import events
from tui.session.events import decode, encode


def texts(turns: tuple[Turn, ...]) -> list[str]:
    return [turn.text for turn in turns]


async def test_an_answer_is_told_from_the_prompt_to_its_end(session: Session) -> None:
    command = await session.ask("ping")
    assert [message.content for message in command.messages] == ["ping"] and not command.resume
    session.engine.begin(n_prompt=20)
    session.engine.say("po")
    session.engine.say("ng")
    session.engine.finish()
    await session.idle()

    assert session.order() == [
        events.UserSaid,
        events.AnswerBegan,
        events.PromptAdvanced,
        events.AnswerGrew,
        events.AnswerEnded,
    ]
    assert texts(session.turns) == ["ping", "pong"]
    answer = session.turns[-1]
    assert (answer.stop, answer.backend) == ("stop", ("CPU",))
    assert session.heard(events.AnswerEnded) == [events.AnswerEnded(turn=answer)]
    assert session.controller.context.n_used == 22
    saved = await session.controller.store.open(session.controller.conversation.id)
    assert texts(saved.turns) == ["ping", "pong"]


async def test_whoever_reads_the_events_as_lines_knows_the_conversation(session: Session) -> None:
    """As another process would follow it."""
    lines: list[bytes] = []
    session.controller.listen(lambda event: lines.append(encode(event)))
    await session.answered("ping")
    await session.answered("again", "and again")
    turns: list[Turn] = []
    for line in lines:
        match decode(line):
            case events.UserSaid(turn=turn) | events.AnswerEnded(turn=turn):
                turns.append(turn)
    assert tuple(turns) == session.turns


async def test_what_was_an_answer_becomes_a_thought(session: Session) -> None:
    await session.ask("ping")
    session.engine.begin()
    session.engine.say("hm")
    session.engine.tell(Recast())
    session.engine.say("pong")
    session.engine.finish()
    await session.idle()
    assert events.AnswerRecast in session.order()
    assert (session.turns[-1].reasoning, session.turns[-1].text) == ("hm", "pong")


async def test_a_load_of_the_same_model_pauses_the_answer_and_it_goes_on(session: Session) -> None:
    await session.ask("ping")
    session.engine.begin()
    session.engine.say("one ")
    await until(lambda: session.heard(events.AnswerGrew))
    session.controller.load(session.request(n_ctx=1024))
    rest = await session.engine.asked(Generate)
    assert rest.resume and not rest.messages and session.engine.sent(Load)[-1].keep_context
    assert session.controller.phase == "answering"
    session.engine.tell(Started(n_prompt=21, n_cached=21, n_dropped=0, n_ctx=1024))
    session.engine.say("two")
    session.engine.finish()
    await session.idle()

    assert session.order() == [
        events.UserSaid,
        events.AnswerBegan,
        events.PromptAdvanced,
        events.AnswerGrew,
        events.AnswerPaused,
        events.LoadAdvanced,
        events.ModelLoaded,
        events.ModelReloaded,
        events.AnswerGrew,
        events.AnswerEnded,
    ]
    reloaded = session.heard(events.ModelReloaded)
    assert [event.turn_id for event in reloaded] == [session.turns[-1].id] and reloaded[0].reload.n_kept > 0
    assert texts(session.turns) == ["ping", "one two"] and session.turns[-1].stop == "stop"


async def test_another_model_ends_the_answer(session: Session) -> None:
    await session.ask("ping")
    session.engine.begin()
    session.engine.say("one ")
    await session.load(MOE)
    assert (session.turns[-1].text, session.turns[-1].stop) == ("one ", "cancelled")
    assert session.controller.model.path == MOE and not session.heard(events.AnswerPaused)


async def test_an_answer_that_is_stopped_while_its_model_loads_is_not_gone_on_with(session: Session) -> None:
    session.engine.held.add(Load)
    await session.ask("ping")
    session.engine.begin()
    session.engine.say("one")
    await until(lambda: session.heard(events.AnswerGrew))
    session.controller.load(session.request(n_ctx=1024))
    await session.engine.asked(Load)
    session.controller.interrupt()
    await session.idle()
    assert (session.turns[-1].text, session.turns[-1].stop) == ("one", "cancelled")
    assert len(session.engine.sent(Generate)) == 1
    assert session.controller.phase == "ready" and session.controller.model.choice.n_ctx != 1024


async def test_an_answer_that_is_stopped_before_the_engine_was_asked_never_begins(session: Session) -> None:
    await session.answered("ping")  # from now on it is looked whether another window wrote into the conversation

    def stop_at_once(event: events.AnySessionEvent) -> None:
        if isinstance(event, events.PhaseChanged) and event.phase == "answering":
            session.controller.interrupt()

    end = session.controller.listen(stop_at_once)
    session.controller.queue.send("and again")
    await until(lambda: len(session.engine.sent(Generate)) == 2)
    end()
    await session.idle()
    assert session.turns[-1].text == "and again" and len(session.heard(events.AnswerEnded)) == 1
    assert session.controller.phase == "ready"


async def test_a_prompt_that_is_too_long_stays_and_whoever_listens_decides(session: Session) -> None:
    await session.answered("ping")
    session.controller.replacing.cut(session.turns[-1].id)
    session.controller.answer()
    await session.engine.asked(Generate)
    session.told.clear()
    session.engine.fail("context_overflow", n_prompt=9000, n_ctx=4096, n_drop=2)
    await session.idle()
    assert session.order() == [events.AnswerRefused] and texts(session.turns) == ["ping"]

    session.controller.answer(drop_oldest=True)
    assert (await session.engine.asked(Generate)).drop_oldest
    session.engine.begin()
    session.engine.say("shorter")
    session.engine.finish()
    await session.idle()
    assert texts(session.turns) == ["ping", "shorter"]


async def test_what_an_answer_was_to_replace_is_there_again_when_it_is_refused(session: Session) -> None:
    await session.answered("ping")
    answer = session.turns[-1]
    session.controller.replacing.cut(answer.id)
    session.controller.answer()
    await session.engine.asked(Generate)
    session.told.clear()
    session.engine.fail("template", "it cannot be rendered")
    await session.idle()
    assert session.turns[-1] == answer
    assert session.order() == [events.ConversationChanged, events.TurnsPutBack, events.AnswerRefused]


async def test_the_queue_is_answered_in_order_and_held_after_a_stop(session: Session) -> None:
    await session.ask("one")
    session.controller.queue.send("two")
    session.controller.queue.send("three")
    assert session.heard(events.QueueChanged)[-1] == events.QueueChanged(texts=("two", "three"), is_held=False)
    session.engine.begin()
    session.engine.say("1")
    session.engine.finish()
    assert [message.content for message in (await session.engine.asked(Generate)).messages] == ["one", "1", "two"]
    session.controller.interrupt()
    await session.idle()
    assert session.heard(events.QueueChanged)[-1] == events.QueueChanged(texts=("three",), is_held=True)
    session.controller.queue.release()
    assert (await session.engine.asked(Generate)).messages[-1].content.endswith("three")


async def test_what_waits_is_withdrawn_with_its_conversation(session: Session) -> None:
    await session.ask("one")
    session.controller.queue.send("two")
    await session.controller.new()
    assert session.heard(events.PromptsWithdrawn)[-1].texts == ("two",)
    assert session.turns == () and session.controller.queue.texts == ()


async def test_a_death_in_the_middle_keeps_the_answer_and_offers_what_it_died_of(session: Session) -> None:
    await session.ask("ping")
    session.engine.begin()
    session.engine.say("po")
    await until(lambda: session.heard(events.AnswerGrew))
    session.engine.die(-signal.SIGKILL)
    await until(lambda: session.controller.phase == "dead" and not session.is_busy)
    answer = session.turns[-1]
    assert (answer.text, answer.stop) == ("po", "crashed")
    assert [event.death.cause for event in session.heard(events.EngineLost)] == ["killed"]
    assert session.controller.model.fatal_choice == session.controller.model.choice

    session.controller.restart(n_ctx=512)
    await until(lambda: session.controller.phase == "ready")
    assert session.engine.sent(Load)[-1].settings.n_ctx == 512 and session.controller.model.fatal_choice is None


async def test_after_a_death_while_loading_the_settings_are_those_that_worked(session: Session) -> None:
    session.engine.held.add(Load)
    before = session.controller.model.choice
    session.controller.load(session.request(n_ctx=512))
    await session.engine.asked(Load)
    session.engine.die(-signal.SIGSEGV)
    await until(lambda: session.controller.phase == "dead" and not session.is_busy)
    fatal = session.controller.model.fatal_choice
    assert session.controller.model.choice == before and fatal is not None and fatal.n_ctx == 512


async def test_a_load_that_fails_leaves_what_was_loaded(session: Session) -> None:
    session.engine.held.add(Load)
    before = session.controller.model.choice
    session.controller.load(session.request(n_ctx=512))
    await session.engine.asked(Load)
    session.engine.fail("out_of_memory")
    await session.idle()
    assert [event.info.kind for event in session.heard(events.LoadFailed)] == ["out_of_memory"]
    assert session.controller.phase == "ready" and session.controller.model.choice == before

    session.controller.retry()
    assert (await session.engine.asked(Load)).settings.n_ctx == 512
    session.controller.interrupt()
    await session.idle()


async def test_of_two_loads_only_the_newest_is_carried_out(session: Session) -> None:
    session.controller.load(session.request(MOE))
    session.controller.load(session.request(DENSE, n_ctx=512))
    await session.idle()
    assert session.controller.model.path == DENSE
    assert [event.loaded.path for event in session.heard(events.ModelLoaded)] == [str(DENSE)]


async def test_a_file_that_is_not_there_is_told(session: Session, tmp_path: Path) -> None:
    session.controller.load(session.request(tmp_path / "gone.gguf"))
    await session.idle()
    failed = session.heard(events.LoadFailed)
    assert [(event.path.name, event.info.kind) for event in failed] == [("gone.gguf", "model_not_found")]


async def test_the_oldest_is_left_out_where_the_settings_say_so(start: Callable[..., Any]) -> None:
    session: Session = await start(Settings(chat=ChatSettings(on_overflow="drop")))
    await session.load()
    assert (await session.ask("ping")).drop_oldest
    session.controller.interrupt()
    await session.idle()


async def test_what_is_prefilled_is_told_with_its_speed(session: Session) -> None:
    await session.ask("ping")
    session.engine.tell(Started(n_prompt=900, n_cached=0, n_dropped=0, n_ctx=4096))
    session.engine.tell(Prefill(done=512, total=900, tps=100.0, eta_s=3.9))
    await until(lambda: session.heard(events.PromptAdvanced))
    assert session.controller.speed.now.prefill_tps == 100.0
    session.engine.finish()
    await session.idle()
    assert session.controller.speed.now.prefill is None


async def test_after_the_end_nothing_is_told(session: Session) -> None:
    await session.ask("ping")
    session.engine.begin()
    await until(lambda: session.heard(events.PromptAdvanced))
    session.told.clear()
    await session.controller.close()
    assert session.told == [] and session.turns[-1].stop in ("cancelled", "crashed")
