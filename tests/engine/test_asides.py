"""A question that is no part of a conversation leaves what was read of that, whatever kind of memory a model has."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.conftest import DENSE, TINY
from tests.engine.asking import ask, user
from tests.engine.memory_models import KINDS, build
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.protocol.messages import AskAside
from tui.protocol.records import Message

QUESTION = user("用Python写冒泡排序")
TITLE = user("Give this conversation a title of at most six words.")


def answered(text: str) -> Message:
    return Message(role="assistant", content=text)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_answered_without_thoughts_and_the_next_turn_reads_only_what_is_new(
    shared_tiny: Engine, thinking: bool
) -> None:
    first = await ask(shared_tiny, QUESTION, thinking=thinking)
    known = (QUESTION, answered(first.text))
    without = await ask(shared_tiny, *known, user("谢谢"), thinking=thinking)
    await ask(shared_tiny, QUESTION, thinking=thinking)
    aside = await shared_tiny.ask(AskAside(messages=(*known, TITLE), thinking=thinking, max_tokens=12))
    assert aside.text and "think" not in aside.text
    after = await ask(shared_tiny, *known, user("谢谢"), thinking=thinking)
    assert (after.text, after.thinking) == (without.text, without.thinking)
    assert after.done.timings.n_prefill <= 24  # a short message between the marks of the template


@pytest.mark.asyncio(loop_scope="module")
async def test_it_says_whether_it_came_to_its_end(shared_tiny: Engine) -> None:
    ends = [
        await shared_tiny.ask(AskAside(messages=(user("ping"),), thinking=False, max_tokens=n_tokens))
        for n_tokens in (1, 200)
    ]
    whole = await ask(shared_tiny, user("ping"), thinking=False)
    assert [end.is_whole for end in ends] == [False, whole.done.stop == "stop"]
    assert ends[1].text.strip() == whole.text.strip()


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_memory_a_model_has(tmp_path: Path, kind: str) -> None:
    settings = msgspec.structs.replace(
        TINY, n_ctx=4096, n_ubatch=128, type_k="f32", type_v="f32", flash_attn="off", swa_full="off"
    )
    long = user("1. " + "Tell me more about that, please. " * 20)
    async with LocalEngine() as engine:
        await engine.load(build(tmp_path / "model.gguf", kind), settings)
        first = await ask(engine, long, thinking=True, thinking_budget=20, max_tokens=60, ignore_end=True)
        known = (long, answered(first.text))
        await engine.ask(AskAside(messages=(*known, TITLE), max_tokens=12))
        after = await ask(engine, *known, user("ping"), thinking=True, thinking_budget=20, max_tokens=20)
        assert after.done.timings.n_prefill <= 40
        await engine.load(tmp_path / "model.gguf", settings)
        unread = await ask(engine, *known, user("ping"), thinking=True, thinking_budget=20, max_tokens=20)
        assert (after.text, after.thinking) == (unread.text, unread.thinking)


@pytest.mark.asyncio(loop_scope="module")
async def test_it_ends_when_it_is_cancelled_and_the_next_answer_is_right(shared: Engine) -> None:
    await shared.load(DENSE, msgspec.structs.replace(TINY, n_batch=32, n_ubatch=32))
    known = [user("one two three " * 150), answered("four five six " * 150)]
    aside = asyncio.create_task(shared.ask(AskAside(messages=(*known, TITLE))))
    await asyncio.sleep(0)  # lets the command go out
    aside.cancel()
    with pytest.raises(asyncio.CancelledError):
        await aside
    again = await ask(shared, *known, user("ping"), thinking=False, max_tokens=8)
    await shared.load(DENSE, TINY)
    assert again.text == (await ask(shared, *known, user("ping"), thinking=False, max_tokens=8)).text


@pytest.mark.asyncio(loop_scope="module")
async def test_where_no_room_is_left_it_fails(shared_tiny: Engine) -> None:
    with pytest.raises(EngineError) as error:
        await shared_tiny.ask(AskAside(messages=(user("one two three " * 700), answered("four"), TITLE)))
    assert error.value.info.kind == "context_overflow"
