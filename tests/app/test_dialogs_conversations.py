"""The list of conversations over a real store: finding, opening, renaming, deleting and exporting."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from textual.events import Paste

from tests.app.dialogs import KEYS, OPEN, opened
from tests.conftest import until
from tui.app.moments import when
from tui.app.screens.conversations import ConversationsScreen, Picked
from tui.base.text import cells
from tui.chat import export
from tui.chat.conversation import new_conversation, user_turn, with_turn
from tui.chat.place import Place
from tui.chat.schema import opening
from tui.chat.search.searcher import Results, Searcher
from tui.chat.search.wanted import Wanted
from tui.chat.store import Store, StoreError, Summary
from tui.words import use

TITLES = ("Plum cake", "中文的標題 👩‍👩‍👧", "[bold]Markup[/bold] in a title", "A cake without plums")


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Four conversations; the last of `TITLES` was used last."""
    store = Store(tmp_path / "conversations.db")
    await store.start()
    for title in TITLES:
        conversation = new_conversation()
        await store.create(with_turn(conversation, user_turn("A question")))
        await store.rename(conversation.id, title)
    yield store
    await store.close()


class StoreShelf:
    """A store as the list takes it; what is exported goes to `folder`."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.searcher = Searcher(store.path, folder / "search.db")
        self.note = ""

    @property
    def unread(self) -> StoreError | None:
        return self.store.unread

    async def list(self) -> Sequence[Summary]:
        return await self.store.list()

    def search(self, wanted: Wanted) -> AsyncGenerator[Results]:
        return self.searcher.search(wanted)

    async def rename(self, conversation_id: str, title: str) -> None:
        await self.store.rename(conversation_id, title)

    async def place(self, conversation_id: str, where: Place) -> None:
        await self.store.place(conversation_id, where)

    async def delete(self, conversation_id: str) -> None:
        await self.store.delete(conversation_id)

    async def export(self, conversation_id: str, kind: export.Kind) -> Path:
        return export.write(await self.store.open(conversation_id), self.folder, kind)


def dialog(
    store: Store, folder: Path, current: str = "", delete: Callable[[str], Awaitable[None]] | None = None
) -> ConversationsScreen:
    shelf = StoreShelf(store, folder)
    if delete is not None:
        shelf.delete = delete  # type: ignore[method-assign, assignment]
    return ConversationsScreen(shelf, KEYS, current=current)


async def titles(store: Store) -> set[str]:
    return {one.title for one in await store.list()}


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_all_conversations_are_listed_with_their_messages(
    store: Store, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with opened(dialog(store, tmp_path), size) as stage:
        await stage.shows(*(title for title in TITLES if title.isascii()), "中文", "MSGS", "4 conversations")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_in_chinese_the_columns_stand_below_their_titles(
    store: Store, tmp_path: Path, size: tuple[int, int]
) -> None:
    use("zh")
    try:
        async with opened(dialog(store, tmp_path), size) as stage:
            await stage.shows("4 个对话", "最近使用")
            rows = stage.text.split("\n")
            titles_row = next(row for row in rows if "最近使用" in row)
            started = {cells(titles_row.partition("最近使用")[0])}
            for title in TITLES[:1] + TITLES[3:]:
                row = next(row for row in rows if title in row)
                started.add(cells(re.split(r"\d\d:\d\d", row)[0]))
            assert len(started) == 1
    finally:
        use("en")


async def test_typing_finds_and_enter_opens(store: Store, tmp_path: Path) -> None:
    wanted = next(one for one in await store.list() if one.title == "Plum cake")
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("4 conversations")
        await stage.type("CAKE pl")
        await stage.shows("2 of 4 conversations")
        await stage.press("down", "enter")
        assert await stage.closes() == Picked(conversation_id=wanted.id)


async def test_the_open_conversation_is_highlighted_at_first(store: Store, tmp_path: Path) -> None:
    current = next(one for one in await store.list() if one.title == "Plum cake")
    async with opened(dialog(store, tmp_path, current.id)) as stage:
        await stage.shows("▶ Plum cake")


async def test_a_title_is_changed_in_place(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("f2")
        await stage.shows("Enter saves the new title")
        await stage.press("ctrl+u", "enter")
        await stage.shows("Enter something.")
        await stage.type("Plumless [i]cake")
        await stage.press("enter")
        await stage.shows("▶ Plumless [i]cake")
        assert "Plumless [i]cake" in await titles(store) and stage.result is OPEN


async def test_a_title_that_is_changed_or_pasted_is_no_command_to_the_terminal(store: Store, tmp_path: Path) -> None:
    evil = "a\x1b[2J\x9b31m\u202etitle"
    [first, *_] = await store.list()
    await store.rename(first.id, evil)
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("▶ a")
        await stage.press("f2")
        await stage.shows("Enter saves the new title")
        stage.host.post_message(Paste(evil))
        await until(lambda: stage.text.count("title") == 5)  # in list, filter and hint, and twice in the line
        assert not {"\x1b", "\x9b", "\u202e"} & set(stage.text)


async def test_escape_keeps_the_old_title_and_then_closes(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("f2", "x")
        await stage.shows("esc Cancel")
        await stage.press("escape")
        assert await titles(store) == set(TITLES) and stage.result is OPEN
        await stage.shows("esc Close")
        await stage.press("escape")
        assert await stage.closes() is None


async def test_while_a_title_is_written_the_list_is_left_alone(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("f2", "ctrl+d", "ctrl+s", "down")
        await stage.pilot.pause()
        assert stage.host.screen is stage.dialog and "Delete" not in stage.text
        await stage.shows("▶ A cake without plums")


async def test_deleting_asks_first_and_goes_on_to_the_next(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("ctrl+d")
        await stage.shows("Delete “A cake without plums”?", "1 message.")
        await stage.press("enter")
        await until(lambda: stage.host.screen is stage.dialog)
        assert await titles(store) == set(TITLES)
        await stage.press("ctrl+d")
        await stage.shows("Delete “A cake without plums”?")
        await stage.press("y")
        await stage.shows("3 conversations", "▶ [bold]Markup[/bold]")
        assert await titles(store) == set(TITLES[:-1])


async def test_one_that_is_slow_to_go_can_be_deleted_twice(store: Store, tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slowly(conversation_id: str) -> None:
        await go_on.wait()
        await store.delete(conversation_id)

    async with opened(dialog(store, tmp_path, delete=slowly)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("ctrl+d")
        await stage.shows("Delete “A cake without plums”?")
        await stage.press("y")
        await until(lambda: stage.host.screen is stage.dialog)
        await stage.press("ctrl+d")
        await stage.shows("Delete “A cake without plums”?")
        go_on.set()
        await until(lambda: len(stage.dialog.rows.items) == 3)  # type: ignore[attr-defined]
        await stage.press("y")
        await stage.shows("3 conversations", "▶ [bold]Markup[/bold]", "Deleted.")
        assert await titles(store) == set(TITLES[:-1])


async def test_words_find_messages_and_a_message_is_opened_where_it_stands(store: Store, tmp_path: Path) -> None:
    conversation = new_conversation(title="A story")
    for text in ("Tell me of the sea", "of the Lighthouse, at the sea, " * 30, "and a lighthouse keeper"):
        conversation = with_turn(conversation, user_turn(text))
    await store.create(conversation)
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.type("lighthouse keep")
        await stage.shows("1 of 5 conversations", "▶ A story", "❯ and a lighthouse keeper")
        await stage.press("down", "enter")
        turn_id = conversation.turns[2].id
        picked = Picked(conversation_id=conversation.id, turn_id=turn_id, words=("lighthouse", "keep"))
        assert await stage.closes() == picked


async def test_what_a_filter_does_not_say_is_told(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.type("after:soon")
        await stage.shows("Not understood: after:soon.", "4 conversations")
        await stage.press("ctrl+u")
        await stage.type("before:2020")
        await stage.shows("Nothing matches.", "0 of 4 conversations")


async def test_a_conversation_is_pinned_tagged_archived_and_comes_back(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("ctrl+end", "f3")
        await stage.shows("▶ ★ Plum cake", "Pinned.")
        assert next(iter(stage.dialog.rows.items)).conversation.title == "Plum cake"  # type: ignore[attr-defined]
        await stage.press("f5")
        await stage.shows("Tags, with blanks between them.")
        await stage.type("#Food sweet")
        await stage.press("enter")
        await stage.shows("#food #sweet", "Tagged.")
        await stage.press("f6")
        await stage.shows("3 of 4 conversations", "▶ A cake without plums", "Archived:")
        await stage.type("is:archived tag:food")
        await stage.shows("1 of 4 conversations", "▶ ★ Plum cake", "archived")
        await stage.press("f6", "ctrl+u")
        await stage.shows("4 conversations", "★ Plum cake")


async def test_the_list_is_sorted_by_what_was_chosen(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path), (120, 40)) as stage:
        await stage.shows("▶ A cake without plums", "LAST USED")
        await stage.press("f4")
        await stage.shows("newest first", "BEGUN")
        await stage.press("f4")
        await stage.shows("by title")
        items = [entry.conversation.title for entry in stage.dialog.rows.items]  # type: ignore[attr-defined]
        assert items == sorted(TITLES, key=str.casefold)


@pytest.mark.parametrize(("key", "suffix"), [("m", ".md"), ("j", ".json")])
async def test_a_conversation_is_exported_in_either_format(store: Store, tmp_path: Path, key: str, suffix: str) -> None:
    folder = tmp_path / "out"
    async with opened(dialog(store, folder), (120, 40)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("ctrl+s")
        await stage.shows("Markdown", "JSON")
        await stage.press(key)
        await stage.shows("Exported to")
        (file,) = folder.iterdir()
        assert file.suffix == suffix and "A question" in file.read_text()


async def test_an_export_that_fails_says_why(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    async with opened(dialog(store, tmp_path / "out"), (120, 40)) as stage:
        await stage.shows("▶ A cake without plums")
        await stage.press("ctrl+s", "m")
        await stage.shows("It could not be exported:")


async def test_a_store_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "missing" / "x.db")
    await store.start()

    class Broken(StoreShelf):
        async def list(self) -> tuple[()]:
            await store.open("no such conversation")
            return ()

    async with opened(ConversationsScreen(Broken(store, tmp_path), KEYS)) as stage:
        await stage.shows("The conversations cannot be read.")
        await until(lambda: "-bad" in stage.dialog.query_one("#told").classes)
    await store.close()


async def test_conversations_that_are_there_but_cannot_be_read_are_not_called_gone(
    store: Store, tmp_path: Path
) -> None:
    blocked = Store(store.path, busy_timeout_s=0.02)
    with opening(store.path, 1.0):
        async with opened(dialog(blocked, tmp_path)) as stage:
            await stage.shows("The conversations cannot be read.", "another llmtui is opening it")
            assert "No conversations yet" not in stage.text
    await blocked.close()


async def test_whatever_the_database_holds_the_list_shows_the_others(store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(store.path) as other:
        other.execute("UPDATE conversations SET updated_at = 1.7e12 WHERE title = ?", (TITLES[0],))
        other.execute("UPDATE conversations SET updated_at = 9e99 WHERE title = ?", (TITLES[1],))
    async with opened(dialog(store, tmp_path)) as stage:
        await stage.shows(TITLES[-1], "unknown", "4 conversations")


async def test_a_row_that_cannot_be_painted_takes_no_other_along(store: Store, tmp_path: Path) -> None:
    odd = Summary(id="odd", title="odd", model_path="", created_at=0.0, updated_at=9e99, n_turns=1)

    class WithOdd(StoreShelf):
        async def list(self) -> tuple[Summary, ...]:
            return (odd, *await store.list())

    async with opened(ConversationsScreen(WithOdd(store, tmp_path), KEYS)) as stage:
        await stage.shows(TITLES[-1], "cannot be shown", "5 conversations")


async def test_forty_columns_show_title_and_time(store: Store, tmp_path: Path) -> None:
    async with opened(dialog(store, tmp_path), (40, 24)) as stage:
        await stage.shows("Plum cake", "LAST USED")


def test_times_are_short_and_relative_to_the_day() -> None:
    now = datetime(2026, 3, 2, 12, 0)

    def at(*moment: int) -> str:
        return when(datetime(*moment).timestamp(), now)  # type: ignore[arg-type]

    assert at(2026, 3, 2, 0, 5) == "00:05"
    assert at(2026, 3, 1, 23, 59) == "yesterday"
    assert at(2026, 2, 3, 9, 0) == "3 Feb"
    assert at(2025, 12, 31, 9, 0) == "2025-12-31"
