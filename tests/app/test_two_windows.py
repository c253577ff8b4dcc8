"""Another window on the same conversation: what it writes, deletes or breaks is noticed, shown and said, and nothing is
lost."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.app.conftest import Person, StartApp
from tui.chat import conversation as chat
from tui.chat.store import Store
from tui.config import paths


@asynccontextmanager
async def another_window() -> AsyncIterator[Store]:
    store = Store(paths.database_file())
    await store.start()
    yield store
    await store.close()


async def saved(person: Person) -> list[list[str]]:
    async with another_window() as other:
        return [[turn.text for turn in (await other.open(one.id)).turns] for one in await other.list()]


async def answered_elsewhere(other: Store, conversation_id: str) -> chat.Turn:
    await other.append_turn(conversation_id, chat.user_turn("asked elsewhere"))
    answer = chat.answer_turn("Elsewhere")
    await other.append_turn(conversation_id, answer)
    return answer


def a_moment_before(other: Store, conversation_id: str) -> None:
    """Another window writes, and this one has had no time to notice it."""
    other.append_turn(conversation_id, chat.user_turn("a moment before"))
    at_once("SELECT 1 FROM turns WHERE text = 'a moment before'")


def deleted_a_moment_before(other: Store, conversation_id: str) -> None:
    other.delete(conversation_id)
    at_once("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM conversations)")


def at_once(happened: str) -> None:
    """Wait for what the thread of a store does, while the event loop stands still."""
    with closing(sqlite3.connect(paths.database_file())) as database:
        while not database.execute(happened).fetchone():
            time.sleep(0.005)


async def test_what_another_window_writes_is_shown_and_said_also_while_it_grows(start: StartApp) -> None:
    async with start() as person, another_window() as other:
        await person.ask("hello")
        answer = await answered_elsewhere(other, person.app.controller.conversation.id)
        await person.wait_for(lambda: "being written in another window" in person.screen_text())
        assert "Another window has changed this conversation" in person.told
        await person.press("f5")
        await person.wait_for(lambda: "Another window is writing an answer here" in person.told)
        await other.finish_turn(chat.finished(answer, text="the other answer", stop="stop"))
        await person.wait_for(lambda: "the other answer" in person.screen_text())
        assert [turn.text for turn in person.turns][2:] == ["asked elsewhere", "the other answer"]
        assert await person.ask("ping") and len(person.turns) == 6


async def test_an_answer_replaces_nothing_that_came_in_another_window_a_moment_before(start: StartApp) -> None:
    async with start() as person, another_window() as other:
        await person.ask("hello")
        before = [turn.text for turn in person.turns]
        a_moment_before(other, person.app.controller.conversation.id)
        person.app.main.messages.action_regenerate()
        await person.wait_for(lambda: "nothing was replaced" in person.told)
        assert [turn.text for turn in person.turns] == [*before, "a moment before"] == (await saved(person))[0]
        assert "a moment before" in person.screen_text()


@pytest.mark.parametrize("is_noticed", [True, False])
async def test_an_edited_prompt_is_there_to_be_sent_again_when_another_window_was_quicker(
    start: StartApp, is_noticed: bool
) -> None:
    async with start() as person, another_window() as other:
        await person.ask("hello")
        await person.press("f2")
        person.app.main.prompt.set_text("hello again")
        a_moment_before(other, person.app.controller.conversation.id)
        if is_noticed:  # and not read yet
            person.app.controller.store.on_change(False)
        person.app.controller.queue.send("hello again", person.turns[0].id)
        person.app.main.editing.leave()
        await person.wait_for(lambda: "nothing was replaced" in person.told)
        assert [turn.text for turn in person.turns][-1] == "a moment before"
        assert person.app.main.prompt.text == "hello again"


async def test_a_conversation_that_is_deleted_elsewhere_goes_on_as_a_new_one(start: StartApp) -> None:
    async with start() as person, another_window() as other:
        await person.ask("hello")
        await other.delete(person.app.controller.conversation.id)
        await person.wait_for(lambda: "deleted in another window" in person.told)
        assert await saved(person) == [] and "Hello! I am Tiny Qwen." in person.screen_text()
        await person.ask("ping")
        assert await saved(person) == [[turn.text for turn in person.turns]]
        assert [turn.text for turn in person.turns][::2] == ["hello", "ping"]
        assert "FOREIGN KEY" not in person.told


async def test_a_prompt_to_a_conversation_that_was_deleted_a_moment_before_is_saved_and_answered(
    start: StartApp,
) -> None:
    async with start() as person, another_window() as other:
        await person.ask("hello")
        deleted_a_moment_before(other, person.app.controller.conversation.id)
        person.app.controller.queue.send("ping")
        await person.wait_for(lambda: "What you see was saved again" in person.told)
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        assert (await saved(person))[0][-2:] == ["ping", "pong"]


def damage(what: str) -> None:
    """What a failing disk, or a program that takes the file for its own, does to the database."""
    with closing(sqlite3.connect(paths.database_file(), isolation_level=None)) as database:
        while True:  # until the journal is empty and nobody writes: what it has is read from there, and not missed
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("BEGIN IMMEDIATE")
            if paths.database_file().with_name("conversations.db-wal").stat().st_size == 0:
                break
            database.execute("ROLLBACK")
        _damage(paths.database_file(), what)


def _damage(file: Path, what: str) -> None:
    n_bytes = file.stat().st_size
    match what:
        case "gone":
            file.unlink()
        case "cut":
            os.truncate(file, n_bytes // 2)
        case _:
            start, end = {"header": (0, 100), "pages": (4096, n_bytes), "all": (0, n_bytes)}[what]
            with file.open("r+b") as stream:
                stream.seek(start)
                stream.write(b"\xa5" * (end - start))


@pytest.mark.parametrize("what", ["gone", "header", "pages", "all", "cut"])
async def test_a_database_that_is_damaged_under_an_answer_costs_nothing_that_is_seen(
    start: StartApp, what: str
) -> None:
    async with start() as person:
        await person.ask("hello")
        before = [turn.text for turn in person.turns]
        async with person.slowly():
            await person.send("ping")
            damage(what)
            await person.wait_for(lambda: "saved again" in person.told)
        await person.wait_for(lambda: person.phase == "ready" and person.turns[-1].stop)
        assert "Hello! I am Tiny Qwen." in person.screen_text() and "pong" in person.screen_text()
        assert [*before, "ping", "pong"] in await saved(person)


async def test_a_file_in_the_place_of_the_database_gets_the_conversation_that_is_open(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        replacement = Store(paths.database_file().with_name("other.db"))
        await replacement.start()
        await replacement.close()
        replacement.path.replace(paths.database_file())
        await person.wait_for(lambda: "as a new one" in person.told)
        assert await saved(person) == [[turn.text for turn in person.turns]] and len(person.turns) == 2
