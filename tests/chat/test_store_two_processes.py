# ruff: noqa: ASYNC110 - conditions in other processes can only be polled, and blocking hurts nobody here
"""The conversations' database when several processes use it: what others see, what is left of one that is killed,
locks."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chat.stored import done, question, until
from tui.chat import conversation as chat
from tui.chat.schema import connect
from tui.chat.store import Store, StoreError

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
