"""Chatting in the real app: what a person types, sees and finds again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from tests.app.conftest import Person, StartApp
from tests.conftest import MOE
from tui.app.widgets.header import Header, ModelInUse
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.readings import tokens_per_second
from tui.app.widgets.sidebar import Sidebar
from tui.app.widgets.transcript import Transcript
from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn
from tui.chat.schema import opening
from tui.config import paths
from tui.session.events import AnswerGrew


async def test_a_question_is_answered_with_thinking_folded_and_figures_below(start: StartApp) -> None:
    async with start() as person:
        assert await person.ask("hello") == "Hello! I am Tiny Qwen. How can I help you today?"
        shown = person.screen_text()
        assert "Hello! I am Tiny Qwen." in shown and "▸ thought for" in shown
        assert "The user greets me" not in shown  # folded
        assert "tok/s" in shown and "ttft" in shown and "complete" in shown
        await person.press("ctrl+f")
        assert "The user greets me" in person.screen_text()


async def test_the_header_shows_what_is_loaded_and_the_sidebar_the_context(start: StartApp) -> None:
    async with start() as person:
        state = person.app.main.query_one(Header).state
        assert isinstance(state, ModelInUse)
        assert (state.quant, state.place, state.n_ctx, state.kv) == ("Q8_0", "CPU", 1024, "f16")
        await person.ask("hello")
        n_used, n_ctx = person.app.main.query_one(Sidebar).figures.context
        assert n_ctx == 1024 and 40 < n_used < 200


async def test_thinking_can_be_switched_off_for_the_conversation(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+t")
        await person.ask("hello")
        assert person.turns[-1].reasoning == ""
        assert not person.app.controller.conversation.thinking


async def test_markdown_tables_and_code_are_rendered(start: StartApp) -> None:
    async with start() as person:
        await person.ask("Show a table")
        assert "──┼──" in person.screen_text()
        await person.press("ctrl+n")
        await person.ask("用Python写冒泡排序")
        assert "def bubble_sort(a):" in person.screen_text()


async def test_escape_stops_an_answer_and_keeps_its_beginning(start: StartApp) -> None:
    async with start() as person:
        engine_pid = person.engine_pid
        os.kill(engine_pid, signal.SIGSTOP)
        await person.send("Count to 100")
        await person.wait_for(lambda: person.phase == "answering")
        await person.press("escape")
        os.kill(engine_pid, signal.SIGCONT)
        await person.wait_until_ready()
        assert person.turns[-1].role == "assistant" and person.turns[-1].stop == "cancelled"
        assert "stopped" in person.screen_text()


async def test_the_speed_of_the_prompt_is_shown_of_a_long_one_and_never_of_a_handful_of_tokens(start: StartApp) -> None:
    def prefill(person: Person) -> str:
        lines = [line.split("│")[1] for line in person.screen_text().splitlines() if "prefill" in line]
        return lines[0].split()[1] if lines else ""

    async with start(load={"n_ctx": 2048, "n_ubatch": 64}) as person:
        await person.ask("hello")
        await person.wait_for(lambda: prefill(person))  # once a second
        assert prefill(person) == "–"
        known: list[float] = []
        person.app.controller.configure(max_tokens=32)  # the next prompt reads this answer again
        person.at_the_first(AnswerGrew, lambda: known.append(person.app.controller.speed.now.prefill_tps))
        await person.ask("one two three " * 150)
        assert known[0] > 0  # while the answer is written
        of_the_long_one = tokens_per_second(person.app.controller.speed.prefill_tps).split()[0]
        assert of_the_long_one != "–"
        await person.wait_for(lambda: prefill(person) == of_the_long_one)
        await person.ask("hello")
        await person.wait_for(lambda: prefill(person) == of_the_long_one)  # not the bar of what is being read


async def test_the_speed_falls_while_an_answer_hangs(start: StartApp) -> None:
    """A machine that swaps, or a GPU that hangs: the figure must not stay what it was."""
    async with start(load={"n_ctx": 2048}) as person:
        speed = person.app.controller.speed
        go_on = person.hold_at_the_first(AnswerGrew)
        async with person.slowly():
            await person.send("Count to 100")
            await person.wait_for(lambda: speed.now.is_decoding)
        speed.now = msgspec.structs.replace(speed.now, decode_tps=999.0)  # whatever it was
        await person.wait_for(lambda: 0 < speed.now.decode_tps < 3 and "999.0 tok/s" not in person.screen_text())
        go_on()
        await person.wait_until_ready()


async def test_leaving_while_the_model_answers_saves_what_there_is(start: StartApp) -> None:
    async with start() as person:
        engine_pid = person.engine_pid
        os.kill(engine_pid, signal.SIGSTOP)
        await person.send("Count to 100")
        await person.wait_for(lambda: person.phase == "answering")
        os.kill(engine_pid, signal.SIGCONT)
        person.app.exit(0)
    async with start(continue_last=True) as person:
        assert person.turns[0].text == "Count to 100"
        assert all(turn.stop for turn in person.turns if turn.role == "assistant")


async def test_leaving_while_nothing_can_be_saved_is_asked_about_and_told_at_the_end(start: StartApp) -> None:
    paths.database_file().mkdir(parents=True)  # in the way
    async with start() as person:
        await person.ask("hello")
        await person.wait_for(lambda: "Not saved" in person.screen_text())
        for answer, is_left in (("n", False), ("y", True)):
            await person.press("ctrl+q")
            await person.wait_for(lambda: "Quit without saving?" in person.screen_text())
            assert "Export (^s) writes the open conversation to a file." in person.screen_text()
            await person.press("ctrl+q")  # does not ask a second time
            await person.press(answer)
            assert person.app.screen is person.app.main or is_left
            assert (person.app.return_code == 0) is is_left
    assert person.app.unsaved is not None and person.app.unsaved.n_unsaved >= 3


async def test_regenerate_replaces_the_answer_and_the_store_keeps_the_old_one(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        old = person.turns[-1]
        await person.press("f5")
        await person.wait_for(lambda: person.turns[-1].id != old.id and person.turns[-1].stop)
        assert len(person.turns) == 2 and person.turns[-1].text == old.text
        whole = await person.app.store.whole(person.app.controller.conversation.id)
        assert [turn.id for turn in whole.hidden] == [old.id]


async def test_the_last_prompt_can_be_edited_and_sent_again(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.ask("ping")
        await person.press("f2")
        prompt = person.app.main.query_one(Prompt)
        assert prompt.text == "ping" and len(person.turns) == 4
        prompt.set_text("谢谢")
        await person.press("enter")
        await person.wait_for(lambda: person.turns[-2].text == "谢谢" and person.turns[-1].stop)
        assert len(person.turns) == 4 and person.turns[-1].text.startswith("不客气")


async def test_editing_takes_nothing_away_until_it_is_sent_and_the_draft_comes_back(start: StartApp) -> None:
    async with start() as person:
        prompt = person.app.main.query_one(Prompt)
        await person.ask("hello")
        before = person.turns
        await person.type("a draft")
        await person.press("f2")
        assert prompt.text == "hello" and "editing · esc cancel" in person.screen_text()
        prompt.set_text("hello again")
        await person.press("f2")  # the same once more: what was changed stays
        assert prompt.text == "hello again"
        await person.press("escape")
        assert prompt.text == "a draft" and person.turns == before and "editing" not in person.screen_text()
        await person.press("f2")
        prompt.set_text("ping")
        await person.press("enter")
        await person.wait_for(lambda: person.turns[0].text == "ping" and person.turns[-1].stop)
        assert len(person.turns) == 2 and prompt.text == "a draft"
        await person.press("f2", "ctrl+n")
        await person.wait_for(lambda: not person.turns)
        assert prompt.text == "a draft" and "editing" not in person.screen_text()


async def test_a_selected_message_can_be_answered_again(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.ask("ping")
        await person.press("ctrl+up", "k", "k", "r")
        await person.wait_for(lambda: len(person.turns) == 2 and person.turns[-1].stop)
        assert person.turns[-1].text.startswith("Hello!")


async def test_a_conversation_is_found_again_after_a_restart(start: StartApp) -> None:
    async with start() as person:
        await person.ask("My name is Ada.")
    async with start(continue_last=True) as person:
        assert [turn.role for turn in person.turns] == ["user", "assistant"]
        assert "My name is Ada." in person.screen_text()
        assert "Ada" in await person.ask("What is my name?")


async def test_a_conversation_that_cannot_be_read_now_is_not_called_deleted(start: StartApp) -> None:
    async with start(model=None) as person:
        conversation = msgspec.structs.replace(new_conversation(), turns=(user_turn("My name is Ada."),))
        await person.app.store.create(conversation)
        await person.app.main.conversations.open_conversation(conversation.id)
    with opening(paths.database_file(), 1.0):
        async with start(model=None, continue_last=True) as person:
            await person.wait_for(lambda: person.told.count("another llmtui is opening it") >= 2)
            assert "deleted" not in person.told
            await person.app.run_action("screen.conversations")
            await person.wait_for(lambda: "The conversations cannot be read." in person.screen_text())


async def test_a_new_conversation_leaves_the_old_one_in_the_list(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.press("ctrl+n")
        assert person.turns == () and "Tiny Qwen." not in person.screen_text()
        await person.ask("ping")
        assert len(await person.app.store.list()) == 2


async def test_copy_says_where_the_text_went(start: StartApp, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = home / "own.toml"
    async with start() as person:
        await person.ask("用Python写冒泡排序")
        await person.press("f7")
        await person.wait_for(lambda: "Copied" in person.told)
        assert person.told.endswith(" characters to the terminal's clipboard (OSC 52), if the terminal allows it")
    own.write_text('[ui]\nclipboard = "file"\n')
    async with start(model=None, settings_file=own) as person:
        await person.app.copier.copy("what is copied")
        [file] = paths.exports_dir().iterdir()
        await person.wait_for(lambda: f"Copied 14 characters to {file}" in person.told.splitlines())
    own.write_text('[ui]\nclipboard = "local"\n')
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setenv("PATH", str(home))
    (home / "xsel").write_text("#!/bin/sh\necho no such display >&2\nexit 1\n")
    (home / "xsel").chmod(0o700)
    async with start(model=None, settings_file=own) as person:
        await person.app.copier.copy("what is copied")
        await person.wait_for(lambda: ".txt (xsel: no such display)" in person.told)


async def test_what_was_cut_or_copied_can_be_put_in_again(start: StartApp) -> None:
    async with start() as person:
        prompt = person.app.main.query_one(Prompt)
        await person.type("a line")
        await person.press("ctrl+x")
        assert prompt.text == ""
        await person.press("ctrl+v")
        assert prompt.text.rstrip("\n") == "a line"
        await person.app.copier.copy("of an answer \x1b[2J")
        await person.wait_for(lambda: "would obey" in person.told)
        prompt.set_text("replaced")
        prompt.select_all()
        await person.press("ctrl+v")
        assert prompt.text == "of an answer ␛[2J"


async def test_of_several_code_blocks_any_can_be_copied_by_key(start: StartApp) -> None:
    text = "Write it:\n\n```python\nprint('hello')\n```\n\nand run it:\n\n```sh\n\npython hello.py\n```\n"
    turns = (user_turn("How?"), finished(answer_turn("Tiny"), text=text, stop="stop"))
    conversation = msgspec.structs.replace(new_conversation(), turns=turns)
    async with start() as person:
        await person.app.store.create(conversation)
        await person.app.main.conversations.open_conversation(conversation.id)
        await person.press("f7")
        await person.wait_for(lambda: "Copy code" in person.screen_text())
        shown = " ".join(person.screen_text().split())
        assert "print('hello') python · 1 line" in shown and "python hello.py sh · 2 lines" in shown
        await person.press("1")
        await person.wait_for(lambda: "Copied 14 characters" in person.screen_text())
        await person.press("ctrl+up", "c")
        await person.wait_for(lambda: "Copy code" in person.screen_text())
        await person.press("enter")  # the last one, which is wanted most
        await person.wait_for(lambda: "Copied 16 characters" in person.screen_text())


async def test_the_header_says_with_how_many_threads_the_model_was_loaded(start: StartApp) -> None:
    async with start(load={"n_threads": 1, "n_threads_batch": 2}) as person:
        assert "CPU · 1/2 threads · ctx 1,024" in person.screen_text()
    async with start(size=(80, 24)) as person:
        assert "CPU · 1 thread · ctx 1,024" in person.screen_text()


async def test_the_model_is_changed_in_mid_conversation(start: StartApp) -> None:
    async with start() as person:
        await person.ask("My name is Ada.")
        person.app.main.models.open_model(MOE)
        await person.wait_for(lambda: person.phase == "ready" and person.app.controller.model.path == MOE)
        assert "Ada" in await person.ask("What is my name?")
        state = person.app.main.query_one(Header).state
        assert isinstance(state, ModelInUse) and "8 experts, 2 used" in state.size


async def test_eighty_columns_have_a_status_line_and_no_sidebar(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        await person.ask("hello")
        assert not person.app.main.query_one(Sidebar).display
        shown = person.screen_text()
        assert "ctx" in shown and "Hello! I am Tiny Qwen." in shown


async def test_forty_columns_are_usable(start: StartApp) -> None:
    async with start(size=(40, 16)) as person:
        await person.ask("hello")
        assert "Hello! I am Tiny" in person.screen_text()


async def test_the_transcript_follows_the_answer(start: StartApp) -> None:
    async with start(size=(80, 24)) as person:
        for _ in range(2):  # a third would be cut off by the end of the context
            await person.ask("Count to 100")
            assert "99, 100" in person.screen_text()
        assert person.app.main.query_one(Transcript).following
