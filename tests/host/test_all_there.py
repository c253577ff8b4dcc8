"""What the app can do, in a session in the background: continuing, branches, files, formats of answers, and what other
sessions do with the engine meanwhile."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import until
from tests.counting import counting
from tests.host.remote import Front, front
from tui.files.attachment import Attachment
from tui.protocol.records import AnswerFormat, PartialSampling
from tui.session import events


@pytest.fixture(scope="module")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that writes a long answer, whose every part tells what is missing."""
    path = tmp_path_factory.mktemp("model") / "counting.gguf"
    counting(path)
    return path


async def begun_and_stopped(one: Front, model: Path) -> str:
    """Load, and stop an answer in its midst; what there is of it."""
    await one.load(model, n_ctx=8192)
    one.session.queue.send("count")
    await until(lambda: len(one.text) > 100)
    one.session.interrupt()
    await until(lambda: one.turns[-1].stop == "cancelled" and one.session.can_answer)
    return one.turns[-1].text


async def test_an_answer_that_was_stopped_goes_on_where_it_was(counting_model: Path) -> None:
    async with front(ends=True) as one:
        before = await begun_and_stopped(one, counting_model)
        one.session.answer(goes_on=True)
        await until(lambda: one.turns[-1].stop not in (None, "cancelled"))
        whole = one.turns[-1].text
        assert whole.startswith(before) and len(whole) > len(before)
        assert (await one.store.open(one.session.conversation.id)).turns[-1].text == whole


async def test_of_an_answer_that_goes_on_nothing_is_missing_when_the_host_dies(counting_model: Path) -> None:
    async with front() as one:
        before = await begun_and_stopped(one, counting_model)
        pid = one.lines[-1].pid
        one.session.listen(
            lambda event: os.kill(pid, signal.SIGKILL) if isinstance(event, events.AnswerBegan) else None
        )
        one.session.answer(goes_on=True)
        await until(lambda: one.session.phase == "dead")
        assert one.turns[-1].text.startswith(before) and one.turns[-1].stop == "crashed"


async def test_a_model_that_another_session_frees_is_loaded_again_with_the_next_prompt() -> None:
    async with front(ends=True) as one, front(ends=True, is_separate=True) as two:
        await one.load()
        await one.ask("hello")
        await until(lambda: two.session.phase == "ready")
        await two.session.unload()
        await until(lambda: two.session.phase == "no_model")
        await until(lambda: one.session.phase == "no_model")
        answer = await one.ask("hello")
        assert answer.text


async def test_what_waits_for_a_load_that_never_comes_is_sent_when_its_screen_leaves() -> None:
    async with front(ends=True) as one:
        await one.load()
        async with front() as two:
            two.session.queue.is_load_coming = lambda: True
            two.session.queue.send("hello")
            await until(lambda: bool(one.session.queue.texts))
        await until(lambda: len(one.turns) == 2 and one.turns[-1].stop is not None)


async def test_large_files_go_along_and_come_back() -> None:
    async with front() as one:
        await one.load()
        big = "word " * (4 << 20)
        one.session.queue.send("hello", files=(Attachment(name="big.txt", text=big, path="/big.txt"),))
        await until(lambda: bool(one.turns))
        async with front(ends=True) as two:
            assert one.turns[0].files[0].text == two.turns[0].files[0].text == big
            assert len(one.lines) == len(two.lines) == 1


async def test_branches_grow_are_shown_changed_and_deleted_as_here_and_a_second_screen_sees_them() -> None:
    async with front(ends=True) as one, front() as two:
        await one.load()
        first = await one.ask("hello")
        one.session.answer(replaces=first.id)
        await until(lambda: one.turns[-1].id != first.id and one.turns[-1].stop is not None and one.session.can_answer)
        second = one.turns[-1]
        assert one.session.siblings(second.id) == (first.id, second.id)
        assert await one.session.step_branch(second.id, 1) and one.turns[-1].id == first.id
        assert await one.session.edit_answer(first.id, "other words") and one.turns[-1].text == "other words"
        edited = one.turns[-1]
        await until(lambda: two.turns == one.turns)
        assert (
            two.session.siblings(edited.id) == one.session.siblings(edited.id) and len(await two.session.nodes()) == 4
        )
        assert await two.session.remove_turn(edited.id)
        await until(lambda: edited.id not in one.session.siblings(one.turns[-1].id))
        await one.session.branch_off(one.turns[-1].id)
        await until(lambda: two.session.conversation.id == one.session.conversation.id)
        assert [turn.text for turn in two.turns] == [turn.text for turn in one.turns]


async def test_an_answer_keeps_to_the_format_and_values_that_a_preset_gives() -> None:
    async with front(ends=True) as one:
        await one.load()
        form = AnswerFormat(kind="gbnf", text='root ::= "yes" | "no"')
        one.session.configure(answer_format=form, sampling=PartialSampling(temperature=0.3), system_prompt="Be short.")
        answer = await one.ask("hello")
        assert answer.text in ("yes", "no")
        assert answer.made_with is not None and answer.made_with.sampling.temperature == 0.3
        saved = await one.store.open(one.session.conversation.id)
        assert (saved.answer_format, saved.system_prompt) == (form, "Be short.")
