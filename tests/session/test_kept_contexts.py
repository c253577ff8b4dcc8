"""What is asked of an engine about its KV cache goes by what that engine can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import DENSE, TINY, until
from tests.scripted_engine import EVERYTHING, ScriptedEngine
from tui.chat.context_files import ContextFiles
from tui.chat.conversation import Conversation, answer_turn, finished, user_turn, with_turn
from tui.engines.interface import Capabilities
from tui.protocol.messages import Cancel, ReadAhead, SaveContext
from tui.session.context_keeper import ContextKeeper


@pytest.mark.parametrize("capabilities", [EVERYTHING, Capabilities()], ids=["keeps", "cannot keep"])
async def test_a_context_is_kept_only_by_an_engine_that_can(tmp_path: Path, capabilities: Capabilities) -> None:
    engine = ScriptedEngine(capabilities=capabilities)
    await engine.start()
    await engine.load(DENSE, TINY)
    conversation = Conversation(id="c1", created_at=0, updated_at=0)
    files = ContextFiles(tmp_path / "contexts", True, 1 << 30)
    keeper = ContextKeeper(engine, files, lambda: conversation, lambda restored: None)
    keeper.began(conversation.id)
    keeper.save()
    await keeper.flush()
    assert bool(engine.sent(SaveContext)) == (capabilities == EVERYTHING)


class Typing:
    """Somebody writes in a conversation of one turn, whose cache the engine holds."""

    def __init__(self, folder: Path) -> None:
        self.engine = ScriptedEngine(held=(ReadAhead,))
        self.conversation = with_turn(Conversation(id="c1", created_at=0, updated_at=0), user_turn("Hi"))
        answer = finished(answer_turn("a model"), text="Hello", stop="stop")
        self.conversation = with_turn(self.conversation, answer)
        files = ContextFiles(folder / "contexts", True, 1 << 30)
        self.keeper = ContextKeeper(self.engine, files, lambda: self.conversation, lambda restored: None)

    async def start(self) -> None:
        await self.engine.start()
        await self.engine.load(DENSE, TINY)
        self.keeper.began("c1")
        self.keeper.ended()


async def test_what_is_typed_is_read_until_more_is_typed_and_never_while_an_answer_is_made(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    await typing.start()
    typing.keeper.typed("one")
    assert (await typing.engine.asked(ReadAhead)).text == "one"
    typing.keeper.typed("one two")
    assert (await typing.engine.asked(ReadAhead)).text == "one two"
    typing.keeper.began("c1")
    n_reading = len(typing.engine.sent(ReadAhead))
    await until(lambda: len(typing.engine.sent(Cancel)) == n_reading)


async def test_typing_elsewhere_leaves_a_cache_alone_that_is_in_no_file_yet(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    await typing.start()
    typing.conversation = Conversation(id="c2", created_at=0, updated_at=0)
    typing.keeper.typed("one")
    await typing.keeper.flush()
    assert typing.engine.sent(ReadAhead) == []
    typing.keeper.typed("one")
    assert (await typing.engine.asked(ReadAhead)).messages == ()
    typing.keeper.busy()
