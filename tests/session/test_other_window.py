"""What another window does to the open conversation is loaded, shown and said, and never overwritten."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conftest import until
from tests.session.conftest import Session
from tui.chat.conversation import user_turn
from tui.chat.store import Store
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


async def test_what_it_writes_is_shown(session: Session, other: Store) -> None:
    await session.answered("ping")
    await other.append_turn(session.controller.conversation.id, user_turn("from elsewhere"))
    await until(lambda: session.heard(events.OtherWindowWrote))
    assert [turn.text for turn in session.turns] == ["ping", "pong", "from elsewhere"]
    changed = session.heard(events.ConversationChanged)[-1]
    assert (changed.n_same, len(changed.before), changed.now.turns) == (2, 2, session.turns)
    assert session.heard(events.OtherWindowWrote) == [events.OtherWindowWrote(has_turns=True)]


async def test_another_name_is_said_and_no_turn_is_drawn_again(session: Session, other: Store) -> None:
    await session.answered("ping")
    await other.rename(session.controller.conversation.id, "Another name")
    await until(lambda: session.heard(events.OtherWindowWrote))
    assert session.controller.conversation.title == "Another name"
    assert session.heard(events.OtherWindowWrote) == [events.OtherWindowWrote(has_turns=False)]
    assert session.heard(events.ConversationChanged)[-1].n_same == len(session.turns)


async def test_while_an_answer_is_written_it_waits_and_that_is_said_once(session: Session, other: Store) -> None:
    await session.answered("ping")
    await session.ask("again")
    session.engine.begin()
    session.engine.say("an")
    await until(lambda: session.heard(events.AnswerGrew)[1:])
    await session.controller.store.flush()
    await other.append_turn(session.controller.conversation.id, user_turn("from elsewhere"))
    await until(lambda: session.heard(events.OtherWindowWrites))
    assert not session.heard(events.OtherWindowWrote)
    session.engine.say("swer")
    session.engine.finish()
    await until(lambda: session.heard(events.OtherWindowWrote))
    assert len(session.heard(events.OtherWindowWrites)) == 1
    assert {turn.text for turn in session.turns} == {"ping", "pong", "again", "answer", "from elsewhere"}


async def test_a_conversation_that_it_deletes_goes_on_as_a_new_one(session: Session, other: Store) -> None:
    await session.answered("ping")
    old = session.controller.conversation
    await other.delete(old.id)
    await until(lambda: session.heard(events.ConversationGone))
    now = session.controller.conversation
    assert now.id != old.id and [turn.text for turn in now.turns] == ["ping", "pong"]
    assert session.heard(events.ConversationReplaced) == [events.ConversationReplaced(before=old.turns, now=now)]
    assert session.heard(events.ConversationGone) == [events.ConversationGone(is_saved=False, is_other_database=False)]
    await session.answered("and now")
    assert [turn.text for turn in (await other.open(now.id)).turns] == ["ping", "pong", "and now", "pong"]


async def test_nothing_is_replaced_that_it_has_written_after(session: Session, other: Store) -> None:
    await session.answered("ping")
    answer = session.turns[-1]
    await other.append_turn(session.controller.conversation.id, user_turn("from elsewhere"))
    # At once, before this window can have noticed.
    session.controller.replacing.cut(answer.id)
    session.controller.answer()
    await until(lambda: session.heard(events.ReplaceConflict))
    await session.idle()
    assert [turn.text for turn in session.turns] == ["ping", "pong", "from elsewhere"]
    assert len(session.engine.sent(Generate)) == 1
