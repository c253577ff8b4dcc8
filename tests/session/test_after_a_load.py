"""What is asked for just after a load, while the conversation is still counted or the device is warmed up, is done."""

from __future__ import annotations

from tests.conftest import until
from tests.session.conftest import Session
from tui.protocol.messages import Count, Counted, Generate, Hello, Load, WarmUp
from tui.protocol.records import Device
from tui.session import events

GPU = Device(name="Vulkan0", description="a scripted GPU", kind="gpu", total_bytes=8 << 30, free_bytes=8 << 30)


async def being_counted(session: Session) -> None:
    """A conversation with an answer, whose model was loaded again and that is being counted."""
    await session.answered("ping")
    session.told.clear()
    session.engine.held.add(Count)
    session.controller.load(session.request(n_ctx=1024))
    await session.engine.asked(Count)
    assert session.controller.phase == "ready" and session.is_busy


def answer_again(session: Session) -> None:
    """As the key for it does."""
    assert session.controller.can_answer
    session.controller.replacing.cut(session.turns[-1].id)
    session.controller.answer()


async def end_of_count(session: Session) -> None:
    session.engine.held.remove(Count)
    session.engine.tell(Counted(n_tokens=20, n_ctx=1024))


async def test_an_answer_that_is_asked_for_while_the_conversation_is_counted_comes_after_that(session: Session) -> None:
    await being_counted(session)
    answer_again(session)
    assert session.is_answering and not session.controller.can_answer
    await end_of_count(session)
    await session.engine.asked(Generate)
    session.engine.begin()
    session.engine.say("again")
    session.engine.finish()
    await session.idle()
    assert [turn.text for turn in session.turns] == ["ping", "again"] and session.controller.phase == "ready"
    assert not session.heard(events.AnswerRefused)


async def test_it_can_be_stopped_before_it_has_begun_and_what_it_was_to_replace_is_back(session: Session) -> None:
    await being_counted(session)
    answer_again(session)
    session.controller.interrupt()
    await end_of_count(session)
    await session.idle()
    assert [turn.text for turn in session.turns] == ["ping", "pong"] and session.controller.phase == "ready"


async def test_a_load_takes_its_place_and_what_it_was_to_replace_is_back(session: Session) -> None:
    await being_counted(session)
    answer_again(session)
    session.controller.load(session.request(n_ctx=2048))
    assert not session.controller.can_answer
    await end_of_count(session)
    await session.idle()
    assert [turn.text for turn in session.turns] == ["ping", "pong"] and session.controller.phase == "ready"
    assert len(session.heard(events.AnswerRefused)) == 1 and len(session.engine.sent(Generate)) == 1
    assert session.controller.can_answer


async def test_no_answer_comes_between_what_was_begun_and_its_turn(session: Session) -> None:
    await session.answered("ping")
    session.controller.load(session.request(n_ctx=1024))
    assert session.controller.phase == "ready" and not session.controller.can_answer
    await until(lambda: session.controller.can_answer)
    assert len(session.engine.sent(Load)) == 2


async def test_an_answer_that_comes_with_a_load_lets_no_other_in_between(session: Session) -> None:
    await being_counted(session)
    await end_of_count(session)
    await session.idle()
    session.engine.held.add(Count)
    session.controller.replacing.cut(session.turns[-1].id)
    session.controller.load(session.request(n_ctx=2048), then_answer=True)
    await session.engine.asked(Count)
    assert session.controller.phase == "ready" and not session.controller.can_answer
    await end_of_count(session)
    await session.engine.asked(Generate)


async def test_a_death_while_an_answer_waits_is_told_once_and_the_next_one_can_be_asked_for(session: Session) -> None:
    await being_counted(session)
    answer_again(session)
    session.engine.held.remove(Count)
    session.engine.die()
    await until(lambda: session.controller.phase == "dead" and not session.is_busy)
    assert len(session.heard(events.EngineLost)) == 1
    session.controller.restart()
    await until(lambda: session.controller.can_answer)
    answer_again(session)
    await session.engine.asked(Generate)


async def test_a_device_that_is_being_warmed_up_is_left_alone_when_an_answer_is_wanted(session: Session) -> None:
    await session.answered("ping")
    session.engine._hello = Hello(pid=0, llama_cpp="scripted", devices=(GPU,))
    session.engine.facts = {"devices": ("Vulkan0",), "n_drafts": 1}
    session.engine.held.add(WarmUp)
    session.controller.configure(system_prompt="Be brief.")  # counted by itself, after the device was asked for
    session.controller.restart()
    await until(lambda: session.engine.n_starts == 2)
    await session.engine.asked(WarmUp)
    answer_again(session)
    await session.engine.asked(Generate)
