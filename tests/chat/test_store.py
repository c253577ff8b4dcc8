"""The conversations' database: what is saved, and when."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from tests.chat.stored import done, question
from tui.chat import conversation as chat
from tui.chat.store import Store, StoreError
from tui.protocol.records import AnswerFormat, PartialSampling, Timings


async def test_a_conversation_reads_back_as_it_was_saved(store: Store) -> None:
    conversation = question(
        system_prompt="Be kind.", thinking=False, effort="high", sampling=PartialSampling(temperature=0.6)
    )
    conversation = msgspec.structs.replace(
        conversation,
        max_tokens=0,
        thinking_budget=64,
        model_path="/models/qwen.gguf",
        answer_format=AnswerFormat(kind="gbnf", text='root ::= "é"'),
        preset="coder",
    )
    answer = chat.finished(
        chat.answer_turn("Qwen3", ["CPU", "Vulkan0"]),
        text="Rayleigh 散射 👩‍👩‍👧",
        reasoning="Hm.",
        stop="length",
        timings=Timings(n_decode=12, decode_s=0.4, n_thinking=2, thinking_s=0.1),
        is_loop=True,
        is_thought_cut=True,
        is_incomplete=True,
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
