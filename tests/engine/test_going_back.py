"""Whatever kind of memory a model has, a turn reads only what is new, and says what it would have said had it read
all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2
import msgspec
import pytest

from tests.conftest import TINY
from tests.engine.asking import Reply, ask, paused, resumed, user
from tests.engine.memory_models import KINDS, TEMPLATE, build
from tests.tape import IM, Vocabulary
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.protocol.messages import Generate, Prefill, ReadAhead, RestoreContext, SaveContext
from tui.protocol.records import LoadSettings, Message, SwaFull

# The same numbers whatever the steps in which a text is read: nothing is rounded, as it is by flash attention too.
SETTINGS = msgspec.structs.replace(TINY, n_ctx=4096, n_ubatch=128, type_k="f32", type_v="f32", flash_attn="off")
OPENING = "<think>\n"
_TEMPLATE = jinja2.Environment().from_string(TEMPLATE)
_VOCABULARY = Vocabulary(IM, ())


def prompt(turns: Sequence[Message]) -> list[int]:
    """The tokens that the model reads."""
    return _VOCABULARY.prompt(_TEMPLATE.render(messages=turns, add_generation_prompt=True))


class Talk:
    """A conversation with a thinking model, and what of it was read last."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.turns: list[Message] = []
        self._read: list[int] = []

    async def says(self, text: str) -> Reply:
        """One more turn."""
        return await self.asks([*self.turns, user(text)])

    async def again(self) -> Reply:
        """Another answer to the last question."""
        return await self.asks(self.turns[:-1])

    async def edits(self, n_back: int, text: str) -> Reply:
        """Another question in place of the n-th last one; what came after it goes."""
        return await self.asks([*self.turns[: -2 * n_back], user(text)])

    async def asks(self, turns: Sequence[Message]) -> Reply:
        """The answer to a conversation; no more was read for it than is new, and 5%."""
        reply = await thought(self.engine, turns)
        assert reply.started.n_prompt == len(prompt(turns))
        n_new = len(prompt(turns)) - alike(prompt(turns), self._read)
        assert reply.done.timings.n_prefill <= 1.05 * n_new + len(OPENING)
        self._read = prompt(turns)
        self.turns = [*turns, Message(role="assistant", content=reply.text)]
        return reply


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that both begin with."""
    return next(
        (i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )


async def thought(engine: Engine, turns: Sequence[Message]) -> Reply:
    """An answer behind a thought."""
    return await ask(engine, *turns, thinking=True, thinking_budget=40, max_tokens=90, ignore_end=True)


def question(n: int) -> str:
    return f"{n}. " + "Tell me more about that, please. " * 3


@pytest.fixture
def model(tmp_path: Path, kind: str) -> Path:
    return build(tmp_path / "model.gguf", kind.removeprefix("full "))


@pytest.fixture
def settings(kind: str) -> LoadSettings:
    return msgspec.structs.replace(SETTINGS, swa_full="on" if kind.startswith("full ") else "off")


every_kind = pytest.mark.parametrize("kind", [*KINDS, "full window"])


@every_kind
async def test_ten_turns_two_more_answers_an_edit_a_switch_and_a_reopening(
    model: Path, settings: LoadSettings, tmp_path: Path
) -> None:
    file = tmp_path / "contexts" / "one.kv"
    async with LocalEngine() as engine, LocalEngine() as cold:
        await engine.load(model, settings)
        talk = Talk(engine)

        async def is_as_if_all_was_read(reply: Reply) -> None:
            await cold.load(model, settings)
            other = await thought(cold, talk.turns[:-1])
            assert other.started.n_cached == 0
            assert (other.thinking, other.text) == (reply.thinking, reply.text)

        for n in range(10):
            reply = await talk.says(question(n))
            assert reply.thinking
        await is_as_if_all_was_read(reply)
        await talk.again()
        await is_as_if_all_was_read(await talk.again())
        await is_as_if_all_was_read(await talk.edits(3, "What else? " * 9))
        await engine.ask(ReadAhead(messages=tuple(talk.turns), thinking=True))
        ahead = await talk.says(question(10))
        assert ahead.done.timings.n_prefill <= len(question(10)) + 40  # the answer before it was read ahead
        await is_as_if_all_was_read(ahead)

        longer = msgspec.structs.replace(settings, n_ctx=6144)
        other: SwaFull = "off" if settings.swa_full == "on" else "on"
        with_flash = msgspec.structs.replace(settings, flash_attn="on")
        for after in (with_flash, msgspec.structs.replace(settings, swa_full=other), longer):
            loaded = await engine.load(model, after, keep_context=True)
            assert loaded.n_kept and not loaded.n_lost
        await is_as_if_all_was_read(await talk.says(question(11)))
        await is_as_if_all_was_read(await talk.again())

        saved = await engine.ask(SaveContext(path=str(file)))
        assert saved.problem is None
        await engine.restart()
        await engine.load(model, longer)
        restored = await engine.ask(RestoreContext(path=str(file)))
        assert (restored.problem, restored.n_tokens) == (None, saved.n_tokens)
        await is_as_if_all_was_read(await talk.says(question(12)))
        await is_as_if_all_was_read(await talk.edits(2, "And then? " * 9))


@every_kind
async def test_an_answer_that_was_stopped_goes_on_where_it_was_here_and_behind_a_switch(
    engine: Engine, model: Path, settings: LoadSettings
) -> None:
    await engine.load(model, settings)
    whole = await ask(engine, user(question(0)), thinking=True, ignore_end=True, max_tokens=900)
    stopped = await paused(engine, user(question(0)), thinking=True, ignore_end=True)
    assert len(stopped.thinking) < len(whole.thinking)
    await resumed(engine, stopped, ignore_end=True, max_tokens=20)
    assert stopped.done.timings.n_prefill <= 1
    stopped = await paused(engine, user(question(0)), thinking=True, ignore_end=True)
    await engine.load(model, msgspec.structs.replace(settings, n_ctx=6144), keep_context=True)
    await resumed(engine, stopped, ignore_end=True, max_tokens=20)
    assert stopped.done.timings.n_prefill <= 1
    n = min(len(stopped.thinking), len(whole.thinking))
    assert stopped.thinking[:n] == whole.thinking[:n]


@pytest.mark.parametrize("kind", ["hybrid", "window"])
async def test_a_prompt_that_was_cancelled_is_read_again_as_if_nothing_had_been(engine: Engine, model: Path) -> None:
    await engine.load(model, SETTINGS)
    first, other = user(question(0)), user("one two three " * 200)
    before = await thought(engine, [first])
    turns = [first, Message(role="assistant", content=before.text), other]
    answer = engine.generate(Generate(messages=tuple(turns), thinking=True, ignore_end=True))
    async for event in answer:
        if isinstance(event, Prefill):
            answer.cancel()
    after = await thought(engine, turns)
    again = await thought(engine, [first])
    assert (again.thinking, again.text) == (before.thinking, before.text)
    await engine.load(model, SETTINGS)
    cold = await thought(engine, turns)
    assert (after.thinking, after.text) == (cold.thinking, cold.text)


@pytest.mark.parametrize("kind", ["hybrid"])
async def test_a_file_has_no_more_than_its_limit_and_what_it_has_is_of_use(
    engine: Engine, model: Path, tmp_path: Path
) -> None:
    file = str(tmp_path / "contexts" / "one.kv")
    await engine.load(model, SETTINGS)
    talk = Talk(engine)
    for n in range(4):
        await talk.says(question(n))
    whole = await engine.ask(SaveContext(path=file))
    limit = whole.n_bytes - 30_000  # less than all places, more than the cache
    limited = await engine.ask(SaveContext(path=file, max_bytes=limit))
    assert limited.problem is None and limited.n_bytes <= limit
    await engine.load(model, SETTINGS)
    assert (await engine.ask(RestoreContext(path=file))).problem is None
    await talk.says(question(4))
