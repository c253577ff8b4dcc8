"""Prompts that are sent before they can be answered: they wait in sight, are sent in their order, and come back."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.app.conftest import Person, StartApp
from tests.conftest import DENSE, MOE
from tui.app.screens.conversations import ConversationsScreen
from tui.app.screens.picker import PickerScreen
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.queued_prompts import QueuedPrompts
from tui.config import paths
from tui.session.drafts import Drafts
from tui.session.events import AnswerGrew
from tui.session.loads import LoadRequest


def prompt(person: Person) -> Prompt:
    return person.app.main.query_one(Prompt)


def waiting(person: Person) -> tuple[str, ...]:
    return person.app.controller.queue.texts


def shown(person: Person) -> list[str]:
    """What stands above the input."""
    above = person.app.main.query_one(QueuedPrompts)
    return above.rows_as_text if above.display else []


def was_told(person: Person, words: str) -> bool:
    return words in person.told


async def write(person: Person, text: str) -> None:
    """Type and send, whatever becomes of it."""
    await person.type(text)
    await person.press("enter")


def user_texts(person: Person) -> list[str]:
    return [turn.text for turn in person.turns if turn.role == "user"]


async def answered(person: Person, *texts: str) -> None:
    """Wait until these are all that was said, each with an answer."""
    await person.wait_for(
        lambda: (
            user_texts(person) == list(texts)
            and len(person.turns) == 2 * len(texts)
            and person.turns[-1].stop
            and person.phase == "ready"
        )
    )


@contextlib.contextmanager
def held(person: Person) -> Iterator[None]:
    """The engine does nothing meanwhile, as on a slow machine."""
    pid = person.engine_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def test_what_is_sent_while_the_engine_starts_is_answered_by_the_model_that_is_chosen_then(
    start: StartApp,
) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        controller = person.app.controller
        controller.restart()
        await person.wait_for(lambda: person.phase == "starting")
        await write(person, "ping")
        assert prompt(person).text == "" and waiting(person) == ("ping",)
        await person.wait_for(lambda: person.phase == "no_model")
        assert waiting(person) == ("ping",) and "waits for a model (^o) · ↑ takes back" in shown(person)[0]
        controller.load(LoadRequest(path=DENSE, choice=controller.load_for(DENSE)))
        await answered(person, "ping")
        assert person.turns[1].text == "pong" and shown(person) == []


async def test_prompts_sent_during_a_load_wait_in_sight_and_are_answered_in_their_order(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        with held(person):
            controller.load(LoadRequest(path=MOE, choice=controller.load_for(MOE)))
            await person.wait_for(lambda: person.phase == "loading")
            await write(person, "ping")
            await write(person, "hello\nthere")
            assert waiting(person) == ("ping", "hello\nthere")
            assert shown(person) == [
                "2 wait for the model · ↑ takes back",
                "1 ping",
                "2 hello there",
            ]
        await answered(person, "ping", "hello\nthere")
        assert person.loaded.path == str(MOE)


async def test_a_prompt_sent_while_a_load_is_prepared_is_answered_by_that_model(start: StartApp) -> None:
    async with start() as person:
        person.app.main.models.open_model(MOE)
        await write(person, "ping")
        await answered(person, "ping")
        assert person.loaded.path == str(MOE)
        assert (person.turns[1].model, person.turns[1].stop) == ("Tiny Qwen3 0.002B A0.001B", "stop")


async def test_a_prompt_sent_during_an_answer_follows_it_and_its_move_to_other_settings(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        async with person.slowly():
            await person.send("Count to 100")
            await write(person, "ping")
            assert "waits for the answer" in shown(person)[0]
            choice = msgspec.structs.replace(controller.model.choice, n_ctx=2048)
            controller.load(LoadRequest(path=DENSE, choice=choice))
            await person.wait_for(lambda: person.phase == "loading")
            await write(person, "hello")
        await answered(person, "Count to 100", "ping", "hello")
        assert "100" in person.turns[1].text and person.loaded.n_ctx == 2048


async def test_up_takes_the_newest_back_and_nothing_typed_is_lost(start: StartApp) -> None:
    async with start() as person:
        # Held from before the prompt: an answer that has begun may be over before the screen is told of it.
        with held(person):
            await person.send("Count to 100")
            await write(person, "one")
            await write(person, "two")
            await person.type("three")
            await person.press("up")
            assert (prompt(person).text, waiting(person)) == ("two\n\nthree", ("one",))
            await person.press("!")
            await person.press("up", "up", "up")
            assert (prompt(person).text, waiting(person)) == ("one\n\ntwo\n\nthree!", ())
            assert person.phase == "answering" and shown(person) == []
            await person.press("escape")
        await person.wait_until_ready()
        assert user_texts(person) == ["Count to 100"] and prompt(person).text == "one\n\ntwo\n\nthree!"


async def test_what_waits_is_held_when_the_answer_is_stopped_until_enter(start: StartApp) -> None:
    async with start() as person:
        async with person.slowly():
            await person.send("Count to 100")
            await write(person, "ping")
            await person.press("ctrl+c")
            await person.wait_until_ready()
        assert person.turns[-1].stop == "cancelled" and waiting(person) == ("ping",)
        assert shown(person)[0] == "held: enter sends · ↑ takes back"
        await write(person, "hello")
        await answered(person, "Count to 100", "ping", "hello")


async def test_enter_with_nothing_written_sends_what_is_held(start: StartApp) -> None:
    async with start() as person:
        async with person.slowly():
            await person.send("Count to 100")
            await write(person, "ping")
            await person.press("ctrl+c")
            await person.wait_until_ready()
        await person.press("enter")
        await answered(person, "Count to 100", "ping")


async def test_what_waits_survives_the_death_of_the_engine(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        person.hold_at_the_first(AnswerGrew)
        await person.send("Count to 100")
        await person.wait_for(lambda: person.is_held)
        await write(person, "ping")
        os.kill(person.engine_pid, signal.SIGKILL)
        await person.wait_for(lambda: person.phase == "dead")
        assert waiting(person) == ("ping",)
        controller.restart()
        await person.wait_until_ready()
        assert waiting(person) == ("ping",) and "held" in shown(person)[0]
        prompt(person).focus()
        await person.press("enter")
        await answered(person, "Count to 100", "ping")


async def test_what_waits_is_answered_after_a_load_that_failed_was_followed_by_another(
    start: StartApp, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(DENSE.read_bytes()[:-2000])
    async with start() as person:
        controller = person.app.controller
        with held(person):
            controller.load(LoadRequest(path=broken, choice=controller.load_for(broken)))
            await person.wait_for(lambda: person.phase == "loading")
            await write(person, "ping")
        await person.wait_for(lambda: person.phase != "loading")
        if controller.engine.loaded is None:
            assert waiting(person) == ("ping",)
            controller.load(LoadRequest(path=DENSE, choice=controller.load_for(DENSE)))
        await answered(person, "ping")


async def test_an_edited_prompt_can_wait_too_and_is_edited_again_when_it_is_taken_back(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        await person.ask("ping")
        await person.type("draft")
        await person.press("f2")
        with held(person):
            controller.load(LoadRequest(path=MOE, choice=controller.load_for(MOE)))
            await person.wait_for(lambda: person.phase == "loading")
            prompt(person).set_text("hello")
            await person.press("enter")
            assert prompt(person).text == "draft" and user_texts(person) == ["ping"]
            await person.press("up")
            assert prompt(person).text == "hello" and "editing" in prompt(person).words_on("top")
            await person.press("enter")
        await answered(person, "hello")
        assert prompt(person).text == "draft"


async def test_another_conversation_does_not_get_what_waited_in_this_one(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        first = person.app.controller.conversation.id
        async with person.slowly():
            await person.press("ctrl+n")
            await person.send("Count to 100")
            await write(person, "only here")
            await person.app.controller.open(first)
        await person.wait_until_ready()
        await person.pilot.pause()
        assert user_texts(person) == ["ping"] and waiting(person) == ()
        assert prompt(person).text == "only here" and "was not sent" in person.told


async def test_without_a_model_the_prompt_stays_in_the_input_and_that_is_said(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await write(person, "ping")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        assert prompt(person).text == "ping" and waiting(person) == ()
        assert "No model is loaded" in person.told


async def test_many_that_wait_leave_room_on_a_low_screen(start: StartApp) -> None:
    async with start(size=(40, 12)) as person:
        controller = person.app.controller
        with held(person):
            controller.load(LoadRequest(path=MOE, choice=controller.load_for(MOE)))
            await person.wait_for(lambda: person.phase == "loading")
            for number in range(5):
                await write(person, f"prompt {number} with more words than the narrow screen has room for")
            rows = shown(person)
            assert rows[0].startswith("5 wait for the model · ↑ takes back") and [row[:10] for row in rows[1:]] == [
                "4 prompt 3",
                "5 prompt 4",
            ]
            assert all(len(row) <= 38 for row in rows)


async def test_what_was_not_sent_is_in_the_input_at_the_next_start_and_only_then(start: StartApp) -> None:
    async with start() as person:
        async with person.slowly():
            await person.send("Count to 100")
            await write(person, "ping")
            await person.type("half a sen")
            await person.press("ctrl+c")  # else it is sent as soon as the engine goes on
        await person.wait_until_ready()
    async with start() as person:
        await person.wait_for(lambda: prompt(person).text)
        assert prompt(person).text == "ping\n\nhalf a sen" and "not sent" in person.told
        prompt(person).set_text("")
    async with start() as person:
        assert prompt(person).text == "" and Drafts(paths.drafts_dir()).take() == ""


async def test_no_answer_is_dropped_in_silence(start: StartApp) -> None:
    async with start() as person:
        controller = person.app.controller
        await person.ask("ping")
        controller.answer()
        controller.load(LoadRequest(path=MOE, choice=controller.load_for(MOE)))
        await person.wait_for(lambda: "something else was begun" in person.screen_text())
        await person.wait_until_ready()
        await controller.unload()
        controller.answer()
        await person.wait_for(lambda: "No model is loaded" in person.screen_text().replace("\n", " "))


async def test_what_cannot_be_done_now_is_said(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        for action, words in {
            "screen.edit_last": "no prompt to edit yet",
            "screen.fold_thinking": "no thinking to fold",
            "screen.fold_all": "no thinking to fold",
            "screen.unload_model": "No model is loaded",
        }.items():
            person.app.clear_notifications()
            await person.app.run_action(action)
            await person.wait_for(functools.partial(was_told, person, words))


async def test_enter_in_a_list_where_nothing_is_highlighted_is_answered(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        await person.press("ctrl+o", *"zzz")
        picker = person.app.screen
        assert isinstance(picker, PickerScreen)
        await person.wait_for(lambda: not picker._is_scanning)
        await person.press("enter")
        await person.wait_for(lambda: "Nothing here is a model." in person.screen_text())
        await person.press("escape")
        await person.press("ctrl+r")
        await person.wait_for(lambda: isinstance(person.app.screen, ConversationsScreen))
        conversations = person.app.screen
        assert isinstance(conversations, ConversationsScreen)
        await person.wait_for(lambda: conversations._all is not None)
        await person.press("enter")
        await person.wait_for(lambda: "No conversation is highlighted." in person.screen_text())
