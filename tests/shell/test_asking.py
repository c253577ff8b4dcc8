"""Questions to a session that has a model loaded already: when it is used as it is, and what is left of a question that
is refused."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.conftest import DENSE
from tests.padded_model import pad
from tests.session.conftest import Session
from tui.config.modelrules import ChatOverrides
from tui.config.settings import ModelSettings, Settings
from tui.config.state import StateStore
from tui.models.library import inspect
from tui.planning import drafts
from tui.protocol.messages import Generate
from tui.shell.answer_load import is_loaded, settle
from tui.shell.asking import Asking
from tui.shell.question import CannotAsk, Question


def asking(session: Session, said: list[str] | None = None) -> Asking:
    """Of this session; what is said goes into `said`."""
    controller, heard = session.controller, [] if said is None else said
    return Asking(
        controller, controller.settings, StateStore(is_kept=False), on_model=lambda *_: None, say=heard.append
    )


@pytest.mark.parametrize(
    ("question", "suits"),
    [
        (Question(prompt="hi"), True),
        (Question(prompt="hi", load={"n_threads": 0}), True),
        (Question(prompt="hi", load={"n_threads": 3}), False),
        (Question(prompt="hi", load={"n_ctx": 512}), True),
        (Question(prompt="hi", load={"n_ctx": 1 << 20}), False),
        (Question(prompt="word " * 2000), True),
        (Question(prompt="hi", fit=True), False),
        (Question(prompt="hi", chat_format=ChatOverrides(stop=("END",))), False),
    ],
)
async def test_what_is_loaded_is_used_where_it_is_what_was_asked_for(
    session: Session, question: Question, suits: bool
) -> None:
    model = inspect(DENSE)
    session.controller.model.path = DENSE
    assert is_loaded(session.controller, model, question) == suits


async def test_a_question_that_does_not_fit_is_no_part_of_a_conversation(session: Session) -> None:
    await session.answered("first")
    running = asyncio.create_task(asking(session).ask(Question(prompt="second", continue_last=True)))
    await session.engine.asked(Generate)
    session.engine.fail("context_overflow", n_prompt=9000, n_ctx=8192, n_drop=1)
    await running
    store, controller = session.controller.store, session.controller
    (saved,) = await store.list()
    assert [turn.text for turn in (await store.open(saved.id)).turns] == ["first", "pong"]
    assert [turn.text for turn in controller.conversation.turns] == ["first", "pong"]

    running = asyncio.create_task(asking(session).ask(Question(prompt="third")))
    await session.engine.asked(Generate)
    session.engine.fail("context_overflow", n_prompt=9000, n_ctx=8192)
    await running
    assert [one.title for one in await store.list()] == ["first"] and not controller.conversation.turns


async def test_what_is_not_to_be_saved_is_in_no_file_and_no_kept_context(session: Session) -> None:
    running = asyncio.create_task(asking(session).ask(Question(prompt="secret", keep=False)))
    await session.engine.asked(Generate)
    session.engine.begin()
    session.engine.say("hush")
    session.engine.finish()
    await running
    await session.controller.new()
    await session.controller.store.flush()
    assert await session.controller.store.list() == ()
    assert not session.controller.contexts.works


async def test_a_question_that_nobody_wants_any_more_is_stopped_and_leaves_what_was_answered(session: Session) -> None:
    running = asyncio.create_task(asking(session).ask(Question(prompt="go on")))
    await session.engine.asked(Generate)
    session.engine.begin()
    session.engine.say("word ")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (_, answer) = session.turns
    assert (answer.text, answer.stop) == ("word ", "cancelled")


async def test_there_must_be_a_conversation_to_go_on_with(session: Session) -> None:
    with pytest.raises(CannotAsk, match="no conversation to go on with"):
        await asking(session).ask(Question(prompt="hi", continue_last=True))


async def test_a_loaded_model_whose_file_has_gone_gives_way_to_another(session: Session, tmp_path: Path) -> None:
    session.controller.settings = Settings(models=ModelSettings(default=str(DENSE)))
    gone = Path(shutil.copy(DENSE, tmp_path / "gone.gguf"))
    await session.load(path=gone)
    gone.unlink()
    running = asyncio.create_task(asking(session).ask(Question(prompt="hi")))
    await session.engine.asked(Generate)
    session.engine.begin()
    session.engine.finish()
    await running
    assert session.engine.loaded is not None and session.engine.loaded.path == str(DENSE)


async def test_a_draft_model_of_the_library_is_loaded_too_where_nobody_wants_none(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "LEAST_BYTES", 1)
    small = shutil.copy(DENSE, tmp_path / "small.gguf")
    large = inspect(pad(DENSE, tmp_path / "large.gguf", 26))
    settings = Settings(models=ModelSettings(folders=(str(tmp_path),)))
    for load, found in (({}, str(small)), ({"model_draft": "off"}, "off")):
        question = Question(prompt="hi", load={"backend": "cpu", **load})
        request = await settle(session.controller, large, question, settings, StateStore(is_kept=False), print)
        assert request.model_draft == found
