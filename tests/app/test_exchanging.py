"""Files with conversations in the app: exported to anywhere, imported from other programs, many at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual.widgets import Input

from tests.app.conftest import Person, StartApp
from tests.app.test_flows import opened
from tests.conftest import until
from tui.app.widgets.path_suggester import PathSuggester
from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn, with_turn

DATA = Path(__file__).parent.parent / "data" / "conversations"


async def import_from(person: Person, file: Path) -> None:
    await person.app.run_action("screen.import")
    await opened(person, "by ChatGPT")
    person.app.screen.query_one(Input).value = str(file)
    await person.press("enter")


async def test_many_are_imported_with_a_summary_and_none_of_them_twice(start: StartApp) -> None:
    async with start(model=None) as person:
        await import_from(person, DATA / "chatgpt.json")
        await person.wait_for(
            lambda: (
                "2 conversations were imported. 1 could not be read (it has no messages). Left out: 1 image,"
                " 2 tool calls or results." in person.told
            )
        )
        titles = {one.title: one.is_archived for one in await person.app.store.list()}
        assert titles == {"Lighthouses of Brittany": True, "Goes round": False}
        await import_from(person, DATA / "chatgpt.json")
        await person.wait_for(lambda: "0 conversations were imported. 2 were there already." in person.told)
        assert len(await person.app.store.list()) == 2


async def test_a_single_one_is_opened_and_what_is_not_in_it_is_told(start: StartApp) -> None:
    async with start(model=None) as person:
        await import_from(person, DATA / "lm-studio.conversation.json")
        await person.wait_for(lambda: "The moon pulls at the sea." in person.screen_text())
        assert "Left out: 1 image, 1 tool call or result." in person.told
        [saved] = await person.app.store.list()
        assert (saved.title, saved.is_pinned) == ("Tides", True)


async def test_a_conversation_is_exported_as_html_to_where_a_person_likes(start: StartApp, tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("mine")
    async with start() as person:
        await person.ask("hello")
        await person.press("ctrl+s")
        await opened(person, "Export as")
        await person.press("h")
        await opened(person, "Export to")
        line = person.app.screen.query_one(Input)
        assert line.value.endswith("/hello.html")
        line.value = str(tmp_path / "there.html")
        await person.press("enter")
        await opened(person, "There is such a file already")
        person.app.screen.query_one(Input).value = str(tmp_path / "new" / "x.html")
        await person.press("enter")
        await person.wait_for(lambda: (tmp_path / "new" / "x.html").exists())
        assert "Hello! I am Tiny Qwen." in (tmp_path / "new" / "x.html").read_text()
        assert (tmp_path / "there.html").read_text() == "mine"


async def test_paths_are_completed_as_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "Documents" / "灯塔").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.md").touch()
    suggester = PathSuggester()

    assert await suggester.get_suggestion(f"{tmp_path}/Do") == f"{tmp_path}/Documents/"
    assert await suggester.get_suggestion(f"{tmp_path}/Documents/") == f"{tmp_path}/Documents/灯塔/"
    assert await suggester.get_suggestion(f"{tmp_path}/.h") == f"{tmp_path}/.hidden/"
    assert await suggester.get_suggestion(f"{tmp_path}/notes.md") is None
    assert await suggester.get_suggestion(f"{tmp_path}/no/such") is None
    assert await suggester.get_suggestion("word") is None


async def test_a_table_and_several_messages_are_copied(start: StartApp) -> None:
    answer = finished(answer_turn("Qwen3"), text="So **it** is:\n\n| a | b |\n|---|---|\n| 1 | 2 |", stop="stop")
    conversation = with_turn(with_turn(new_conversation(), user_turn("Which?")), answer)
    async with start() as person:
        await person.app.store.create(conversation)
        await person.app.main.conversations.open_conversation(conversation.id)

        def copied(text: str) -> bool:
            return person.app._clipboard == text

        for key, text in (
            ("t", "a,b\n1,2\n"),
            ("p", "So it is:\n\na\tb\n1\t2\n"),
            ("w", f"## You\n\nWhich?\n\n## Qwen3\n\n{answer.text}\n"),
        ):
            await person.app.run_action("screen.copy_as")
            await opened(person, "Copy as")
            await person.press(key)
            await until(partial(copied, text))
