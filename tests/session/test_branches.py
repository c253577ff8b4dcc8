"""The branches of the open conversation: walking them, deleting a message, an answer in other words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import until
from tests.session.conftest import Session
from tui.chat.conversation import user_turn
from tui.chat.store import Store, StoreError
from tui.chat.tree import forks
from tui.config import paths
from tui.protocol.messages import Generate
from tui.session import events


@pytest_asyncio.fixture
async def other() -> AsyncIterator[Store]:
    """The store of another window."""
    store = Store(paths.database_file())
    await store.start()
    yield store
    await store.close()


def texts(session: Session) -> list[str]:
    return [turn.text for turn in session.turns]


async def answered_again(session: Session, text: str) -> None:
    """Another answer to the last prompt."""
    session.controller.replacing.cut(session.turns[-1].id)
    session.controller.answer()
    await session.engine.asked(Generate)
    session.engine.begin()
    session.engine.say(text)
    session.engine.finish()
    await session.idle()


async def test_another_answer_is_a_sibling_and_each_is_shown_with_what_came_after_it(session: Session) -> None:
    await session.answered("ping", "one")
    await session.answered("go on", "more")
    first = session.turns[1]
    session.controller.replacing.cut(first.id)
    session.controller.answer()
    await session.engine.asked(Generate)
    session.engine.begin()
    session.engine.say("two")
    session.engine.finish()
    await session.idle()
    assert texts(session) == ["ping", "two"] and session.controller.siblings(session.turns[1].id)[0] == first.id
    assert await session.controller.step_branch(session.turns[1].id, -1)
    assert texts(session) == ["ping", "one", "go on", "more"]
    changed = session.heard(events.ConversationChanged)[-1]
    assert (changed.n_same, changed.focus) == (1, first.id)
    assert await session.controller.step_branch(first.id, 1) and texts(session) == ["ping", "two"]
    assert not await session.controller.step_branch(session.turns[0].id, 1)


async def test_a_prompt_that_is_sent_while_a_branch_is_being_opened_goes_behind_it(session: Session) -> None:
    await session.answered("ping", "one")
    await answered_again(session, "two")
    walking = asyncio.create_task(session.controller.step_branch(session.turns[-1].id, 1))
    await asyncio.sleep(0)
    session.controller.queue.send("and then")
    assert session.controller.queue.texts == ("and then",)
    assert await walking
    asked = await session.engine.asked(Generate)
    assert [message.content for message in asked.messages] == ["ping", "one", "and then"]
    session.engine.begin()
    session.engine.finish()
    await session.idle()


async def test_nothing_is_changed_while_an_answer_is_written(session: Session) -> None:
    await session.answered("ping", "one")
    await answered_again(session, "two")
    await session.ask("again")
    session.engine.begin()
    session.engine.say("an")
    await until(lambda: session.heard(events.AnswerGrew)[-1].delta.text == "an")
    now = session.turns
    assert not await session.controller.step_branch(now[1].id, 1)
    assert not await session.controller.remove_turn(now[0].id)
    assert not await session.controller.edit_answer(now[1].id, "other")
    assert session.turns == now
    session.engine.finish()
    await session.idle()
    assert await session.controller.step_branch(session.turns[1].id, 1)


async def test_what_another_window_wrote_meanwhile_is_shown_and_not_walked_away_from(
    session: Session, other: Store
) -> None:
    await session.answered("ping", "one")
    await answered_again(session, "two")
    await other.append_turn(session.controller.conversation.id, user_turn("from elsewhere"))
    with pytest.raises(StoreError) as caught:
        await session.controller.step_branch(session.turns[1].id, 1)
    assert caught.value.kind == "changed"
    await until(lambda: texts(session) == ["ping", "two", "from elsewhere"])


async def test_a_sibling_that_another_window_adds_is_counted_here(session: Session, other: Store) -> None:
    await session.answered("ping", "one")
    conversation = session.controller.conversation
    await other.supersede(conversation.id, [conversation.turns[1].id])
    await other.append_turn(conversation.id, conversation.turns[0].__class__(
        id="two", role="assistant", text="two", created_at=1.0, stop="stop"
    ))  # fmt: skip
    await until(lambda: texts(session) == ["ping", "two"])
    assert forks(session.controller.conversation.places) == {"two": (2, 2)}


async def test_a_message_is_deleted_here_and_in_the_store(session: Session) -> None:
    await session.answered("ping", "one")
    await session.answered("go on", "more")
    await session.controller.remove_turn(session.turns[1].id)
    assert texts(session) == ["ping", "go on", "more"]
    stored = await session.controller.store.open(session.controller.conversation.id)
    assert stored.turns == session.turns
    asked = await session.ask("next")
    assert [message.content for message in asked.messages] == ["ping\n\ngo on", "more", "next"]
    session.engine.begin()
    session.engine.finish()
    await session.idle()


async def test_an_answer_in_other_words_is_a_sibling_that_says_so(session: Session) -> None:
    await session.answered("ping", "one")
    first = session.turns[1]
    assert await session.controller.edit_answer(first.id, "one, two")
    edited = session.turns[1]
    assert (edited.text, edited.model, edited.timings) == ("one, two", first.model, first.timings)
    assert edited.edited_at and not first.edited_at
    assert session.controller.siblings(edited.id) == (first.id, edited.id)
    stored = await session.controller.store.open(session.controller.conversation.id)
    assert stored.turns == session.turns and forks(stored.places) == {edited.id: (2, 2)}
    asked = await session.ask("next")
    assert [message.content for message in asked.messages] == ["ping", "one, two", "next"]
    session.engine.begin()
    session.engine.finish()
    await session.idle()


async def test_a_new_conversation_begins_as_the_old_one_does(session: Session) -> None:
    await session.answered("ping", "one")
    await session.answered("go on", "more")
    session.controller.configure(system_prompt="Be brief.")
    old = session.controller.conversation
    await session.controller.branch_off(old.turns[1].id)
    assert texts(session) == ["ping", "one"]
    assert session.controller.conversation.system_prompt == "Be brief."
    assert {turn.id for turn in session.turns}.isdisjoint(turn.id for turn in old.turns)
    assert (await session.controller.store.open(old.id)).turns == old.turns
