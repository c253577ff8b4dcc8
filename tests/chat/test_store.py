# ruff: noqa: ASYNC110 - conditions in other processes can only be polled, and blocking hurts nobody here
"""The conversations' database: what is saved, when, and what survives crashes, full disks, locks and damage."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from tui.chat import conversation as chat
from tui.chat.conversation import Conversation, Turn
from tui.chat.schema import MIGRATIONS, SCHEMA_VERSION, connect, migrate, opening
from tui.chat.store import Store, StoreError
from tui.protocol.records import PartialSampling, Timings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "conversations.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = Store(path)
    await store.start()
    yield store
    await store.close()


def question(text: str = "Why is the sky blue?", **settings: object) -> Conversation:
    return chat.with_turn(chat.new_conversation(**settings), chat.user_turn(text))  # type: ignore[arg-type]


def done(turn: Turn, text: str, stop: chat.TurnStop = "stop") -> Turn:
    return chat.finished(turn, text=text, stop=stop, timings=Timings(n_decode=3, decode_s=0.5, n_thinking=1))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def test_a_conversation_reads_back_as_it_was_saved(store: Store) -> None:
    conversation = question(
        system_prompt="Be kind.", thinking=False, effort="high", sampling=PartialSampling(temperature=0.6)
    )
    conversation = msgspec.structs.replace(
        conversation, max_tokens=0, thinking_budget=64, model_path="/models/qwen.gguf"
    )
    answer = chat.finished(
        chat.answer_turn("Qwen3", ["CPU", "Vulkan0"]),
        text="Rayleigh 散射 👩‍👩‍👧",
        reasoning="Hm.",
        stop="length",
        timings=Timings(n_decode=12, decode_s=0.4, n_thinking=2, thinking_s=0.1),
        is_loop=True,
        is_thought_cut=True,
    )
    conversation = msgspec.structs.replace(chat.with_turn(conversation, answer), updated_at=answer.created_at)

    await store.create(conversation)

    assert await store.open(conversation.id) == conversation


async def test_the_list_has_the_conversation_used_last_first(store: Store) -> None:
    first, second = question("First"), question("Second")
    await store.create(first)
    await store.create(second)
    await store.append_turn(first.id, chat.user_turn("More"))

    assert [(one.title, one.n_turns) for one in await store.list()] == [("First", 2), ("Second", 1)]


async def test_search_finds_titles_by_all_words_in_any_case(store: Store) -> None:
    for title in ("Straße und Haus", "Why is the sky blue?", "blue 100% house"):
        await store.create(question(title))

    assert [one.title for one in await store.search("BLUE sky")] == ["Why is the sky blue?"]
    assert [one.title for one in await store.search("STRASSE")] == ["Straße und Haus"]
    assert [one.title for one in await store.search("100%")] == ["blue 100% house"]
    assert len(await store.search("  ")) == 3


async def test_renaming_and_configuring_change_what_they_name(store: Store) -> None:
    conversation = question()
    await store.create(conversation)
    await store.rename(conversation.id, "Sky")
    changed = msgspec.structs.replace(conversation, thinking=False, sampling=PartialSampling(top_k=7), max_tokens=40)
    changed = msgspec.structs.replace(changed, effort="low", thinking_budget=9)
    await store.configure(changed)

    saved = await store.open(conversation.id)

    assert (saved.title, saved.thinking, saved.sampling) == ("Sky", False, PartialSampling(top_k=7))
    assert (conversation.max_tokens, saved.max_tokens) == (None, 40)
    assert (saved.effort, saved.thinking_budget) == ("low", 9)
    assert saved.turns == conversation.turns


async def test_deleting_a_conversation_leaves_nothing_of_it(store: Store, path: Path) -> None:
    conversation = question()
    await store.create(conversation)
    turn = chat.answer_turn("Qwen3")
    store.append_turn(conversation.id, turn)
    store.update_stream(turn.id, "Ray")
    await store.open(conversation.id)

    await store.delete(conversation.id)

    with pytest.raises(StoreError) as caught:
        await store.open(conversation.id)
    assert caught.value.kind == "not_found"
    with sqlite3.connect(path) as other:
        assert [other.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("turns", "chunks")] == [0, 0]


async def test_a_streaming_answer_is_read_with_the_text_so_far_and_ends_as_finished(store: Store, path: Path) -> None:
    conversation = question()
    turn = chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)

    store.update_stream(turn.id, "", "Hm")
    store.update_stream(turn.id, "Ray", "Hm.")
    streaming = (await store.open(conversation.id)).turns[-1]
    store.update_stream(turn.id, "Rayleigh", "Hm.")
    longer = (await store.open(conversation.id)).turns[-1]
    await store.finish_turn(done(turn, "Rayleigh."))
    store.update_stream(turn.id, "late")
    last = (await store.open(conversation.id)).turns[-1]

    assert (streaming.text, streaming.reasoning, streaming.is_streaming) == ("Ray", "Hm.", True)
    assert (longer.text, longer.reasoning) == ("Rayleigh", "Hm.")
    assert last == done(turn, "Rayleigh.")
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM chunks").fetchone() == (0,)


async def test_only_the_new_part_of_a_streaming_answer_is_written(store: Store, path: Path) -> None:
    conversation = question()
    turn = chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)

    for n_parts in range(1, 40):
        store.update_stream(turn.id, "0123456789" * n_parts)
        await store.list()

    with sqlite3.connect(path) as other:
        assert other.execute("SELECT sum(length(text)), max(length(text)) FROM chunks").fetchone() == (390, 10)


async def test_an_answer_that_turns_out_to_be_a_thought_is_written_as_one(store: Store, path: Path) -> None:
    conversation = question()
    turn = chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)

    store.update_stream(turn.id, "Let me see.")
    assert (await store.open(conversation.id)).turns[-1].text == "Let me see."
    store.update_stream(turn.id, "", "Let me see.")
    store.update_stream(turn.id, "A longer answer than that was.", "Let me see.")
    read = (await store.open(conversation.id)).turns[-1]

    assert (read.text, read.reasoning) == ("A longer answer than that was.", "Let me see.")


async def test_streaming_updates_between_two_flushes_are_written_as_one(store: Store, path: Path) -> None:
    conversation = question()
    turn = chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)

    for n_chars in range(1, 2001):
        store.update_stream(turn.id, "x" * n_chars)
    await store.list()

    with sqlite3.connect(path) as other:
        n_chunks, n_chars = other.execute("SELECT count(*), sum(length(text)) FROM chunks").fetchone()
    assert n_chars == 2000
    assert n_chunks <= 5


async def test_replaced_turns_are_kept_and_listed(store: Store) -> None:
    conversation = question()
    first = chat.answer_turn("Qwen3")
    await store.create(conversation)
    store.append_turn(conversation.id, first)
    store.finish_turn(done(first, "One"))
    second = done(chat.answer_turn("Qwen3"), "Two")

    store.supersede(conversation.id, [first.id])
    store.append_turn(conversation.id, second)

    assert (await store.open(conversation.id)).turns == (*conversation.turns, second)
    assert [old.turn for old in await store.superseded(conversation.id)] == [done(first, "One")]


async def test_a_replaced_branch_can_be_brought_back_and_what_stood_there_is_kept(store: Store) -> None:
    turns = [chat.user_turn("q1"), done(chat.answer_turn("m"), "a1"), chat.user_turn("q2")]
    turns.append(done(chat.answer_turn("m"), "a2"))
    conversation = chat.new_conversation()
    await store.create(conversation)
    for turn in turns:
        store.append_turn(conversation.id, turn)
    store.supersede(conversation.id, [turn.id for turn in turns[2:]])
    edited = chat.user_turn("q2 edited")
    store.append_turn(conversation.id, edited)
    store.supersede(conversation.id, [turns[0].id, turns[1].id, edited.id])
    store.append_turn(conversation.id, chat.user_turn("q1 edited"))

    await store.bring_back(turns[2].id)

    assert (await store.open(conversation.id)).turns == tuple(turns)
    assert {old.turn.text for old in await store.superseded(conversation.id)} == {"q2 edited", "q1 edited"}


async def test_writing_to_what_another_llmtui_deleted_fails_and_does_not_hold_up_the_rest(path: Path) -> None:
    told: list[StoreError | None] = []
    store = Store(path, told.append)
    kept, gone = question("Kept"), question("Gone")
    await store.create(kept)

    with pytest.raises(StoreError) as caught:
        await store.append_turn(gone.id, chat.user_turn("More"))
    await store.append_turn(kept.id, chat.user_turn("More"))
    await store.close()

    assert caught.value.kind == "not_found"
    assert told == []


async def test_a_record_that_sqlite_cannot_hold_is_refused_and_the_store_goes_on(store: Store) -> None:
    conversation = question()
    await store.create(conversation)

    with pytest.raises(StoreError):
        await store.append_turn(conversation.id, msgspec.structs.replace(chat.user_turn("Big"), n_reasoning=2**70))
    await store.append_turn(conversation.id, msgspec.structs.replace(chat.user_turn(""), text="half a pair \ud83d"))

    assert (await store.open(conversation.id)).turns[-1].text == "half a pair ?"


async def test_a_cancelled_await_still_saves(store: Store) -> None:
    conversation = question()
    task = asyncio.ensure_future(store.create(conversation))
    task.cancel()

    assert (await store.open(conversation.id)).turns == conversation.turns


async def test_closing_writes_all_that_waits(path: Path) -> None:
    store = Store(path)
    conversation, turn = question(), chat.answer_turn("Qwen3")
    store.create(conversation)
    store.append_turn(conversation.id, turn)
    for n_chars in range(1, 100):
        store.update_stream(turn.id, "x" * n_chars)
    await store.close()

    with sqlite3.connect(path) as other:
        assert other.execute("SELECT sum(length(text)) FROM chunks").fetchone() == (99,)
    with pytest.raises(StoreError) as caught:
        store.list()
    assert caught.value.kind == "closed"
    assert [file.name for file in path.parent.glob("*-writer-*")] == []


CHILD = """
import asyncio, sys
from pathlib import Path
from tui.chat import conversation as chat
from tui.chat.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    await store.start()
    conversation = chat.with_turn(chat.new_conversation(), chat.user_turn("Count"))
    turn = chat.answer_turn("Qwen3")
    await store.create(conversation)
    await store.append_turn(conversation.id, turn)
    print(conversation.id, flush=True)
    text = ""
    for number in range(1_000_000):
        text += f"{number} "
        store.update_stream(turn.id, text, "Let me count.")
        await asyncio.sleep(0.02)

asyncio.run(main())
"""


@asynccontextmanager
async def streaming_child(path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another llmtui that streams an answer, and the id of its conversation."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, str(path), stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout is not None
        yield child, (await child.stdout.readline()).decode().strip()
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def test_another_llmtui_sees_a_streaming_answer_grow_and_after_kill_9_it_is_kept_as_crashed(path: Path) -> None:
    async with streaming_child(path) as (child, conversation_id):
        store = Store(path)
        opened = await store.start()
        while len((seen := (await store.open(conversation_id)).turns[-1]).text.split()) < 20:
            await asyncio.sleep(0.02)
        assert opened.n_crashed == 0
        assert seen.is_streaming
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await store.close()

    store = Store(path)
    opened = await store.start()
    question, answer = (await store.open(conversation_id)).turns
    await store.close()

    assert opened.n_crashed == 1
    assert question.text == "Count"
    assert answer.stop == "crashed"
    assert answer.error is not None
    assert answer.reasoning == "Let me count."
    numbers = answer.text.split()
    assert numbers == [str(number) for number in range(len(numbers))]
    assert len(numbers) >= len(seen.text.split())
    assert [file.name for file in path.parent.glob("*-writer-*")] == []


async def test_two_processes_write_the_same_database(path: Path) -> None:
    async with streaming_child(path) as (_, conversation_id):
        store = Store(path)
        for number in range(50):
            await store.create(question(f"Mine {number}"))
        assert len(await store.list()) == 51
        assert (await store.open(conversation_id)).turns[-1].is_streaming
        await store.close()


async def test_while_another_program_locks_the_database_nothing_is_lost_and_reads_see_it(path: Path) -> None:
    told: list[StoreError | None] = []
    store = Store(path, told.append, busy_timeout_s=0.05, retry_s=0.05)
    await store.start()
    blocker = connect(path)
    blocker.execute("BEGIN IMMEDIATE")
    conversation, turn = question(), chat.answer_turn("Qwen3")

    with pytest.raises(StoreError) as caught:
        await store.create(conversation)
    store.append_turn(conversation.id, turn)
    store.update_stream(turn.id, "Ray", "Hm")
    in_memory = await store.open(conversation.id)
    blocker.execute("COMMIT")
    await until(lambda: None in told)
    blocker.close()
    await store.finish_turn(done(turn, "Rayleigh"))
    await store.close()

    assert (caught.value.kind, caught.value.is_retried, caught.value.n_unsaved) == ("locked", True, 1)
    assert [turn.text for turn in in_memory.turns] == ["Why is the sky blue?", "Ray"]
    assert [error and error.kind for error in told] == ["locked", None]
    reopened = Store(path)
    assert [turn.text for turn in (await reopened.open(conversation.id)).turns] == ["Why is the sky blue?", "Rayleigh"]
    await reopened.close()


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


async def filled(path: Path) -> Conversation:
    store = Store(path)
    conversation = question("Long " * 20_000)
    await store.create(conversation)
    await store.close()
    return conversation


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
    assert (new.text, new.swapped_bytes) == ("Hi", 120 << 20)


async def test_settings_that_this_version_does_not_know_do_not_hide_a_conversation(store: Store, path: Path) -> None:
    conversation = question(sampling=PartialSampling(top_k=7))
    await store.create(conversation)
    with sqlite3.connect(path) as other:
        other.execute("""UPDATE conversations SET sampling = '{"top_k": 9, "mirostat": 2, "top_p": "high"}'""")

    assert (await store.open(conversation.id)).sampling == PartialSampling(top_k=9)


async def test_the_database_is_for_its_owner_only(store: Store, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


async def test_the_last_speed_is_that_of_the_same_model_and_backend(store: Store) -> None:
    assert await store.last_speed("Qwen3", "CPU") == 0
    for model, backend, n_decode, decode_s in (
        ("Qwen3", ("CPU",), 101, 10.0),
        ("Qwen3", ("CPU",), 201, 10.0),
        ("Qwen3", ("Vulkan0",), 301, 10.0),
        ("Qwen3", ("CPU", "Vulkan0"), 401, 10.0),
        ("Other", ("CPU",), 501, 10.0),
        ("Qwen3", ("CPU",), 3, 1.0),  # too short to tell
    ):
        conversation = question()
        timings = Timings(n_decode=n_decode, decode_s=decode_s)
        answer = chat.finished(chat.answer_turn(model, backend), text="Blue.", stop="stop", timings=timings)
        await store.create(chat.with_turn(conversation, answer))
    assert [await store.last_speed(*key) for key in (("Qwen3", "CPU"), ("Qwen3", "Vulkan0"), ("Other", "CPU"))] == [
        pytest.approx(20.0, rel=0.02),
        pytest.approx(30.0, rel=0.02),
        pytest.approx(50.0, rel=0.02),
    ]
