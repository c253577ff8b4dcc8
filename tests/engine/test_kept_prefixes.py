"""What a prompt begins with is taken from a kept context, of whatever conversation, where that is quicker than reading
it; whatever kind of memory a model has, the answer is what it would have been."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.conftest import TINY
from tests.engine.asking import Reply, ask, user
from tests.engine.memory_models import KINDS, build
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.protocol.messages import SaveContext
from tui.protocol.records import LoadSettings, Message

SETTINGS = msgspec.structs.replace(TINY, n_ctx=8192, n_ubatch=128, type_k="f32", type_v="f32", flash_attn="off")
every_kind = pytest.mark.parametrize("kind", [*KINDS, "full window"])
only_dense = pytest.mark.parametrize("kind", ["dense"])


@pytest.fixture
def model(tmp_path: Path, kind: str) -> Path:
    return build(tmp_path / "model.gguf", kind.removeprefix("full "))


@pytest.fixture
def settings(kind: str) -> LoadSettings:
    return msgspec.structs.replace(SETTINGS, swa_full="on" if kind.startswith("full ") else "off")


class Windows:
    """Conversations with one engine, each kept in a file when it is left."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder

    async def asks(self, *turns: Message) -> tuple[Reply, list[Message]]:
        """The answer, and the conversation with it."""
        reply = await ask(
            self.engine,
            *turns,
            contexts=str(self.folder),
            thinking=True,
            thinking_budget=40,
            max_tokens=60,
            ignore_end=True,
        )
        return reply, [*turns, Message(role="assistant", content=reply.text)]

    async def keeps(self, name: str) -> None:
        saved = await self.engine.ask(SaveContext(path=str(self.folder / f"{name}.kv")))
        assert saved.problem is None


@pytest_asyncio.fixture
async def windows(engine: Engine, model: Path, settings: LoadSettings, tmp_path: Path) -> Windows:
    await engine.load(model, settings)
    return Windows(engine, tmp_path / "contexts")


@pytest_asyncio.fixture
async def cold(model: Path, settings: LoadSettings) -> AsyncIterator[Engine]:
    async with LocalEngine() as engine:
        await engine.load(model, settings)
        yield engine


async def is_as_if_all_was_read(
    cold: Engine, model: Path, settings: LoadSettings, reply: Reply, turns: Sequence[Message]
) -> None:
    await cold.load(model, settings)
    other, _ = await Windows(cold, model.parent / "none").asks(*turns)
    assert other.started.n_cached == 0
    assert (other.thinking, other.text) == (reply.thinking, reply.text)


@every_kind
async def test_two_conversations_in_turn_a_branch_and_an_edit_far_back(
    windows: Windows, cold: Engine, model: Path, settings: LoadSettings
) -> None:
    question = user("And what then? " * 3)
    _, first = await windows.asks(user("one two three " * 150))
    _, longer = await windows.asks(*first, question)
    await windows.keeps("first")
    _, second = await windows.asks(user("four five six " * 150))
    await windows.keeps("second")
    most = 2 * len(question.content) + 60  # the question, marks of the template, the answer without its thought
    for turns in ([*longer, question], [*second, question], [*longer, user("Why? " * 9)]):
        reply, _ = await windows.asks(*turns)
        assert reply.done.timings.n_prefill <= most + 60
        await is_as_if_all_was_read(cold, model, settings, reply, turns)
    # Another conversation, which begins as the first one does: it goes on behind the first answer.
    await windows.asks(user("seven eight nine " * 150))
    branch = [*first, user("What else? " * 5)]
    reply, _ = await windows.asks(*branch)
    assert reply.done.timings.n_prefill <= most + 60
    await is_as_if_all_was_read(cold, model, settings, reply, branch)


@only_dense
async def test_only_what_is_in_no_folder_is_read(windows: Windows) -> None:
    text = user("one two three " * 150)
    await windows.asks(text)
    await windows.keeps("first")
    await windows.asks(user("four five six " * 150))
    unaided = await ask(windows.engine, text, thinking=True, max_tokens=1)
    assert unaided.started.n_cached < 64
    await windows.asks(user("four five six " * 150))
    aided, _ = await windows.asks(text)
    assert aided.done.timings.n_prefill == 1


@only_dense
@pytest.mark.parametrize(("n_alike", "is_taken"), [(30, False), (75, True)])
async def test_a_file_of_which_little_is_of_use_is_not_read(
    windows: Windows, cold: Engine, n_alike: int, is_taken: bool
) -> None:
    await windows.asks(user("one two three " * 150))
    await windows.keeps("first")
    other = user("one two three " * n_alike + "and other words " * 20)
    reply, _ = await Windows(cold, windows.folder).asks(other)  # which does not know yet how fast it reads
    assert (reply.started.n_cached > 14 * n_alike) == is_taken


@only_dense
async def test_files_that_are_damaged_or_of_another_model_cost_nothing_but_time(
    windows: Windows, cold: Engine, model: Path, settings: LoadSettings, tmp_path: Path
) -> None:
    text = user("one two three " * 150)
    before, _ = await windows.asks(text)
    await windows.keeps("first")
    file = windows.folder / "first.kv"
    (windows.folder / "torn.kv").write_bytes(file.read_bytes()[:-1000])
    (windows.folder / "folder.kv").mkdir()
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)
    reply, _ = await Windows(cold, windows.folder).asks(text)
    assert reply.started.n_cached == 0
    assert (reply.thinking, reply.text) == (before.thinking, before.text)
    await windows.keeps("first")
    other = build(tmp_path / "other.gguf", "dense", n_ctx=4096)
    await cold.load(other, settings)
    reply, _ = await Windows(cold, windows.folder).asks(text)
    assert reply.started.n_cached == 0
