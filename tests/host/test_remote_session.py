"""A session in a host process, used from another one as screens use it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from random import Random

import msgspec
import psutil
import pytest

from tests.conftest import DENSE, until
from tests.counting import SCRIPT, counting
from tests.host.remote import Front, front
from tui.chat.store import StoreError
from tui.host import client
from tui.host.client import HostLine
from tui.host.meeting import meeting
from tui.protocol.messages import ListDevices
from tui.protocol.records import PartialSampling
from tui.session import events
from tui.session.prompt_queue import QueuedPrompt

LONG = {"n_ctx": 8192}


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, though whoever started it has not asked yet how."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a long answer, whose every part tells what is missing."""
    path = tmp_path_factory.mktemp("model") / "counting.gguf"
    counting(path)
    return path


async def test_a_model_is_loaded_and_answers_there_as_here() -> None:
    async with front(ends=True) as one:
        session = one.session
        assert session.phase == "no_model" and session.model.devices
        await one.load()
        assert session.engine.loaded is not None and session.engine.loaded.path == str(DENSE)
        assert session.model.info is not None and session.model.name
        assert session.model.choice.n_ctx == 1024
        answer = await one.ask("hello")
        assert answer.text and answer.text == one.text
        await until(lambda: session.can_answer and session.context.n_used > 0)
        assert [turn.text for turn in (await one.store.open(session.conversation.id)).turns] == ["hello", answer.text]
        assert (await session.engine.ask(ListDevices())).devices == session.model.devices
        assert (length := await session.length_of("one two three")) is not None and length.n_tokens > 2
        assert any("load" in line for line in await session.engine_log())
        # What is remembered of the model by the host is what this process would load it with next.
        await until(lambda: session.load_for(DENSE).n_ctx == 1024)
        await session.unload()
        await until(lambda: session.engine.loaded is None and session.phase == "no_model")


async def test_conversations_are_opened_changed_deleted_and_what_fails_is_raised_here() -> None:
    async with front(ends=True) as one:
        session = one.session
        await one.load()
        answer = await one.ask("hello")
        first = session.conversation.id
        session.answer(replaces=answer.id)
        await until(lambda: one.turns[-1].id != answer.id and session.can_answer)
        assert len(session.siblings(one.turns[-1].id)) == len(await session.nodes()) - 1 == 2
        assert await session.step_branch(one.turns[-1].id, 1)
        assert one.turns[-1].id == answer.id
        assert await session.edit_answer(answer.id, "In other words.")
        assert one.turns[-1].text == "In other words." and len(session.siblings(one.turns[-1].id)) == 3
        assert await session.remove_turn(one.turns[-1].id) and await session.show_branch(answer.id)
        session.configure(system_prompt="Be brief.", sampling=PartialSampling(temperature=0.25))
        session.configure(title="Another name")
        assert session.conversation.system_prompt == "Be brief."
        await session.new()
        assert not one.turns and session.conversation.id != first and session.conversation.system_prompt == ""
        await session.open(first)
        found = session.conversation
        assert (found.title, found.system_prompt, len(found.turns)) == ("Another name", "Be brief.", 2)
        assert found.sampling is not None and found.sampling.temperature == 0.25
        with pytest.raises(StoreError) as error:
            await session.open("nothing")
        assert error.value.kind == "not_found"
        await session.delete(first)
        assert not one.turns and not await one.store.list()


async def test_prompts_wait_for_a_load_that_is_prepared_and_can_be_taken_back() -> None:
    async with front(ends=True) as one:
        session, is_coming = one.session, True
        session.queue.is_load_coming = lambda: is_coming
        session.queue.send("hello")
        session.queue.send("and more")
        await until(lambda: session.queue.texts == ("hello", "and more"))
        one.begin_load()
        await until(lambda: session.phase == "ready")
        assert await session.take_back() == QueuedPrompt("and more")
        is_coming = False
        session.queue.send_next()
        await until(lambda: len(one.turns) == 2 and one.turns[-1].text)
        assert await session.take_back() is None


async def test_who_comes_back_after_a_kill_finds_the_whole_answer(counting_model: Path) -> None:
    async with front() as first:
        await first.load(counting_model, **LONG)
        first.session.queue.send("count")
        await until(lambda: first.text)
        first.session._line.close()  # nothing is said any more: it was killed
        first.cut()
        async with front(ends=True) as second:
            assert second.session.is_writing and second.session.engine.loaded is not None
            await until(lambda: second.session.can_answer)
            assert second.turns[-1].text == second.text == SCRIPT
            assert second.session.model.path == counting_model


async def test_a_line_that_breaks_at_any_moment_costs_nothing(counting_model: Path) -> None:
    chance = Random(7)
    async with front(ends=True) as one:
        await one.load(counting_model, **LONG)
        one.session.queue.send("count")
        await until(lambda: one.text)
        while one.session.is_writing:
            await asyncio.sleep(chance.uniform(0.01, 0.3))
            one.cut()
            one.session.configure(title=f"Cut {len(one.lines)} times")  # while there is no line
            assert await one.session.length_of("") is not None
        await until(lambda: one.session.can_answer)
        assert len(one.lines) > 5 and one.text == SCRIPT == one.turns[-1].text
        assert len(one.heard(events.AnswerBegan)) == len(one.heard(events.AnswerEnded)) == 1
        await one.session.settled()
        assert one.session.conversation.title == (await one.store.open(one.session.conversation.id)).title != ""


async def test_the_keys_are_with_who_came_or_acted_last_and_both_see_the_same() -> None:
    async with front() as one:
        await one.load()
        async with front(ends=True) as two:
            await until(lambda: not one.session.has_keys)
            assert two.session.has_keys and one.heard(events.KeysMoved)[-1] == events.KeysMoved(are_here=False)
            await one.ask("hello")
            await until(lambda: not two.session.has_keys)
            assert one.session.has_keys
            await until(lambda: two.text == one.text)
            assert [turn.text for turn in two.turns] == [turn.text for turn in one.turns]


async def test_a_host_that_is_killed_is_told_and_another_goes_on(counting_model: Path) -> None:
    async with front(ends=True) as one:
        session = one.session
        await one.load(counting_model, **LONG)
        session.queue.send("count")
        await until(lambda: len(one.text) > 200)
        engine = psutil.Process(session.engine.pid or 0)
        os.kill(one.lines[-1].pid, signal.SIGKILL)
        await until(lambda: one.heard(events.HostLost))
        assert session.phase == "dead" and not session.is_writing and session.engine.loaded is None
        assert one.turns[-1].stop == "crashed" and SCRIPT.startswith(one.turns[-1].text)
        await until(lambda: is_gone(engine))
        shown = one.turns[-1].text
        session.restart()
        await until(lambda: session.can_answer)
        assert session.model.path == counting_model and session.model.choice.n_ctx == 8192
        assert [turn.role for turn in one.turns] == ["user", "assistant"] and shown.startswith(one.turns[-1].text)
        session.answer(replaces=one.turns[-1].id)
        await until(lambda: one.turns[-1].text == SCRIPT)


async def test_a_host_that_ends_while_it_is_joined_is_followed_by_another() -> None:
    one = Front()
    n_reached = 0

    async def reach(*, is_made: bool) -> HostLine | None:
        nonlocal n_reached
        line = await client.reach(is_made=is_made)
        if line is not None and not n_reached:
            n_reached += 1
            os.kill(line.pid, signal.SIGTERM)
            while (place := meeting()) is not None:
                with place:
                    if not place.is_locked():
                        break
                await asyncio.sleep(0.01)
        return line

    one.session._line.reach = reach
    await one.session.connect()
    await one.session.start()
    assert one.session.phase == "no_model" and not one.heard(events.HostLost)
    one.session.leaves_running = False
    await one.session.close()


async def test_nothing_is_left_of_a_session_that_is_ended() -> None:
    async with front(ends=True) as one:
        await one.load()
        host = psutil.Process(one.lines[-1].pid)
        processes = [host, *host.children(recursive=True)]
        assert len(processes) > 1
    place = meeting()
    assert place is not None
    with place:
        await until(lambda: not place.is_locked() and place.connected() is None)
    await until(lambda: all(map(is_gone, processes)))


async def test_a_screen_that_goes_leaves_what_runs_and_one_that_stays_keeps_the_session() -> None:
    one = Front()
    await one.session.connect()
    await one.session.start()
    await one.load()
    async with front(ends=True):  # its end is not that of the other one
        pass
    assert (await one.ask("hello")).text
    await one.session.close()
    async with front(ends=True) as again:
        assert again.session.engine.loaded is not None and len(again.turns) == 2


async def test_what_cannot_be_sent_is_told_as_a_load_that_failed() -> None:
    async with front(ends=True) as one:
        one.begin_load(Path(os.fsdecode(b"/models/\xff.gguf")))
        assert one.heard(events.LoadFailed)[-1].info.kind == "model_unreadable"
        assert msgspec.structs.asdict(one.heard(events.LoadFailed)[-1].info)["detail"]


async def test_a_separate_session_has_its_own_conversation_and_finds_the_model_loaded() -> None:
    async with front() as one:
        await one.load()
        await one.ask("hello")
        async with front(ends=True, is_separate=True) as two:
            assert not two.turns and two.session.conversation.id != one.session.conversation.id
            await until(lambda: two.session.can_answer)
            assert two.session.engine.pid == one.session.engine.pid and two.session.model.path == DENSE
            two.session.queue.send("hello")
            one.session.queue.send("hello")
            await until(
                lambda: len(two.turns) == 2 and two.turns[-1].stop and len(one.turns) == 4 and one.turns[-1].stop
            )
            two.cut()  # it comes back to its own
            await two.session.settled()
            assert len(two.turns) == 2 and two.session.has_keys and one.session.has_keys
        # Who comes now takes up the one that nobody follows.
        await one.session.settled()
    async with front(ends=True) as again:
        assert len(again.turns) == 4
