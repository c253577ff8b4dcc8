"""What others do to the conversations' database while it is open: they write in the same conversation, delete it, or
delete, replace or damage the file."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import until
from tui.chat import conversation as chat
from tui.chat import store as store_module
from tui.chat.conversation import Conversation
from tui.chat.store import Store, StoreError


class Window:
    """A store, and what it has told."""

    def __init__(self, path: Path) -> None:
        self.told: list[StoreError | None] = []
        self.changes: list[bool] = []
        self.store = Store(path, self.told.append)
        self.store.on_change = self.changes.append


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "llmtui" / "conversations.db"


@pytest.fixture
async def window(path: Path) -> AsyncIterator[Window]:
    window = Window(path)
    await window.store.start()
    yield window
    await window.store.close()


@pytest.fixture
async def other(window: Window) -> AsyncIterator[Window]:
    """A window on the same database."""
    other = Window(window.store.path)
    await other.store.start()
    yield other
    await other.store.close()


async def shown(window: Window, *texts: str) -> Conversation:
    """A conversation that is saved and watched."""
    conversation = chat.new_conversation()
    for text in texts:
        conversation = chat.with_turn(conversation, chat.user_turn(text))
    await window.store.create(conversation)
    window.store.watch(conversation.id)
    await window.store.settled()
    return conversation


async def texts_in(path: Path) -> set[str]:
    """What a new start finds."""
    store = Store(path)
    found = {turn.text for one in await store.list() for turn in (await store.open(one.id)).turns}
    await store.close()
    return found


@pytest.mark.parametrize("how", ["say", "replace", "rename", "delete"])
async def test_what_another_window_does_to_the_conversation_is_noticed(window: Window, other: Window, how: str) -> None:
    conversation = await shown(window, "one")
    await {
        "say": lambda: other.store.append_turn(conversation.id, chat.user_turn("two")),
        "replace": lambda: other.store.supersede(conversation.id, [conversation.turns[0].id]),
        "rename": lambda: other.store.rename(conversation.id, "another name"),
        "delete": lambda: other.store.delete(conversation.id),
    }[how]()
    await until(lambda: window.changes == [False])


async def test_what_happens_in_other_conversations_and_what_is_done_here_is_no_news(
    window: Window, other: Window
) -> None:
    conversation = await shown(window, "one")
    await other.store.create(chat.with_turn(chat.new_conversation(), chat.user_turn("elsewhere")))
    await window.store.append_turn(conversation.id, chat.user_turn("two"))
    await window.store.rename(conversation.id, "mine")
    await other.store.append_turn(conversation.id, chat.user_turn("three"))
    await until(lambda: window.changes)
    assert window.changes == [False]


async def test_nothing_is_replaced_that_whoever_asks_has_not_seen(window: Window, other: Window) -> None:
    conversation = await shown(window, "one", "two")
    await other.store.append_turn(conversation.id, chat.user_turn("three"))
    with pytest.raises(StoreError) as caught:
        await window.store.supersede(conversation.id, [conversation.turns[1].id])
    assert caught.value.kind == "changed" and window.changes == [False] and window.told == []
    assert [turn.text for turn in (await window.store.open(conversation.id)).turns] == ["one", "two", "three"]


async def test_an_answer_of_a_window_that_died_can_be_ended_by_another(window: Window, path: Path) -> None:
    conversation = await shown(window, "one")
    turn = chat.answer_turn("M")
    with closing(sqlite3.connect(path)) as dead:
        dead.execute(
            "INSERT INTO turns(id, conversation_id, role, text, reasoning, reasoning_s, n_reasoning, model, backend,"
            " created_at, writer) VALUES (?, ?, 'assistant', 'half', '', 0, 0, 'M', '[]', 1, 'nobody')",
            (turn.id, conversation.id),
        )
        dead.commit()
    assert (await window.store.open(conversation.id)).turns[-1].is_streaming
    await window.store.close_dead()
    ended = (await window.store.open(conversation.id)).turns[-1]
    assert (ended.text, ended.stop) == ("half", "crashed")


def without_files(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


def without_journal(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


LOSSES: dict[str, Callable[[Path], object]] = {
    "file": Path.unlink,
    "file and journal": without_files,
    "folder": lambda path: shutil.rmtree(path.parent),
    "journal": without_journal,
}


@pytest.mark.parametrize("what", LOSSES)
async def test_a_database_that_is_deleted_is_written_again_with_all_that_was_in_it(
    window: Window, path: Path, what: str
) -> None:
    conversation = await shown(window, "one")
    LOSSES[what](path)
    await until(lambda: window.told)
    await window.store.append_turn(conversation.id, chat.user_turn("two"))
    assert [error.kind for error in window.told if error] == ["rescued"] and True in window.changes
    assert await texts_in(path) == {"one", "two"}


async def test_of_two_windows_one_writes_a_deleted_database_again_and_both_go_on_with_it(
    window: Window, other: Window, path: Path
) -> None:
    conversation = await shown(window, "one")
    other.store.watch(conversation.id)
    path.unlink()
    await until(lambda: window.told and other.told)
    await window.store.append_turn(conversation.id, chat.user_turn("two"))
    await other.store.append_turn(conversation.id, chat.user_turn("three"))
    assert await texts_in(path) == {"one", "two", "three"}


async def test_a_database_that_is_replaced_is_used_and_the_old_one_kept_beside_it(window: Window, path: Path) -> None:
    await shown(window, "one")
    another = Store(path.with_name("another.db"))
    await another.create(chat.with_turn(chat.new_conversation(), chat.user_turn("of another")))
    await another.close()
    another.path.replace(path)
    await until(lambda: window.told)
    await window.store.create(chat.with_turn(chat.new_conversation(), chat.user_turn("after that")))
    assert window.told[0] and window.told[0].kind == "replaced"
    assert await texts_in(path) == {"of another", "after that"}
    assert await texts_in(window.told[0].path) == {"one"}


def overwrite(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 4096)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "header": lambda path: overwrite(path, 0),
    "middle": lambda path: overwrite(path, 4096),
    "emptied": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_database_that_is_damaged_is_noticed_set_aside_and_what_follows_saved(
    window: Window, path: Path, what: str
) -> None:
    await shown(window, "one")
    with closing(sqlite3.connect(path)) as checkpoint:  # else the journal holds all of it, and nothing is lost
        checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await asyncio.sleep(0)
    DAMAGE[what](path)
    await until(lambda: window.told)
    await window.store.create(chat.with_turn(chat.new_conversation(), chat.user_turn("after that")))
    assert window.told[0] and window.told[0].kind == "set_aside" and window.told[0].path.exists()
    assert "after that" in await texts_in(path)


async def test_texts_in_the_database_that_are_no_utf8_hide_nothing(window: Window, path: Path) -> None:
    conversation = await shown(window, "one")
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE conversations SET title = CAST(x'ff41' AS TEXT), updated_at = 9e99, created_at = -9e99")
        other.execute("UPDATE turns SET role = 'tool', backend = '{', speeds = 'x', created_at = 1.7e12")
        other.commit()
    (summary,) = await window.store.list()
    (turn,) = (await window.store.open(conversation.id)).turns
    assert (summary.title, summary.updated_at, summary.created_at) == ("\ufffdA", 0.0, 0.0)
    assert (turn.role, turn.text, turn.backend, turn.created_at) == ("user", "one", (), 1.7e9)


async def test_whatever_changes_the_list_is_news_here_and_in_other_windows(window: Window, other: Window) -> None:
    news: list[str] = []
    window.store.on_news = lambda: news.append("here")
    other.store.on_news = lambda: news.append("there")
    conversation = await shown(window, "one")
    await until(lambda: {"here", "there"} <= set(news))
    changes: tuple[Callable[[], asyncio.Future[None]], ...] = (
        lambda: window.store.append_turn(conversation.id, chat.user_turn("two")),
        lambda: window.store.rename(conversation.id, "another name"),
        lambda: window.store.delete(conversation.id),
    )
    for change in changes:
        news.clear()
        await change()
        await until(lambda: {"here", "there"} <= set(news))
    assert await other.store.list() == ()


async def test_while_nobody_looks_others_are_noticed_when_somebody_does(
    window: Window, other: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "UNSEEN_LOOK_S", 3600.0)
    conversation = await shown(window, "one")
    news: list[bool] = []
    window.store.look(False)
    await window.store.settled()
    window.store.on_news = lambda: news.append(True)
    await other.store.append_turn(conversation.id, chat.user_turn("two"))
    await other.store.flush()
    window.store.look(True)
    await until(lambda: news and window.changes)
