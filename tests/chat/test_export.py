"""Exported conversations: what a reader sees, what can be imported again, and how the files are named and written."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.chat.imported import only
from tui.app import answer_phrases
from tui.chat import conversation as chat
from tui.chat import export
from tui.chat.conversation import Conversation, Turn
from tui.chat.foreign import reading
from tui.chat.place import MOST_TAGS, Place
from tui.chat.store import Store
from tui.protocol.records import PartialSampling, Timings

TIMINGS = Timings(n_decode=128, decode_s=4.0446, ttft_s=0.62, n_thinking=96, thinking_s=3.21)


def answer(text: str, reasoning: str = "", **fields: object) -> Turn:
    turn = chat.finished(
        chat.answer_turn("Qwen3", ["Vulkan0"]), text=text, reasoning=reasoning, stop="stop", timings=TIMINGS
    )
    return msgspec.structs.replace(turn, **fields)


def talk(*turns: Turn, title: str = "", system_prompt: str = "") -> Conversation:
    conversation = chat.new_conversation(title=title, system_prompt=system_prompt, sampling=PartialSampling(top_k=7))
    for turn in turns:
        conversation = chat.with_turn(conversation, turn)
    return conversation


def headings(markdown: str) -> list[str]:
    tokens = MarkdownIt().parse(markdown)
    return [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]


def test_markdown_has_a_heading_for_each_turn_and_folds_the_thinking() -> None:
    conversation = talk(chat.user_turn("Why?"), answer("Because.", "Let me see."), system_prompt="Be kind.")

    text = export.to_markdown(conversation)

    assert headings(text) == ["Why?", "System", "You", "Qwen3"]
    assert "<details>\n<summary>Thought for 3.2 s · 96 tokens</summary>\n\nLet me see.\n\n</details>" in text
    assert "tok/s" not in text


def test_markdown_can_leave_thinking_out_and_put_figures_in() -> None:
    text = export.to_markdown(talk(chat.user_turn("Why?"), answer("Because.", "Hm.")), thinking=False, stats=True)

    assert "Hm." not in text
    assert text.endswith("Because.\n\n*128 tokens · 31.4 tok/s · ttft 0.62 s · complete · Vulkan0*\n")


def test_an_open_code_fence_swallows_nothing_that_follows() -> None:
    conversation = talk(
        chat.user_turn("Code?"),
        answer("````python\n```\nprint(1)", "~~~\nhalf a thought", stop="cancelled"),
        chat.user_turn("More"),
    )

    text = export.to_markdown(conversation, stats=True)

    assert headings(text) == ["Code?", "You", "Qwen3", "You"]
    assert "stopped by the user" in text


def test_thinking_that_names_the_details_tag_stays_folded() -> None:
    text = export.to_markdown(talk(chat.user_turn("?"), answer("Yes", "a </details> b <DETAILS> c <b>")))

    assert text.count("</details>") == 1
    assert "a &lt;/details> b &lt;DETAILS> c <b>" in text


def test_a_crashed_answer_says_what_happened() -> None:
    crashed = answer("Half", stop="crashed", error="Vulkan:\ndevice lost")

    assert "Half\n\n> **Vulkan: device lost**\n\n*128 tokens" in export.to_markdown(talk(crashed), stats=True)


def test_json_reads_back_as_the_same_conversation() -> None:
    conversation = talk(chat.user_turn("为什么? 👩‍👩‍👧"), answer("Because.", "Hm."), system_prompt="Be kind.")

    text = export.to_json(conversation)

    assert text.startswith('{\n  "format": "llmtui-conversation",\n  "version": 1,')
    assert export.from_json(text).shown == conversation
    assert export.from_json(text.encode()).shown == conversation


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_any_text_survives_json(question: str, reply: str) -> None:
    conversation = talk(chat.user_turn(question), answer(reply, question))

    assert export.from_json(export.to_json(conversation)).shown == conversation


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# Title", "not a conversation"),
        ("[]", "not a conversation"),
        (b"\xff\xfe", "not a conversation"),
        ('{"format": "chatgpt", "version": 1}', "“chatgpt”"),
        ('{"format": "llmtui-conversation", "version": 2, "talk": []}', "Update llmtui"),
        ('{"format": "llmtui-conversation", "version": 1, "conversation": {"id": 7}}', "damaged"),
        ('{"format": "llmtui-conversation", "version": 1, "talk": ' + "[" * 100_000, "not a conversation"),
    ],
)
def test_what_is_no_conversation_is_refused_with_the_reason(text: str | bytes, says: str) -> None:
    with pytest.raises(export.ImportProblem, match=says):
        export.from_json(text)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Why is the sky blue?", "Why is the sky blue"),
        ("../../etc/passwd", "etc passwd"),
        ("a/b\\c:d*e\x00f\ng", "a b c d e f g"),
        ("为什么天空是蓝色的", "为什么天空是蓝色的"),
        ("...", "conversation"),
        ("", "conversation"),
        ("con", "_con"),
        ("👩‍👩‍👧" * 20, "👩‍👩‍👧" * 6),
    ],
)
def test_file_names_are_safe_and_still_readable(title: str, name: str) -> None:
    assert export.file_name(title) == name


@given(st.text())
def test_every_title_makes_a_file_name_that_the_system_takes(title: str) -> None:
    name = export.file_name(title)

    assert 0 < len(name.encode()) <= export.MAX_NAME_BYTES + 1
    assert not name.startswith(".")
    assert "/" not in name and "\x00" not in name


def test_files_get_names_of_their_own_and_never_replace_one(tmp_path: Path) -> None:
    conversation = talk(chat.user_turn("Why?"), answer("Because."))
    folder = tmp_path / "exports"

    paths = [export.write(conversation, folder, kind) for kind in ("markdown", "markdown", "json", "markdown")]

    assert [path.name for path in paths] == ["Why.md", "Why (2).md", "Why.json", "Why (3).md"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(path.name for path in paths)
    assert paths[1].read_text() == export.to_markdown(conversation)
    assert export.from_json(paths[2].read_bytes()).shown == conversation
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            export.write(talk(chat.user_turn("Why? " * 1000)), tmp_path, "markdown")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(tmp_path.iterdir()) == []


def test_an_imported_conversation_is_a_new_one_and_nothing_in_it_goes_on(tmp_path: Path) -> None:
    conversation = talk(chat.user_turn("Why?"), chat.answer_turn("Qwen3"))
    file = export.write(conversation, tmp_path, "json")

    found = only(file).shown

    assert [(turn.text, turn.stop) for turn in found.turns] == [("Why?", None), ("", "crashed")]
    assert {found.id, *(turn.id for turn in found.turns)}.isdisjoint(
        {conversation.id, *(turn.id for turn in conversation.turns)}
    )


def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("Buy milk")
    with (tmp_path / "model.gguf").open("wb") as model:
        model.truncate(reading.MOST_BYTES + 1)
    os.mkfifo(tmp_path / "fifo")
    for name, says in {
        "gone.json": "There is no such file",
        "\0": "There is no such file",
        "notes.json/x": "There is no such file",
        ".": "It is a folder",
        "x" * 300: "It cannot be read: File name too long",
        "notes.json": "no file with conversations",
        "model.gguf": "It has more than 1024 MiB",
        "fifo": "no file with conversations",
    }.items():
        with pytest.raises(export.ImportProblem, match=says):
            only(tmp_path / name)


def test_an_export_holds_no_command_for_a_terminal_and_says_how_much_was_left_out(tmp_path: Path) -> None:
    conversation = talk(chat.user_turn("a\x1b[31m \x9b201~ \u202eb\tc"), answer("hid\U000e0041den e" + "\u0301" * 20))

    markdown, text = export.to_markdown(conversation), export.to_json(conversation)

    assert not set(markdown) & {"\x1b", "\x9b", "\u202e", "\U000e0041"} and "b\tc" in markdown
    assert markdown.count("\u0301") == 8
    assert export.n_left_out(conversation, "markdown") >= 3 + 1 + 12 and export.n_left_out(conversation, "json") == 0
    assert not set(text) & {"\x1b", "\x9b", "\u202e", "\U000e0041"}
    assert export.from_json(text).shown == conversation


SANE = PartialSampling(top_p=0.5)


@pytest.mark.parametrize("divisor", [1, 1e-3, 1e-6, 1e-9], ids=["s", "ms", "us", "ns"])
def test_times_are_seconds_whatever_unit_they_come_in(divisor: float) -> None:
    text = export.to_json(msgspec.structs.replace(talk(chat.user_turn("?")), updated_at=1.7e9 / divisor))

    assert export.from_json(text).shown.updated_at == pytest.approx(1.7e9)


@pytest.mark.parametrize("time", [-1.0, 1e300, -1e300])
def test_a_time_that_no_clock_shows_is_unknown(time: float) -> None:
    text = export.to_json(msgspec.structs.replace(talk(chat.user_turn("?")), created_at=time))

    imported = export.from_json(text).shown
    assert imported.created_at == 0.0 and "1970" in export.to_markdown(imported)


def test_values_that_no_sampler_and_no_table_takes_are_mended() -> None:
    turn = answer("Yes", n_reasoning=2**63 + 5, reasoning_s=1e308, speeds=(-3.0,), swapped_bytes=2**64 - 1)
    conversation = msgspec.structs.replace(
        talk(chat.user_turn("?"), turn, title="two\nlines\x1b[2J" * 1000),
        sampling=PartialSampling(temperature=-5.0, top_k=2**62, top_p=0.5, seed=-7),
        max_tokens=-1,
        thinking_budget=2**60,
    )

    imported = export.from_json(export.to_json(conversation)).shown

    assert (imported.sampling, imported.max_tokens, imported.thinking_budget) == (SANE, None, None)
    assert imported.turns[-1].n_reasoning == 2**53 and imported.turns[-1].speeds == (0.0,)
    assert "\n" not in imported.title and "\x1b" not in imported.title and len(imported.title) <= 200


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_hindrance(encoding: str) -> None:
    conversation = talk(chat.user_turn("为什么?"))

    assert export.from_json(export.to_json(conversation).encode(encoding)).shown == conversation


def test_halves_of_surrogate_pairs_and_bytes_that_are_no_utf8_are_replaced() -> None:
    text = export.to_json(talk(chat.user_turn("WORDS")))

    halves = text.replace("WORDS", r"\ud800 \\ud800 \ud83d\ude00 \udc00").encode()
    assert export.from_json(halves).shown.turns[0].text == "\ufffd \\ud800 😀 \ufffd"
    assert export.from_json(text.encode().replace(b"WORDS", b"\xed\xa0\x80!")).shown.turns[0].text.endswith("!")


def test_what_is_too_much_is_refused_with_a_sentence() -> None:
    long = export.to_json(talk(chat.user_turn("x" * (export.MAX_TURN_CHARS + 1))))
    with pytest.raises(export.ImportProblem, match="One of its messages has 4,194,305 characters"):
        export.from_json(long)
    deep = '{"format": "llmtui-conversation", "version": 1, "conversation": ' + '{"a":' * 100_000
    with pytest.raises(export.ImportProblem, match="nested too deeply") as caught:
        export.from_json(deep)
    with pytest.raises(export.ImportProblem) as caught:
        export.from_json('{"format": "' + "\\u001b[31m" * 100_000 + '", "version": 1}')
    assert len(str(caught.value)) < 200 and "\x1b" not in str(caught.value)


def test_half_a_surrogate_pair_does_not_stop_an_export(tmp_path: Path) -> None:
    conversation = talk(chat.user_turn("half \ud83d"))

    assert "half ?" in export.write(conversation, tmp_path, "markdown").read_text()
    assert export.from_json(export.to_json(conversation)).shown == conversation


def test_figures_of_a_handful_of_tokens_and_of_none_are_left_out() -> None:
    def figures(timings: Timings, **fields: Any) -> str:
        turn = answer("Because.", timings=timings, **fields)
        footer = answer_phrases.answer_footer(turn)
        shown = export.to_markdown(talk(chat.user_turn("Why?"), turn), stats=True)
        assert ("tok/s" in footer) is ("tok/s" in shown) and ("ttft" in footer) is ("ttft" in shown)
        return shown

    few = Timings(n_decode=3, decode_s=0.01, ttft_s=0.62)
    assert "tok/s" not in figures(few) and "ttft 0.62 s" in figures(few)
    assert "ttft" not in figures(Timings())
    moved = {"backend": ("Vulkan0", "CPU")}
    assert "Vulkan0 – → CPU 1,613 tok/s" in figures(few, speeds=(0.0, 1613.2), **moved)
    both = figures(few, speeds=(0.0, 0.0), **moved)
    assert "tok/s" not in both and "Vulkan0 · CPU" in both


async def test_json_brings_back_where_a_conversation_stood_in_the_list(store: Store, tmp_path: Path) -> None:
    conversation, place = talk(chat.user_turn("q")), Place(is_pinned=True, is_archived=True, tags=("home", "灯塔"))
    await store.create(conversation)
    await store.place(conversation.id, place)
    whole = await store.whole(conversation.id)
    file = export.write(whole.shown, tmp_path, "json", hidden=whole.hidden, place=whole.place)
    [outcome] = reading.read(file).outcomes()
    assert outcome.place == place


def test_tags_of_a_file_are_words_and_few() -> None:
    tags = tuple(f"Tag\x1b {number}" for number in range(100))
    text = export.to_json(talk(chat.user_turn("q")), place=Place(tags=tags))
    found = export.from_json(text).place.tags
    assert 0 < len(found) <= MOST_TAGS
    assert not any("\x1b" in tag or " " in tag for tag in found)
