"""Files that prompts are about: kept with the conversation, each text once, in exports too."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from tests.chat.stored import question
from tui.chat import conversation as chat
from tui.chat import export
from tui.chat.schema import MIGRATIONS, connect, migrate
from tui.chat.store import Store
from tui.files.attachment import Attachment

LONG = "line\n" * 20_000
NOTES = Attachment(
    name="src/notes.txt",
    path="/x/src/notes.txt",
    text=LONG,
    n_bytes=100_000,
    modified_at=5.0,
    n_tokens=7,
    encoding="gb18030",
)
SMALL = Attachment(name="b.md", text="<b> ```\ud800", n_bytes=9)


def about(*files: Attachment) -> chat.Conversation:
    return chat.with_turn(chat.new_conversation(), chat.user_turn("Why?", files))


def n_texts(path: Path) -> int:
    with sqlite3.connect(path) as other:
        (n,) = other.execute("SELECT count(*) FROM file_texts").fetchone()
    return int(n)


async def test_a_file_is_kept_with_its_prompt_and_its_text_once(store: Store, path: Path) -> None:
    conversation = about(NOTES, SMALL)
    await store.create(conversation)
    another = chat.user_turn("And now?", [NOTES])
    await store.append_turn(conversation.id, another)
    first, second = (await store.open(conversation.id)).turns
    assert first.files == (NOTES, msgspec.structs.replace(SMALL, text="<b> ```?")) and second.files == (NOTES,)
    assert n_texts(path) == 2

    await store.supersede(conversation.id, [another.id])
    (gone,) = (await store.whole(conversation.id)).hidden
    assert gone.files == (NOTES,) == (await store.turn(another.id)).files
    await store.create(question("Another"))
    await store.delete(conversation.id)
    assert n_texts(path) == 0 and len(await store.list()) == 1


async def test_a_database_without_files_takes_them_from_now_on(path: Path) -> None:
    before = next(n for n, step in enumerate(MIGRATIONS) if any("file_texts" in statement for statement in step))
    path.parent.mkdir()
    connection = connect(path)
    migrate(connection, path, MIGRATIONS[:before])
    connection.execute(
        "INSERT INTO conversations(id, title, system_prompt, thinking, model_path, created_at, updated_at)"
        " VALUES ('c', 'Old', '', 1, '', 1.0, 1.0)"
    )
    connection.close()
    store = Store(path)
    await store.start()
    await store.append_turn("c", chat.user_turn("Why?", [NOTES]))
    assert (await store.open("c")).turns[0].files == (NOTES,)
    await store.close()


async def test_what_is_not_saved_yet_is_seen_with_its_files(store: Store, path: Path) -> None:
    await store.create(about(NOTES))
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    waiting = about(SMALL)
    store.create(waiting).add_done_callback(lambda done: done.exception())
    assert [len(turn.files) for turn in (await store.open(waiting.id)).turns] == [1]
    lock.close()


def test_the_model_gets_the_files_before_the_question() -> None:
    conversation = about(Attachment(name="a.txt", text="A"))
    answered = chat.with_turn(conversation, chat.finished(chat.answer_turn("M"), text="", stop="cancelled"))
    again = chat.with_turn(answered, chat.user_turn("Really?", [Attachment(name="b.txt", text="B")]))
    (message,) = chat.to_messages(again)
    assert message.content == "a.txt:\n```\nA\n```\n\nWhy?\n\nb.txt:\n```\nB\n```\n\nReally?"


def test_an_export_as_json_has_the_files_and_gives_them_back() -> None:
    conversation = about(NOTES, msgspec.structs.replace(SMALL, text="\x1b[2J"))
    text = export.to_json(conversation)
    assert export.from_json(text).shown == conversation
    assert export.n_left_out(conversation, "markdown") == 1


def test_an_export_as_markdown_folds_them() -> None:
    told = export.to_markdown(about(Attachment(name="<a>&.txt", text="x ``` y", n_bytes=2048)))
    assert (
        "<details>\n<summary>&lt;a>&amp;.txt (2.0 KiB)</summary>\n\n````\nx ``` y\n````\n\n</details>\n\nWhy?" in told
    )


def test_an_import_bounds_what_it_says_of_files() -> None:
    hostile = Attachment(
        name="a\nb\x1b" + "x" * 9000, path="p" * 9000, text="t", n_bytes=-5, n_tokens=2**60, modified_at=1e300
    )
    (file,) = export.from_json(export.to_json(about(hostile))).shown.turns[0].files
    assert file.name.startswith("a b") and len(file.name) < 5000 and len(file.path) < 5000
    assert (file.n_bytes, file.n_tokens, file.modified_at, file.text) == (0, 2**53, 0.0, "t")
    too_much = about(*(Attachment(name=str(n), text="x" * (5 << 20)) for n in range(2)))
    with pytest.raises(export.ImportProblem, match="more than 8 MiB"):
        export.from_json(export.to_json(too_much))
