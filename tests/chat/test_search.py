"""Finding conversations by what was said in them: with the index, without it, and when it is damaged."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from tests.chat.stored import done, question, until
from tui.chat import conversation as chat
from tui.chat.place import Place
from tui.chat.search import index
from tui.chat.search.found import Found, together
from tui.chat.search.query import Hit
from tui.chat.search.searcher import Results, Searcher
from tui.chat.search.wanted import wanted
from tui.chat.store import Store

NOW = datetime(2026, 11, 29, 12)


async def keep(store: Store, *texts: str, title: str = "", **settings: object) -> chat.Conversation:
    """A conversation of prompts and answers in turn."""
    conversation = chat.new_conversation(title=title, **settings)  # type: ignore[arg-type]
    for number, text in enumerate(texts):
        turn = chat.user_turn(text) if number % 2 == 0 else done(chat.answer_turn("Qwen3-4B"), text)
        conversation = chat.with_turn(conversation, turn)
    await store.create(conversation)
    return conversation


def bring_in_step(store: Store, index_file: Path) -> None:
    with closing(index.open_index(index_file, store.path)) as connection:
        for _ in index.keep_up(connection):
            pass


async def last(searcher: Searcher, typed: str) -> Results:
    return [results async for results in searcher.search(wanted(typed, NOW))][-1]


async def hits(store: Store, index_file: Path, typed: str) -> list[Hit]:
    searcher = Searcher(store.path, index_file)
    found = (await last(searcher, typed)).hits
    searcher.close()
    return sorted(found, key=lambda hit: -hit.score)


async def found(store: Store, index_file: Path, typed: str) -> list[Found]:
    return together(await store.list(), wanted(typed, NOW), await hits(store, index_file, typed))


@pytest.fixture(params=["indexed", "not indexed"])
def index_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / "cache" / f"{request.param}.db"


async def prepare(store: Store, index_file: Path) -> None:
    await store.flush()
    if index_file.stem == "indexed":
        bring_in_step(store, make_folder(index_file))


def make_folder(index_file: Path) -> Path:
    index_file.parent.mkdir(exist_ok=True)
    return index_file


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("LIGHT", ["The lighthouse keeper went home."]),
        ("house keep", ["The lighthouse keeper went home."]),
        ('"house keep"', ["The lighthouse keeper went home."]),
        ('"keeper house"', []),
        ("灯塔", ["从前有一座灯塔"]),
        ("塔", ["从前有一座灯塔"]),
        ("一座灯塔", ["从前有一座灯塔"]),
        ("gs(", ["def parse_args(argv): pass"]),
        ("parse_args", ["def parse_args(argv): pass"]),
        ("100%", ["It is 100% sure"]),
        ("ПРИВЕТ", ["привет, мир"]),
        ("straße", ["Eine Straße"]),
        ("'; DROP", []),
        ('a"b', ['quoted a"b']),
        ("zq", []),
    ],
)
async def test_words_are_found_in_any_case_in_any_script_and_as_parts(
    store: Store, index_file: Path, typed: str, expected: list[str]
) -> None:
    for text in (
        "The lighthouse keeper went home.", "从前有一座灯塔", "def parse_args(argv): pass", "It is 100% sure",
        "привет, мир", "Eine Straße", 'quoted a"b', "100 percent",
    ):  # fmt: skip
        await keep(store, text)
    await prepare(store, index_file)

    assert [hit.snippet.text for hit in await hits(store, index_file, typed)] == expected


async def test_a_snippet_is_a_line_around_the_words_with_each_of_them_lit(store: Store, index_file: Path) -> None:
    text = "nothing here\n" * 50 + "the keeper\n of the Lighthouse\x1b[2J waits" + "\nnothing more" * 50
    await keep(store, "Tell me a story", text)
    await prepare(store, index_file)

    (hit,) = await hits(store, index_file, "lighthouse keeper")

    snippet = hit.snippet
    assert "\n" not in snippet.text and "\x1b" not in snippet.text
    assert snippet.text.startswith("…") and snippet.text.endswith("…")
    assert [snippet.text[start:stop] for start, stop in snippet.lit] == ["keeper", "Lighthouse"]


async def test_what_was_thought_is_found_and_counts_less_than_what_was_said(store: Store, index_file: Path) -> None:
    thought = chat.finished(chat.answer_turn("Q"), text="Blue.", reasoning="Rayleigh scattering, surely", stop="stop")
    await store.create(chat.with_turn(question("Why?"), thought))
    said = await keep(store, "What is Rayleigh scattering?")
    await prepare(store, index_file)

    first, second = await hits(store, index_file, "rayleigh")

    assert (first.conversation_id, first.part) == (said.id, "text")
    assert (second.turn_id, second.part) == (thought.id, "thinking")


async def test_filters_hold_for_words_and_for_the_list_alike(store: Store, index_file: Path) -> None:
    old = await keep(store, "blue sky", "as it is", title="Old", model_path="/models/Qwen3-8B-Q4.gguf")
    tagged = await keep(store, "blue sea", title="Tagged", model_path="/models/gemma-3-4b.gguf")
    away = await keep(store, "blue ink", title="Away", model_path="/models/gemma-3-4b.gguf")
    await store.place(tagged.id, Place(is_pinned=True, tags=("sea",)))
    await store.place(away.id, Place(is_archived=True))
    await store.flush()
    moment = datetime(2026, 3, 5, 12).timestamp()
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE turns SET created_at = ? WHERE conversation_id = ?", (moment, old.id))
        connection.execute("UPDATE conversations SET created_at = ?, updated_at = ? WHERE id = ?",
                           (moment, moment, old.id))  # fmt: skip
    await prepare(store, index_file)

    async def titles(typed: str) -> set[str]:
        return {one.conversation.title for one in await found(store, index_file, typed)}

    for words in ("blue", ""):
        everywhere = {"Old", "Tagged", "Away"} if words else {"Old", "Tagged"}
        assert await titles(words) == everywhere
        assert await titles(f"{words} model:QWEN3") == {"Old"}
        assert await titles(f"{words} before:2026-04") == {"Old"}
        assert await titles(f"{words} after:2026-03-06") == everywhere - {"Old"}
        assert await titles(f"{words} after:2026-03-05 before:2026-03-06") == {"Old"}
        assert await titles(f"tag:SEA {words}") == {"Tagged"}
        assert await titles(f"is:pinned {words}") == {"Tagged"}
        assert await titles(f"is:archived {words}") == {"Away"}


async def test_a_title_with_all_words_comes_first_and_says_how_many_messages_hold_them(
    store: Store, index_file: Path
) -> None:
    await keep(store, *("lighthouse " * n for n in range(1, 8)), title="Other things")
    await keep(store, "What is it?", title="The Lighthouse")
    await prepare(store, index_file)

    named, other = await found(store, index_file, "lighthouse")

    assert (named.conversation.title, named.n_hits) == ("The Lighthouse", 0)
    assert (other.n_hits, len(other.hits)) == (7, 3)


async def test_an_answer_is_found_once_it_has_ended_and_what_was_deleted_is_in_no_file(
    store: Store, tmp_path: Path
) -> None:
    index_file = make_folder(tmp_path / "cache" / "search.db")
    conversation = question("Say it")
    await store.create(conversation)
    answer = chat.answer_turn("Q")
    await store.append_turn(conversation.id, answer)
    store.update_stream(answer.id, "xylophone")
    await store.flush()
    bring_in_step(store, index_file)
    assert await hits(store, index_file, "xylophone") == []
    await store.finish_turn(done(answer, "xylophone"))
    assert len(await hits(store, index_file, "xylophone")) == 1, "before it is in the index"
    bring_in_step(store, index_file)
    assert len(await hits(store, index_file, "xylophone")) == 1

    await store.delete(conversation.id)
    bring_in_step(store, index_file)

    assert await hits(store, index_file, "xylophone") == []
    with closing(sqlite3.connect(index_file)) as connection:
        terms = "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, letters, row)"
        connection.execute(terms)
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM temp.terms").fetchone() == (0,)


async def test_a_message_that_was_changed_is_found_as_it_is_now(store: Store, tmp_path: Path) -> None:
    index_file = make_folder(tmp_path / "cache" / "search.db")
    conversation = await keep(store, "Which?", "an apple")
    await store.flush()
    bring_in_step(store, index_file)
    answer = conversation.turns[1]
    await store.finish_turn(msgspec.structs.replace(answer, text="a grape"))
    for _ in range(2):
        assert await hits(store, index_file, "apple") == []
        assert [hit.turn_id for hit in await hits(store, index_file, "grape")] == [answer.id]
        bring_in_step(store, index_file)


@pytest.mark.parametrize("damage", [b"no database", b""])
async def test_an_index_that_is_damaged_hides_nothing_and_is_made_anew(
    store: Store, tmp_path: Path, damage: bytes
) -> None:
    index_file = make_folder(tmp_path / "cache" / "search.db")
    for number in range(50):
        await keep(store, f"the needle {number} " * 200)
    await store.flush()
    bring_in_step(store, index_file)
    whole = index_file.read_bytes()
    index_file.write_bytes(damage * 500 or whole[:8192] + os.urandom(len(whole) - 8192))

    searcher = Searcher(store.path, index_file)
    assert len((await last(searcher, "needle")).hits) == 50
    searcher.keep_index()
    await until(lambda: searcher.progress is None and _n_indexed(index_file) == 50)
    assert searcher.trouble is None
    searcher.close()


async def test_an_index_whose_packed_texts_are_damaged_is_made_anew(store: Store, tmp_path: Path) -> None:
    index_file = make_folder(tmp_path / "cache" / "search.db")
    conversation = await keep(store, "an apple", "a pear")
    bring_in_step(store, index_file)
    with closing(sqlite3.connect(index_file, isolation_level=None)) as other:
        other.execute("UPDATE messages SET packed = x'00ff'")
    await store.remove_turn(conversation.id, conversation.turns[0].id, [turn.id for turn in conversation.turns])
    searcher = Searcher(store.path, index_file)
    searcher.keep_index()
    await until(lambda: _n_messages(index_file) == 1)
    assert (await last(searcher, "apple")).hits == () and len((await last(searcher, "pear")).hits) == 1
    searcher.close()


def _n_messages(index_file: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{index_file.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM messages").fetchone()[0])
    except sqlite3.Error:
        return 0


def _n_indexed(index_file: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{index_file.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM conversations").fetchone()[0])
    except sqlite3.Error:
        return 0


async def test_where_no_index_can_be_written_that_is_said_and_all_is_found(store: Store, tmp_path: Path) -> None:
    await keep(store, "the needle")
    await store.flush()
    (tmp_path / "cache").write_text("a file in the place of the folder")
    searcher = Searcher(store.path, tmp_path / "cache" / "search.db")
    searcher.keep_index()
    await until(lambda: searcher.trouble is not None)

    assert "cannot be kept" in str(searcher.trouble)
    assert len((await last(searcher, "needle")).hits) == 1
    searcher.close()


async def test_a_search_ends_when_the_next_one_begins(store: Store, tmp_path: Path) -> None:
    for number in range(20):
        await keep(store, f"the needle {number} " * 2000)
    await store.flush()
    searcher = Searcher(store.path, tmp_path / "none.db")
    first = searcher.search(wanted("needle", NOW))
    await anext(first)
    await first.aclose()

    results = await last(searcher, "needle 19")
    assert results.is_whole and [hit.snippet.text.count("needle 19") > 0 for hit in results.hits] == [True]
    searcher.close()


@pytest.mark.parametrize(
    ("typed", "unclear"),
    [
        ("after:2026-13", ("after:2026-13",)),
        ("before:soon x", ("before:soon",)),
        ("after:", ()),
        ("after:2026-", ()),
        ("after:20", ()),
        ("before:tod", ()),
    ],
)
def test_a_filter_that_says_nothing_is_named_and_left_out(typed: str, unclear: tuple[str, ...]) -> None:
    assert wanted(typed, NOW).unclear == unclear
    assert not wanted(typed, NOW).has_filters


def test_what_looks_like_a_filter_and_is_none_is_a_word() -> None:
    assert wanted("http://x std::move is:it “x” model:", NOW).words == ("http://x", "std::move", "is:it", "“x”")
    assert wanted("after:7d", NOW).after == datetime(2026, 11, 22).timestamp()
    assert wanted("model：“no” before:yesterday", NOW).before == datetime(2026, 11, 28).timestamp()
