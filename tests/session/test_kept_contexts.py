"""What is asked of an engine about its KV cache goes by what that engine can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import DENSE, TINY
from tests.scripted_engine import EVERYTHING, ScriptedEngine
from tui.chat.context_files import ContextFiles
from tui.chat.conversation import Conversation
from tui.engines.interface import Capabilities
from tui.protocol.messages import SaveContext
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
