"""What the prompt offers while one types: paths behind "@", commands and snippets behind "/"; and files that are
dragged in."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from tests.app.conftest import Person, StartApp
from tui.app.screens.folder_files import FolderFilesScreen
from tui.app.screens.picker import PickerScreen
from tui.app.widgets.attached_files import AttachedFiles
from tui.app.widgets.completion_list import CompletionList
from tui.app.widgets.prompt import Prompt
from tui.config import paths
from tui.config.slash import COMMANDS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where llmtui is started."""
    folder = tmp_path / "project"
    for name in ("notes.txt", "my dir/one file.txt", "src/a.py", "src/b.py", "src/lib/c.py", ".secret"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    monkeypatch.chdir(folder)
    return folder


def offered(person: Person) -> list[str]:
    shown = person.app.main.query_one(CompletionList)
    return [row.rstrip() for row in shown.rows_as_text] if shown.display else []


def text(person: Person) -> str:
    return person.app.main.query_one(Prompt).text


async def test_a_path_is_offered_while_one_types_and_taken_with_a_key(start: StartApp, folder: Path) -> None:
    async with start() as person:
        await person.press(*"see @")
        await person.wait_for(lambda: len(offered(person)) == 3)
        assert [row.split()[0] for row in offered(person)] == ["▶", "src/", "notes.txt"]
        assert "my dir/" in offered(person)[0] and offered(person)[2].endswith("10 B")
        await person.press(*"no")
        await person.wait_for(lambda: len(offered(person)) == 1)
        await person.press("tab")
        assert text(person) == "see @notes.txt " and offered(person) == []
        await person.press(*"@my")
        await person.wait_for(lambda: offered(person))
        await person.press("enter")
        assert text(person) == 'see @notes.txt @"my dir/'
        await person.wait_for(lambda: len(offered(person)) == 2)
        await person.press("down", "enter")
        assert text(person) == 'see @notes.txt @"my dir/one file.txt" '
        await person.wait_for(lambda: len(person.app.main.query_one(AttachedFiles).rows_as_text) == 3)
        await person.press("enter")
        await person.wait_for(lambda: person.turns and person.turns[-1].stop)
        assert [file.name for file in person.turns[0].files] == ["notes.txt", "my dir/one file.txt"]


async def test_what_is_offered_is_closed_and_keys_are_the_prompts_again(start: StartApp, folder: Path) -> None:
    async with start() as person:
        await person.press(*"@n")
        await person.wait_for(lambda: offered(person))
        assert "tab complete" in person.screen_text() and "enter send" not in person.screen_text()
        assert "esc Close" in person.screen_text()
        await person.press("escape")
        await person.wait_for(lambda: "enter send" in person.screen_text())
        assert offered(person) == [] and text(person) == "@n"
        await person.press("o")
        await person.pilot.pause()
        assert offered(person) == []
        await person.press("backspace", "backspace", "backspace", *"@.")
        await person.wait_for(lambda: offered(person) == ["▶ .secret  8 B"] or "▶ .secret" in "".join(offered(person)))
        await person.press("left", "left")
        await person.wait_for(lambda: offered(person) == [])
        await person.press("end", *"nothing")
        await person.wait_for(lambda: offered(person) == [])
        await person.press("enter")  # there is no such file: it is text
        await person.wait_for(lambda: person.turns)
        assert person.turns[0].text == "@.nothing"


async def test_files_of_a_folder_are_chosen_from_a_list(start: StartApp, folder: Path) -> None:
    async with start() as person:
        await person.press(*"@src/")
        await person.wait_for(lambda: len(offered(person)) == 4)
        assert "choose among all its files" in offered(person)[0]
        await person.press("enter")
        await person.wait_for(lambda: isinstance(person.app.screen, FolderFilesScreen))
        await person.wait_for(lambda: "3 of 3 files" in person.screen_text())
        await person.press("f2")
        await person.wait_for(lambda: "2 of 3 files" in person.screen_text())
        await person.press("enter")
        await person.wait_for(lambda: text(person) == "@src/b.py @src/lib/c.py ")

        await person.press(*"@src/")
        await person.wait_for(lambda: len(offered(person)) == 4)
        await person.press("enter")
        await person.wait_for(lambda: "3 of 3 files" in person.screen_text())
        await person.press("f3", "f3", "enter")
        await person.wait_for(lambda: text(person).endswith(" @src/ "))


async def test_a_click_takes_what_is_offered(start: StartApp, folder: Path) -> None:
    async with start(size=(80, 24)) as person:
        await person.press(*"@")
        await person.wait_for(lambda: len(offered(person)) == 3)
        await person.pilot.click(CompletionList, offset=(6, 2))
        await person.wait_for(lambda: text(person) == "@notes.txt ")


@pytest.mark.parametrize(
    ("dropped", "named"),
    [
        ("'{folder}/my dir/one file.txt' ", '@"{folder}/my dir/one file.txt" '),
        ("{folder}/my\\ dir/one\\ file.txt", '@"{folder}/my dir/one file.txt" '),
        ("file://{folder}/my%20dir/one%20file.txt", '@"{folder}/my dir/one file.txt" '),
        ("{folder}/notes.txt {folder}/src/a.py\n", "@{folder}/notes.txt @{folder}/src/a.py "),
        ("{folder}/notes.txt\n{folder}/my dir/one file.txt", '@{folder}/notes.txt @"{folder}/my dir/one file.txt" '),
        ("{folder}/nothing.txt", "{folder}/nothing.txt"),
        ("/usr is a folder", "/usr is a folder"),
        ("it's", "it's"),
    ],
)
async def test_a_path_that_is_dragged_in_is_mentioned(start: StartApp, folder: Path, dropped: str, named: str) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        person.app.post_message(events.Paste(dropped.format(folder=folder)))
        await person.wait_for(lambda: text(person) == named.format(folder=folder))


async def test_commands_are_found_and_run(start: StartApp, folder: Path) -> None:
    async with start() as person:
        await person.press(*"/mo")
        await person.wait_for(lambda: len(offered(person)) == 3)
        assert offered(person)[0].startswith("▶ /model ") and offered(person)[0].endswith("^o")
        await person.press("enter")
        await person.wait_for(lambda: isinstance(person.app.screen, PickerScreen))
        assert text(person) == ""
        await person.press("escape")

        await person.ask("hello")
        await person.press(*"/clear", "enter")
        await person.wait_for(lambda: not person.turns)


async def test_a_command_takes_what_stands_behind_it_and_an_unknown_one_says_what_there_is(
    start: StartApp, folder: Path
) -> None:
    async with start() as person:
        await person.type("/system You are\nbrief.")
        await person.press("enter")
        await person.wait_for(lambda: person.app.controller.conversation.system_prompt == "You are\nbrief.")
        await person.press(*"/sys", "enter")
        assert text(person) == "/system "
        person.app.main.query_one(Prompt).set_text("/rename A new name")
        await person.press("enter")
        await person.wait_for(lambda: person.app.controller.conversation.title == "A new name")

        await person.type("/systm x")
        await person.press("enter")
        await person.wait_for(lambda: "There is no command /systm" in person.told and "/system" in person.told)
        assert text(person) == "/systm x" and not person.turns
        person.app.main.query_one(Prompt).set_text("/bench now")
        await person.press("enter")
        await person.wait_for(lambda: "/bench takes nothing behind it" in person.told)
        for written in ("/usr/bin/env is what?", " /systm as text"):
            person.app.main.query_one(Prompt).set_text("")
            await person.ask(written)
        assert [turn.text for turn in person.turns if turn.role == "user"] == [
            "/usr/bin/env is what?",
            " /systm as text",
        ]


async def test_commands_need_no_model(start: StartApp) -> None:
    async with start(model=None) as person:
        await person.wait_without_a_model()
        person.app.main.query_one(Prompt).set_text("/system Be brief.")
        await person.press("enter")
        await person.wait_for(lambda: person.app.controller.conversation.system_prompt == "Be brief.")
        assert text(person) == ""
        person.app.main.query_one(Prompt).set_text("/nothing of this kind")
        await person.press("enter")
        await person.wait_for(lambda: "There is no command /nothing" in person.told)
        assert text(person) == "/nothing of this kind"


async def test_snippets_are_offered_beside_commands_and_come_into_the_prompt(start: StartApp, folder: Path) -> None:
    snippets = paths.snippets_dir()
    snippets.mkdir(parents=True)
    (snippets / "review.md").write_text("Review this code:\nbe strict\n")
    (snippets / "model.txt").write_text("a command has this name")
    (snippets / "no name.txt").write_text("cannot be typed")
    (snippets / "解释.txt").write_text("请解释")
    async with start() as person:
        await person.press(*"/rev")
        await person.wait_for(lambda: "Review this code: be strict" in "".join(offered(person)))
        await person.press("tab")
        assert text(person) == "Review this code:\nbe strict"
        person.app.main.query_one(Prompt).set_text("/解释 @notes.txt")
        await person.press("enter")
        await person.wait_for(lambda: text(person) == "请解释\n@notes.txt")
        assert person.turns == ()


def test_every_command_does_what_there_is() -> None:
    assert all(action.scope in ("app", "chat") for action in COMMANDS.values())
    assert {"model", "system", "clear", "save", "bench", "help"} <= set(COMMANDS)
