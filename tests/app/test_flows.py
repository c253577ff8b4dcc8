"""The dialogs from the main screen: each opens by its key or from the palette, and what is chosen happens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from textual.widgets import Input

from tests.app.conftest import GREEDY, NO_RESERVE, Person, StartApp
from tests.conftest import DENSE, MOE
from tui.app.screens.main import MainScreen
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.sidebar import Sidebar
from tui.chat import export
from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn
from tui.config import paths
from tui.config.state import StateStore
from tui.session.loads import LoadRequest


async def opened(person: Person, title: str) -> None:
    """Wait until the dialog of that name is on the screen."""
    await person.wait_for(lambda: not isinstance(person.app.screen, MainScreen) and title in person.screen_text())


async def test_a_model_is_picked_by_typing_a_part_of_its_name(start: StartApp, home: Path) -> None:
    shutil.copytree(DENSE.parent, paths.models_dir())
    async with start() as person:
        await person.press("ctrl+o")
        await opened(person, "Models")
        await person.wait_for(lambda: "2 models" in person.screen_text())
        await person.press(*"a0")
        await person.wait_for(lambda: "1 of 2" in person.screen_text())
        await person.press("enter")
        await person.wait_for(lambda: person.phase == "ready" and Path(person.loaded.path).name == MOE.name)


async def test_load_settings_are_applied_and_remembered(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+l")
        await opened(person, "Load settings")
        await person.press("end", "f5")
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.n_ctx == 4096)
    remembered = StateStore()
    assert remembered.read() == []
    assert remembered.load_of(DENSE)["n_ctx"] == 4096


async def test_what_the_command_line_says_is_not_remembered(start: StartApp) -> None:
    async with start(load={"n_ctx": 512}) as person:
        await person.ask("ping")
    remembered = StateStore()
    assert remembered.read() == []
    assert remembered.state.last_model == str(DENSE) and "n_ctx" not in remembered.load_of(DENSE)


async def test_a_last_model_that_cannot_even_be_looked_at_is_a_card(start: StartApp) -> None:
    assert StateStore().update(last_model=f"/{'x' * 300}.gguf") is None
    async with start(model=None) as person:
        await person.wait_for(lambda: "name too long." in person.screen_text())
        assert "other model" in person.screen_text()


async def test_other_load_settings_take_the_context_along(start: StartApp) -> None:
    async with start() as person:
        await person.ask("用Python写冒泡排序")
        person.app.main.models.action_raise_context()
        await person.wait_for(lambda: person.phase == "ready" and person.loaded.n_ctx == 2048)
        await person.wait_for(lambda: "Reloaded on CPU in" in person.told)
        assert "of context were kept" in person.told and "would take" not in person.told  # a handful tells nothing
        await person.ask("谢谢")
        assert person.answer_timings.n_cached > 0


async def test_settings_that_cannot_be_loaded_leave_the_model_as_it_was(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        controller = person.app.controller
        before = controller.model.choice
        impossible = msgspec.structs.replace(before, flash_attn="off", type_v="q4_0")
        assert controller.model.path
        controller.load(LoadRequest(path=controller.model.path, choice=impossible), controller.model.name)
        await person.wait_for(lambda: "could not be loaded" in person.screen_text() and person.phase == "ready")
        assert controller.model.choice == before
        await person.press("p")  # no key of the card: the prompt takes it
        assert person.app.main.query_one(Prompt).text == "p"
        await person.ask("ing")


async def test_a_saved_conversation_is_opened_from_the_list(start: StartApp) -> None:
    async with start() as person:
        await person.ask("My name is Ada.")
        await person.press("ctrl+n")
        await person.ask("ping")
        await person.press("ctrl+r")
        await opened(person, "Conversations")
        await person.wait_for(lambda: "My name is Ada." in person.screen_text())
        await person.press(*"ada", "enter")
        await person.wait_for(lambda: person.turns and person.turns[0].text == "My name is Ada.")
        assert "ping" not in person.screen_text()


async def test_a_conversation_is_renamed_and_exported(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.app.run_action("screen.rename")
        await opened(person, "Rename")
        person.app.screen.query_one(Input).value = "First words"
        await person.press("enter")
        await person.wait_for(lambda: person.app.controller.conversation.title == "First words")
        await person.press("ctrl+s")
        await opened(person, "Export as")
        await person.press("j")
        await opened(person, "Export to")
        await person.press("enter")
        await person.wait_for(lambda: list(paths.exports_dir().glob("*.json")))
        [file] = paths.exports_dir().glob("*.json")
        assert "Hello! I am Tiny Qwen." in json.dumps(json.loads(file.read_text()))
        [saved] = await person.app.store.list()
        assert saved.title == "First words"


async def test_an_exported_conversation_is_imported_by_its_path(start: StartApp, tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("Buy milk")
    turns = (user_turn("My name is Ada."), finished(answer_turn("Tiny"), text="Hello Ada.", stop="stop"))
    conversation = msgspec.structs.replace(new_conversation(title="Names"), turns=turns)
    file = export.write(conversation, tmp_path, "json")
    async with start() as person:
        await person.app.run_action("screen.import")
        await opened(person, "by ChatGPT")
        person.app.screen.query_one(Input).value = str(tmp_path / "notes.json")
        await person.press("enter")
        await opened(person, "It is no file with conversations.")
        person.app.screen.query_one(Input).value = f"'{file}'"
        await person.press("enter")
        await person.wait_for(lambda: "Hello Ada." in person.screen_text())
        [saved] = await person.app.store.list()
        assert saved.title == "Names" and saved.id == person.app.controller.conversation.id != conversation.id
        await person.ask("hello")
        assert len(person.turns) == 4


async def test_a_conversation_is_imported_from_the_command_line(start: StartApp, tmp_path: Path) -> None:
    file = export.write(msgspec.structs.replace(new_conversation(), turns=(user_turn("hello"),)), tmp_path, "json")
    async with start(model=None, import_file=file) as person:
        await person.wait_for(lambda: [turn.text for turn in person.turns] == ["hello"])
    file.write_text("{}")
    async with start(model=None, import_file=file) as person:
        await person.wait_for(lambda: f"{file} was not imported. It is no conversation" in person.told)


async def test_what_another_program_wrote_is_imported_listed_opened_and_answered(
    start: StartApp, tmp_path: Path
) -> None:
    at_ms = 1_700_000_000_000
    turns = [
        {"id": "1", "role": "user", "text": "half \ud83d of a pair", "created_at": at_ms},
        {"id": "2", "role": "assistant", "text": "Hello Ada.", "created_at": at_ms, "stop": "stop"},
    ]
    conversation = {"id": "1", "title": "From afar", "turns": turns, "created_at": at_ms, "updated_at": at_ms}
    conversation["sampling"] = {"temperature": -3.0, "top_p": 7.5, "top_k": -1_000_000, "repeat_penalty": 1e300}
    file = tmp_path / "afar.json"
    text = json.dumps({"format": export.FORMAT, "version": export.VERSION, "conversation": conversation})
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    async with start(import_file=file) as person:
        await person.wait_for(lambda: "Hello Ada." in person.screen_text())
        assert "half \ufffd of a pair" in person.screen_text()
        await person.press("ctrl+n")
        await person.wait_for(lambda: not person.turns)
        await person.press("ctrl+r")
        await opened(person, "Conversations")
        await person.wait_for(lambda: "From afar" in person.screen_text())
        await person.press("enter")
        await person.wait_for(lambda: len(person.turns) == 2)
        assert await person.ask("ping") and person.turns[-1].stop == "stop"
        [saved] = await person.app.store.list()
        assert saved.title == "From afar" and saved.created_at == at_ms / 1000
        assert person.app.controller.conversation.sampling is None


async def test_a_conversation_is_deleted_after_a_question(start: StartApp) -> None:
    async with start() as person:
        await person.ask("hello")
        await person.app.run_action("screen.delete")
        await opened(person, "Delete")
        await person.press("y")
        await person.wait_for(lambda: not person.turns)
        assert await person.app.store.list() == ()


async def test_the_system_prompt_reaches_the_model(start: StartApp) -> None:
    async with start() as person:
        await person.press("ctrl+t")
        await person.app.run_action("screen.system_prompt")
        await opened(person, "System prompt")
        person.app.screen.query_one(Prompt).set_text("You are a pirate.")
        await person.press("ctrl+s")
        await person.wait_for(lambda: person.app.controller.conversation.system_prompt)
        assert (await person.ask("hello")).startswith("Ahoy")
        n_system = person.app.main.query_one(Sidebar).figures.n_system
        assert 0 < n_system < person.answer_timings.n_prompt  # of its tokens, as the sidebar shows them


async def test_sampling_values_are_those_of_the_conversation(start: StartApp) -> None:
    async with start() as person:
        await person.app.run_action("screen.sampling")
        await opened(person, "Sampling")
        field = person.app.screen.query_one("#max_tokens", Input)
        field.value = "5"
        await person.press("ctrl+s")
        await person.wait_for(lambda: isinstance(person.app.screen, MainScreen))
        await person.ask("Count to 100")
        assert person.answer_timings.n_decode == 5
        assert "token limit reached" in person.screen_text()
        limited = person.app.controller.conversation.id
        await person.press("ctrl+n")
        await person.ask("Count to 100")
        assert person.answer_timings.n_decode > 5
    async with start() as person:
        await person.app.main.conversations.open_conversation(limited)
        await person.wait_until_ready()
        await person.ask("Count to 100")
        assert person.answer_timings.n_decode == 5


async def test_a_theme_is_seen_while_choosing_and_remembered(start: StartApp) -> None:
    async with start() as person:
        before = person.app.theme
        await person.press("f8")
        await opened(person, "Theme")
        await person.press("down")
        await person.wait_for(lambda: person.app.theme != before)
        await person.press("escape")
        await person.wait_for(lambda: person.app.theme == before)
        await person.press("f8")
        await opened(person, "Theme")
        await person.press("down", "enter")
        await person.wait_for(lambda: person.app.theme != before)
        chosen = person.app.theme
    async with start() as person:
        assert person.app.theme == chosen


async def test_a_theme_file_that_changes_is_seen_at_once(start: StartApp) -> None:
    folder = paths.user_themes_dir()
    folder.mkdir(parents=True)
    own = (paths.builtin_themes_dir() / "graphite.toml").read_text().replace('"graphite"', '"mine"', 1)
    (folder / "mine.toml").write_text(own)
    async with start(theme="mine") as person:
        assert person.app.theme == "mine"
        changed = own.replace("background = ", 'background = "#102030" # ', 1)
        (folder / "mine.toml").write_text(changed)
        await person.wait_for(lambda: person.app.current_theme.background == "#102030")


async def test_a_theme_with_a_mistake_comes_back_once_it_is_mended(
    start: StartApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.app.app.THEME_CHECK_S", 0.05)
    folder = paths.user_themes_dir()
    folder.mkdir(parents=True)
    own = (paths.builtin_themes_dir() / "graphite.toml").read_text().replace('"graphite"', '"mine"', 1)
    (folder / "mine.toml").write_text(own)
    async with start(model=None, theme="mine") as person:
        (folder / "mine.toml").write_text(own.replace("dark = true", "dark = tru"))
        await person.wait_for(lambda: person.app.theme == "graphite")
        (folder / "mine.toml").write_text(own)
        await person.wait_for(lambda: person.app.theme == "mine")
        (folder / "mine.toml").unlink()
        await person.wait_for(lambda: person.app.theme == "graphite")
        person.app.theme = "sand"
        (folder / "mine.toml").write_text(own)
        await person.wait_for(lambda: "mine" in person.app.available_themes)
        assert person.app.theme == "sand"


async def test_help_lists_every_action_and_the_palette_runs_one(start: StartApp) -> None:
    async with start() as person:
        await person.press("f1")
        await opened(person, "Keys")
        await person.press(*"regener")
        await person.wait_for(lambda: "Answer the last prompt again" in person.screen_text())
        await person.press("escape", "ctrl+p")
        await person.wait_for(lambda: "Find an action" in person.screen_text())
        await person.press(*"sidebar")
        await person.wait_for(lambda: "Show or hide the sidebar" in person.screen_text())
        await person.press("enter")
        await person.wait_for(lambda: person.app.main.has_class("-no-sidebar"))


async def test_a_key_is_changed_in_the_settings(start: StartApp) -> None:
    paths.user_settings_file().parent.mkdir(parents=True, exist_ok=True)
    own = paths.user_settings_file().parent / "own.toml"
    own.write_text('[keys]\nhelp = "alt+q"\n')
    async with start(settings_file=own) as person:
        await person.press("alt+q")
        await opened(person, "Keys")


async def test_a_key_that_edits_text_does_what_the_settings_say(start: StartApp) -> None:
    paths.user_settings_file().parent.mkdir(parents=True, exist_ok=True)
    own = paths.user_settings_file().parent / "own.toml"
    own.write_text(f'{GREEDY}{NO_RESERVE}[keys]\nstop = "ctrl+x"\n')
    async with start(settings_file=own) as person:
        async with person.slowly():
            await person.send("Count to 100")
            await person.type("a draft")
            await person.press("ctrl+x")
            await person.wait_for(lambda: person.phase == "ready")
        assert person.turns[-1].stop == "cancelled"
        assert person.app.main.query_one(Prompt).text == "a draft"
        await person.press("f2")
        assert "editing · ^x cancel" in person.screen_text()


async def test_the_engine_log_can_be_read(start: StartApp) -> None:
    async with start() as person:
        await person.press("f12")
        await opened(person, "Engine log")
        assert "sched_reserve" in person.screen_text() or "llama" in person.screen_text()


async def test_dialogs_do_not_pile_up(start: StartApp) -> None:
    async with start() as person:
        await person.press("f1")
        await opened(person, "Keys")
        await person.press("ctrl+o", "f8", "f12")
        assert len(person.app.screen_stack) == 3


async def test_mistakes_in_the_settings_are_told_and_do_no_harm(start: StartApp, home: Path) -> None:
    own = home / "own.toml"
    own.write_text('[load]\nn_ctx = "many"\n[ui]\ntheme = "none such"\n')
    async with start(settings_file=own) as person:
        assert {problem.key for problem in person.app.problems} == {"load.n_ctx", "ui.theme"}
        assert "2 mistakes" in person.screen_text()
        await person.app.run_action("show_problems")
        await opened(person, "Problems")
        assert "ui.theme" in person.screen_text()


async def test_a_notice_that_names_a_file_is_no_command_to_the_terminal(start: StartApp) -> None:
    async with start(model=None) as person:
        person.app.main.flows.tell("a\x1b[2J\x9b31m\u202ename is not there", bad=True)
        await person.wait_for(lambda: "name is not there" in person.told)
        assert not {"\x1b", "\x9b", "\u202e"} & set(person.told)


async def test_earlier_prompts_come_back_with_the_arrow_key(start: StartApp) -> None:
    async with start() as person:
        await person.ask("ping")
        await person.press("up")
        assert person.app.main.query_one(Prompt).text == "ping"
    async with start(continue_last=True) as person:
        await person.press("up")
        assert person.app.main.query_one(Prompt).text == "ping"
