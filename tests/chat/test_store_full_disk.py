"""The conversations' database where nothing can be written, or read, for a while."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chat.stored import done, filled, question, until
from tui.chat import conversation as chat
from tui.chat.schema import connect, opening
from tui.chat.store import Store, StoreError


@contextmanager
def files_cannot_grow_beyond(n_bytes: int) -> Iterator[None]:
    """The kernel refuses longer files to this process, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_when_the_disk_takes_no_more_a_streaming_answer_goes_on_and_is_saved_once_there_is_room(
    path: Path,
) -> None:
    told: list[StoreError | None] = []
    store = Store(path, told.append, retry_s=0.05)
    conversation, turn = question(), chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)
    long = "x" * 500_000

    with files_cannot_grow_beyond(path.with_name(path.name + "-wal").stat().st_size):
        store.update_stream(turn.id, long)
        await until(lambda: told != [])
        streaming = (await store.open(conversation.id)).turns[-1]
        with pytest.raises(StoreError):
            await store.finish_turn(done(turn, long + "!"))
        finished = (await store.open(conversation.id)).turns[-1]
    await until(lambda: store.n_unsaved == 0 and None in told)
    await store.close()

    assert (streaming.text, finished.text) == (long, long + "!")
    assert told[0] is not None and told[0].is_retried
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT text FROM turns WHERE id = ?", (turn.id,)).fetchone() == (long + "!",)


async def test_a_folder_that_cannot_be_made_is_told_and_used_as_soon_as_it_can(tmp_path: Path) -> None:
    told: list[StoreError | None] = []
    obstacle = tmp_path / "data"
    obstacle.write_text("in the way")
    store = Store(obstacle / "conversations.db", told.append, retry_s=0.02)
    conversation = question()

    with pytest.raises(StoreError) as caught:
        await store.start()
    with pytest.raises(StoreError):
        await store.create(conversation)
    in_memory = await store.list()
    obstacle.unlink()
    await until(lambda: None in told)
    await store.close()

    assert caught.value.kind == "unreachable"
    assert str(obstacle) in str(caught.value)
    assert [one.id for one in in_memory] == [conversation.id]
    reopened = Store(store.path)
    assert (await reopened.open(conversation.id)).turns == conversation.turns
    await reopened.close()


async def test_where_nothing_can_be_written_what_is_saved_is_read_all_the_same(path: Path) -> None:
    saved = await filled(path)
    lock = path.with_name(path.name + "-lock")
    lock.unlink()
    lock.mkdir()  # in the way, also for root
    store = Store(path)
    fresh = question("In memory")

    with pytest.raises(StoreError):
        await store.create(fresh)
    found, opened = {one.id for one in await store.list()}, await store.open(saved.id)
    with pytest.raises(StoreError):
        await store.close()

    assert found == {saved.id, fresh.id} and opened == saved
    assert store.unread is None


async def test_what_cannot_be_read_now_is_not_called_deleted(path: Path) -> None:
    saved = await filled(path)
    store = Store(path, busy_timeout_s=0.02, retry_s=0.02)
    fresh = question("In memory")

    with opening(path, 1.0):
        with pytest.raises(StoreError):
            await store.create(fresh)
        seen = [one.id for one in await store.list()]
        why = store.unread
        with pytest.raises(StoreError) as caught:
            await store.open(saved.id)
        in_memory = await store.open(fresh.id)
    await until(lambda: store.n_unsaved == 0)
    everything = {one.id for one in await store.list()}
    with pytest.raises(StoreError) as missing:
        await store.open("gone")
    await store.close()

    assert seen == [fresh.id] and in_memory.turns == fresh.turns
    assert why is not None and why.kind == caught.value.kind == "locked"
    assert everything == {saved.id, fresh.id} and store.unread is None
    assert missing.value.kind == "not_found"


async def test_closing_tells_what_could_not_be_saved(path: Path) -> None:
    store = Store(path, busy_timeout_s=0.01)
    await store.start()
    blocker = connect(path)
    blocker.execute("BEGIN IMMEDIATE")
    store.create(question())

    with pytest.raises(StoreError) as caught:
        await store.close()

    assert (caught.value.kind, caught.value.n_unsaved) == ("locked", 1)
    blocker.close()
