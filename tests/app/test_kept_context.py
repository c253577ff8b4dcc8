"""A conversation that is opened again goes on where it was: what was evaluated comes restored from the disk."""

from __future__ import annotations

import os
import signal

import msgspec
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tui.config import paths
from tui.session import context_keeper
from tui.session.events import AnswerGrew
from tui.session.loads import LoadRequest

LONG = "one two three " * 50


def files() -> list[str]:
    folder = paths.contexts_dir()
    return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []


def file_of(person: Person) -> str:
    return f"{person.app.controller.conversation.id}.kv"


def told(person: Person) -> str:
    """What the notifications say, which are wrapped on the screen."""
    return "\n".join(notification.message for notification in person.app._notifications)


def n_evaluated(person: Person) -> int:
    return person.answer_timings.n_prefill


async def test_quitting_and_continuing_evaluates_only_the_new_message(start: StartApp) -> None:
    async with start(load={"n_ctx": 4096}) as person:
        await person.ask(LONG)
        await person.ask("用Python写冒泡排序")
        assert n_evaluated(person) > 20
        name = file_of(person)
    assert files() == [name]
    async with start(load={"n_ctx": 4096}, continue_last=True) as person:
        await person.wait_for(lambda: "restored from the disk" in told(person) and not person.controller.contexts.works)
        assert person.turns[0].text == LONG
        await person.ask("ping")
        assert person.answer_timings.n_cached > 200
        # "ping" between the template's marks; what the model thought and said before is evaluated already.
        assert n_evaluated(person) <= 12


async def test_another_conversation_that_begins_alike_takes_it_from_the_disk(start: StartApp) -> None:
    text = " ".join([LONG] * 8)
    async with start(load={"n_ctx": 4096}) as person:
        await person.ask(text)
        n_read = n_evaluated(person)
        assert n_read > 1024
    async with start(load={"n_ctx": 4096}) as person:
        await person.ask(text)
        assert n_evaluated(person) == 1 and person.answer_timings.n_cached == n_read - 1


async def test_what_is_asked_at_once_does_not_wait_for_what_is_evaluated_ahead(start: StartApp) -> None:
    async with start() as person:
        await person.ask(LONG)
    async with start(continue_last=True) as person:
        await person.ask("ping")
        assert person.turns[-1].stop


async def test_leaving_a_conversation_keeps_it_and_coming_back_restores_it(start: StartApp) -> None:
    async with start() as person:
        await person.ask(LONG)
        first, name = person.app.controller.conversation.id, file_of(person)
        await person.press("ctrl+n")
        await person.wait_for(lambda: files() == [name])
        await person.ask("hello")
        await person.app.controller.open(first)
        await person.wait_for(lambda: "restored from the disk" in told(person))
        await person.ask("ping")
        assert person.answer_timings.n_cached > 150


async def test_coming_back_before_anything_else_was_asked_needs_no_disk(start: StartApp) -> None:
    async with start() as person:
        await person.ask(LONG)
        first = person.app.controller.conversation.id
        await person.press("ctrl+n")
        await person.wait_for(lambda: not person.turns)
        await person.app.controller.open(first)
        await person.ask("ping")
        assert person.answer_timings.n_cached > 150
        assert "restored from the disk" not in told(person)


async def test_it_is_saved_when_nothing_was_asked_for_a_while(start: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_keeper, "IDLE_S", 0.05)
    async with start() as person:
        await person.ask("hello")
        await person.wait_for(lambda: files() == [file_of(person)])


async def test_an_engine_that_died_gets_it_back(start: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_keeper, "IDLE_S", 0.05)
    async with start() as person:
        await person.ask(LONG)
        await person.wait_for(lambda: files() == [file_of(person)])
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        await person.press("r")
        await person.wait_for(lambda: "restored from the disk" in told(person))
        await person.ask("ping")
        assert person.answer_timings.n_cached > 150


async def test_what_an_engine_was_writing_when_it_died_goes(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        name = file_of(person)
        await person.press("ctrl+n")
        await person.wait_for(lambda: files() == [name])
        (paths.contexts_dir() / ".llmtui-half.tmp").touch()
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead" and files() == [name])


async def test_one_that_is_left_while_its_model_moves_is_kept(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        await person.ask(LONG)
        first, name = controller.conversation.id, file_of(person)
        go_on = person.hold_at_the_pause()
        choice = msgspec.structs.replace(controller.model.choice, n_ctx=2048)
        person.at_the_first(AnswerGrew, lambda: controller.load(LoadRequest(path=DENSE, choice=choice)))
        async with person.slowly():
            await person.send("Count to 100")
            await person.wait_for(lambda: person.phase == "loading")
        await person.press("ctrl+n")
        await person.wait_for(lambda: not person.turns)
        go_on()
        await person.wait_for(lambda: files() == [name])
        await person.wait_until_ready()
        await person.ask("hello")
        await controller.open(first)
        await person.wait_for(lambda: "restored from the disk" in told(person))
        await person.ask("ping")
        assert person.answer_timings.n_cached > 150


async def test_another_model_discards_it_with_a_note(start: StartApp) -> None:
    async with start() as person:
        await person.ask("My name is Ada.")
    assert len(files()) == 1
    async with start(model=MOE, continue_last=True) as person:
        await person.wait_for(lambda: "belongs to another model" in told(person))
        await person.wait_for(lambda: files() == [])
        assert "Ada" in await person.ask("What is my name?")


async def test_a_damaged_file_costs_nothing_but_time(start: StartApp) -> None:
    async with start() as person:
        await person.ask("My name is Ada.")
    [name] = files()
    file = paths.contexts_dir() / name
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    async with start(continue_last=True) as person:
        await person.wait_for(lambda: "context of this conversation is damaged" in told(person))
        assert "Ada" in await person.ask("What is my name?")


async def test_a_deleted_conversation_leaves_nothing_behind(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.press("ctrl+n")
        await person.wait_for(lambda: len(files()) == 1)
        await person.ask("ping")
        await person.app.run_action("screen.delete")
        await person.wait_for(lambda: "Delete" in person.screen_text())
        await person.press("y")
        await person.wait_for(lambda: not person.turns)
        [other] = await person.app.store.list()
        await person.wait_for(lambda: files() == [f"{other.id}.kv"])
    assert files() == [f"{other.id}.kv"]


async def test_switched_off_nothing_is_kept_and_what_was_kept_goes(
    start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as person:
        await person.ask("hello")
    assert len(files()) == 1
    monkeypatch.setattr("tests.app.conftest.GREEDY", "[chat]\nkeep_context = 0\n")
    async with start(continue_last=True) as person:
        await person.wait_for(lambda: files() == [])
        await person.ask("ping")
        await person.press("ctrl+n")
    assert files() == []


async def test_a_disk_that_refuses_is_not_in_the_way(start: StartApp) -> None:
    paths.contexts_dir().parent.mkdir(parents=True, exist_ok=True)
    paths.contexts_dir().write_text("a file where the folder should be")
    async with start() as person:
        await person.ask("hello")
        await person.press("ctrl+n")
        await person.ask("ping")
        assert person.turns[-1].text == "pong"
