"""Conversations of other programs: what is taken over, what is left out and said, and files that mean no good."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.imported import only
from tui.chat import tree
from tui.chat.conversation import Conversation, places_of
from tui.chat.export import MAX_TURN_CHARS, ImportProblem
from tui.chat.foreign.reading import Outcome, read
from tui.chat.mending import MAX_COUNT
from tui.chat.place import Place
from tui.chat.store import Store

DATA = Path(__file__).parent.parent / "data" / "conversations"


def outcomes(name: str) -> list[Outcome]:
    return list(read(DATA / name).outcomes())


def shown(outcome: Outcome) -> Conversation:
    assert outcome.whole is not None
    return outcome.whole.shown


def said(conversation: Conversation) -> list[tuple[str, str, str]]:
    return [(turn.role, turn.text, turn.reasoning) for turn in conversation.turns]


def test_chatgpt_shows_its_current_path_with_thoughts_and_keeps_its_branches() -> None:
    first, empty, round_ = outcomes("chatgpt.json")
    conversation = shown(first)

    assert conversation.title == "Lighthouses of Brittany"
    assert (conversation.created_at, conversation.updated_at) == (1717250000.5, 1717253600.25)
    assert said(conversation) == [
        ("user", "Which lighthouse is this? 灯塔", ""),
        ("assistant", "The **Petit Minou**.", "**Looking at the rock**\n\nIt stands on a rock."),
        ("user", "How high is it?", ""),
        ("assistant", "26 metres.", ""),
    ]
    assert [turn.model for turn in conversation.turns] == ["", "o3", "", "o3"]
    assert first.whole is not None
    assert [turn.text for turn in first.whole.hidden] == ["I cannot tell."]
    answer = conversation.turns[1].id
    assert len(tree.siblings(places_of(conversation), answer)) == 2
    assert dict(first.left_out) == {"image": 1, "tool": 2}
    assert first.place == Place(is_archived=True)
    assert empty.whole is None and "no messages" in empty.why
    assert said(shown(round_)) == [("user", "Still there", "")]


def test_lm_studio_takes_the_selected_version_and_its_thoughts() -> None:
    [outcome] = outcomes("lm-studio.conversation.json")
    conversation = shown(outcome)

    assert (conversation.title, conversation.system_prompt) == ("Tides", "Answer in one sentence.")
    assert conversation.created_at == 1726000000
    assert said(conversation) == [
        ("user", "Why are there tides?", ""),
        ("assistant", "The moon pulls at the sea.", "Gravity, surely."),
    ]
    assert conversation.turns[1].model == "qwen3-8b"
    assert outcome.whole is not None and [turn.text for turn in outcome.whole.hidden] == ["The wind."]
    assert dict(outcome.left_out) == {"image": 1, "tool": 1} and outcome.place.is_pinned


def test_open_webui_has_thoughts_tags_and_branches() -> None:
    [outcome] = outcomes("open-webui.json")
    conversation = shown(outcome)

    assert (conversation.title, conversation.system_prompt) == ("Foghorns", "Be brief.")
    assert said(conversation) == [
        ("user", "How loud is a foghorn?", ""),
        ("assistant", "About 120 dB.", "Loud, I <think>\nvery"),
    ]
    assert outcome.whole is not None and [turn.text for turn in outcome.whole.hidden] == ["Very."]
    assert outcome.place == Place(is_pinned=True, tags=("sea", "sound", "waves"))
    assert dict(outcome.left_out) == {"file": 1}


def test_a_line_each_of_openai_messages_and_a_damaged_one_takes_no_other_along() -> None:
    first, second, cut, other = outcomes("openai.jsonl")

    assert shown(first).system_prompt == "You are terse."
    assert said(shown(first)) == [("user", "Hi", ""), ("assistant", "Hello.", "A greeting.")]
    assert said(shown(second)) == [("user", "What is on it?", ""), ("assistant", "A boat.", "")]
    assert dict(second.left_out) == {"image": 1, "tool": 2}
    assert cut.whole is None and cut.why
    assert other.whole is None and "no conversation that llmtui knows" in other.why


async def test_what_is_imported_is_kept_with_its_branches_and_known_again(store: Store) -> None:
    for outcome in outcomes("chatgpt.json"):
        if outcome.whole is not None:
            await store.create(outcome.whole.shown, outcome.whole.hidden)

    ids = {one.id for one in await store.list()}
    assert ids == {shown(outcome).id for outcome in outcomes("chatgpt.json") if outcome.whole}
    whole = await store.whole(shown(outcomes("chatgpt.json")[0]).id)
    assert [turn.text for turn in whole.hidden] == ["I cannot tell."]


def test_chatgpts_export_is_read_as_it_is_packed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as packed:
        packed.write(DATA / "chatgpt.json", "export/conversations.json")
        packed.writestr("user.json", "{}")
        packed.writestr("chat.html", "<html>")
    assert read(tmp_path / "export.zip").n == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.json").write_text((DATA / "lm-studio.conversation.json").read_text(), encoding=encoding)
    assert only(tmp_path / "x.json").shown.title == "Tides"


def messages(*texts: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text} for text in texts]}).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no file with conversations"),
        (b"PK\x03\x04 and nothing more", "no file with conversations"),
        (b"{", "damaged"),
        (b"[]", "no conversation in it"),
        (b'["x"', "damaged"),
        (b"[1, 2]", "no conversation that llmtui knows"),
        (b"[" * 100_000, "damaged"),
        (b'{"mapping": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "."),
        ((DATA / "chatgpt.json").read_bytes()[:900], "damaged"),
        (messages("x" * (MAX_TURN_CHARS + 1)), "characters"),
        (messages(*["x"] * 20_001), "more than 20,000 messages"),
        (b'{"messages": [{"role": 7, "content": {"a": 1}}, {"role": "user", "content": 9}, 3]}', "no messages"),
    ],
)
def test_a_file_that_means_no_good_gives_a_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ImportProblem, match=says):
        for outcome in read(tmp_path / "x.json").outcomes():
            if outcome.whole is None:
                raise ImportProblem(outcome.why)


def test_a_file_that_unpacks_to_far_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.chat.foreign.reading.MOST_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("conversations.json", b" " * 20_000)
    with pytest.raises(ImportProblem, match="more than"):
        read(tmp_path / "x.zip")


def test_bytes_that_are_no_text_and_commands_for_a_terminal_stay_harmless(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(messages("A WORD").replace(b"WORD", b"\xff\xed\xa0\x80 \\ud800 \\u001b[2J"))
    conversation = only(tmp_path / "x.json").shown
    assert conversation.turns[0].text.encode() and "\x1b" not in conversation.title


def test_numbers_of_any_length_are_no_times_and_no_counts(tmp_path: Path) -> None:
    for sign in ("", "-"):
        number = f"{sign}1{'0' * 400}"
        (tmp_path / "x.json").write_text(f'{{"created": {number}, "messages": [{{"role": "user", "content": "q"}}]}}')
        assert only(tmp_path / "x.json").shown.turns[0].text == "q"
        turn = f'{{"id": "t", "role": "assistant", "text": "a", "created_at": 1, "n_reasoning": {number}}}'
        (tmp_path / "x.json").write_text(
            f'{{"format": "llmtui-conversation", "version": 1, "conversation": {{"id": "c", "created_at": 1, '
            f'"updated_at": 1, "turns": [{turn}]}}}}'
        )
        assert 0 <= only(tmp_path / "x.json").shown.turns[0].n_reasoning <= MAX_COUNT


NAMES = (
    *("mapping", "message", "parent", "role", "author", "content", "parts", "metadata"),
    *("messages", "versions", "steps", "chat", "history"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(-(10**400)) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["mapping", "messages", "chat", "history", "title", "current_node"]), values))
def test_whatever_the_types_are_there_is_an_outcome(tmp_path_factory: pytest.TempPathFactory, found: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "x.json"
    file.write_text(json.dumps(found))
    try:
        for outcome in read(file).outcomes():
            assert outcome.whole is not None or outcome.why
    except ImportProblem as problem:
        assert str(problem)
