"""The conversations' database when it is damaged, or of an older or newer llmtui."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.chat.stored import done, filled, question
from tui.chat import conversation as chat
from tui.chat.schema import MIGRATIONS, SCHEMA_VERSION, connect, migrate
from tui.chat.store import Store, StoreError
from tui.protocol.records import PartialSampling


@pytest.mark.parametrize("at", ["header", "middle", "everything"])
async def test_a_damaged_database_is_kept_aside_and_reported(path: Path, at: str) -> None:
    await filled(path)
    good = path.read_bytes()
    assert len(good) > 50_000
    damaged = {
        "header": os.urandom(200) + good[200:],
        "middle": good[:4096] + os.urandom(20_000) + good[24_096:],
        "everything": b"not a database at all" * 500,
    }[at]
    path.write_bytes(damaged)
    told: list[StoreError | None] = []

    store = Store(path, told.append)
    opened = await store.start()
    await store.create(question())
    titles = [one.title for one in await store.list()]
    await store.close()

    assert opened.set_aside is not None and opened.damage
    assert opened.set_aside.name.startswith("conversations.db.corrupt-")
    assert opened.set_aside.read_bytes()[:200] == damaged[:200]
    assert titles == ["Why is the sky blue?"]
    assert [error.kind for error in told if error] == ["set_aside"]
    assert str(opened.set_aside) in str(told[0])


async def test_a_database_of_a_newer_llmtui_is_left_alone_and_the_chat_goes_on_in_memory(path: Path) -> None:
    await filled(path)
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    store = Store(path)

    with pytest.raises(StoreError) as caught:
        await store.start()
    with pytest.raises(StoreError):
        await store.create(question("In memory"))
    titles = [one.title for one in await store.list()]
    unread = store.unread
    with pytest.raises(StoreError):
        await store.close()

    assert caught.value.kind == "newer_schema"
    assert unread is not None and unread.kind == "newer_schema"
    assert "update llmtui" in str(caught.value)
    assert titles == ["In memory"]
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM conversations").fetchone() == (1,)


async def test_a_newer_llmtui_beside_this_one_ends_nothing_when_a_write_has_to_wait(path: Path) -> None:
    store = Store(path, busy_timeout_s=0.05, retry_s=0.05)
    await store.start()
    await store.create(question("Saved"))
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        newer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.create(question("Waits"))
        assert {one.title for one in await store.list()} == {"Saved", "Waits"}
        newer.execute("ROLLBACK")
    assert {one.title for one in await store.list()} == {"Saved", "Waits"}
    await store.close()


async def test_an_older_schema_is_brought_up_to_date_with_its_rows_or_not_at_all(path: Path) -> None:
    await filled(path)
    connection = connect(path)
    extra = ("ALTER TABLE conversations ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",)

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, (*MIGRATIONS, (*extra, "NOT SQL")))
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    migrate(connection, path, (*MIGRATIONS, extra))

    assert connection.execute("SELECT pinned FROM conversations").fetchall() == [(0,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
    connection.close()


async def test_conversations_of_the_first_schema_are_read_and_go_on(path: Path) -> None:
    path.parent.mkdir()
    connection = connect(path)
    migrate(connection, path, MIGRATIONS[:1])
    connection.execute("INSERT INTO conversations VALUES ('c', 'Old', '', 1, NULL, '', 1.0, 1.0)")
    connection.execute(
        "INSERT INTO turns VALUES (1, 't', 'c', NULL, 'assistant', 'Hello', '', 0.0, 0, NULL, 'stop', '', '[]', NULL,"
        " 1.0, NULL, NULL)"
    )
    connection.close()
    store = Store(path)
    await store.start()
    swapped = chat.answer_turn("Qwen3")
    await store.append_turn("c", swapped)
    await store.finish_turn(msgspec.structs.replace(done(swapped, "Hi"), swapped_bytes=120 << 20))
    old, new = (await store.open("c")).turns
    await store.close()

    assert (old.text, old.swapped_bytes, old.is_loop, old.is_thought_cut) == ("Hello", 0, False, False)
    assert not old.is_incomplete
    assert (new.text, new.swapped_bytes) == ("Hi", 120 << 20)


async def test_settings_that_this_version_does_not_know_do_not_hide_a_conversation(store: Store, path: Path) -> None:
    conversation = question(sampling=PartialSampling(top_k=7))
    await store.create(conversation)
    with sqlite3.connect(path) as other:
        other.execute("""UPDATE conversations SET sampling = '{"top_k": 9, "mirostat": 2, "top_p": "high"}'""")

    assert (await store.open(conversation.id)).sampling == PartialSampling(top_k=9)
