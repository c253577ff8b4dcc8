"""Thinking and answer are told apart while they come, whatever pieces they come in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engine.splitter import AnswerSplitter, Marks, Pair, Part

THINK = Marks(thoughts=(Pair("<think>", "</think>"),))
TOKENS = Marks(thoughts=(Pair("\ud800", "\ud801"),), stops=("\ud802",))
"""The same with each mark as one token."""
HARMONY = Marks(
    thoughts=(Pair("\ud800analysis\ud801", "\ud802"),),
    answers=(Pair("\ud800final\ud801", ""),),
    stops=("\ud802",),
    has_headers=True,
    header_ends="\ud801",
)
WRAPPED = Marks(thoughts=THINK.thoughts, answers=(Pair("<response>", "</response>"),))
FUNCTIONS = Marks(answers=(Pair("all\n", ""),))
SENTENCE = Marks(thoughts=(Pair("", "[BEGIN FINAL RESPONSE]"),), answers=(Pair("", "[END FINAL RESPONSE]"),))


def split(
    marks: Marks, pieces: Sequence[str], part: Part = "answer", stops: Sequence[str] = ()
) -> tuple[str, str, bool]:
    """(thinking, answer, whether the turn was ended by a mark)"""
    splitter = AnswerSplitter(marks, part, stops)
    segments = [segment for piece in pieces if not splitter.ended for segment in splitter.feed(piece)]
    segments += splitter.rest()
    written = {"thinking": "", "answer": ""}
    for kind, text in segments:
        if kind == "recast":
            written = {"thinking": written["thinking"] + written["answer"], "answer": ""}
        else:
            written[kind] += text
    thinking, answer = written["thinking"], written["answer"]
    return thinking.rstrip("\n"), answer, splitter.ended


CASES: dict[str, tuple[Marks, str, Part, tuple[str, str]]] = {
    "a thought": (THINK, "<think>\nwell\n</think>\n\nyes", "answer", ("well", "yes")),
    "blanks before it": (THINK, "\n <think>well</think> yes", "answer", ("well", "\x00 yes")),
    "opened in the prompt": (THINK, "well\n</think>\n\nyes", "thinking", ("well", "yes")),
    "opened in the prompt and again": (THINK, "<think>\nwell</think>yes", "thinking", ("well", "yes")),
    "never closed": (THINK, "<think>well, let me see", "answer", ("well, let me see", "")),
    "never closed, opened in the prompt": (THINK, "well <b> and <", "thinking", ("well <b> and <", "")),
    "empty": (THINK, "<think>\n\n</think>\n\nyes", "answer", ("", "yes")),
    "several": (THINK, "<think>a</think>b\n<think>c</think>d", "answer", ("a\n\nc", "b\n\nd")),
    "closed without a beginning": (THINK, "well\n</think>\n\nyes", "answer", ("well", "yes")),
    "closed at once": (THINK, "</think>yes", "answer", ("", "yes")),
    "closed twice": (THINK, "<think>a</think>b</think>\nc", "answer", ("a", "b\nc")),
    "about tags": (
        THINK,
        "Put it into <think> and </think> marks",
        "answer",
        ("", "Put it into <think> and </think> marks"),
    ),
    "about tags, in marks": (
        THINK,
        "`<think>` opens, `</think>` closes",
        "answer",
        ("", "`<think>` opens, `</think>` closes"),
    ),
    "about tags, in a block": (
        THINK,
        "So:\n```\n<think>\na\n</think>\n```\nok",
        "answer",
        ("", "So:\n```\n<think>\na\n</think>\n```\nok"),
    ),
    "a thought about a tag within code": (
        THINK,
        "<think>it keeps the `\\n</think>\\n` block of each turn\n</think>\n\nyes",
        "answer",
        ("it keeps the `\\n</think>\\n` block of each turn", "yes"),
    ),
    "closed on a line with one backtick": (THINK, "<think>a ` b</think>\n\nyes", "answer", ("a ` b", "yes")),
    "closed on such a line, before code": (THINK, "<think>a ` b</think>Use `x`", "answer", ("a ` b", "Use `x`")),
    "closed behind code": (THINK, "<think>`a` b</think>`yes`", "answer", ("`a` b", "`yes`")),
    "ended on a line with one backtick": (THINK, "<think>a ` b</think>yes", "answer", ("a ` b", "yes")),
    "a thought about tags": (
        THINK,
        "<think>what is `</think>`?</think>a tag",
        "answer",
        ("what is `</think>`?", "a tag"),
    ),
    "not quite a mark": (
        THINK,
        "<think>1 </thin k> 2</think>a < b, <thinking> c",
        "answer",
        ("1 </thin k> 2", "a < b, <thinking> c"),
    ),
    "as tokens": (TOKENS, "\ud800well\ud801\n\nyes\ud802never", "answer", ("well", "yes")),
    "letters where there are tokens": (
        TOKENS,
        "<think>no thought</think>",
        "answer",
        ("", "<think>no thought</think>"),
    ),
    "channels": (
        HARMONY,
        "\ud800analysis\ud801well\ud802assistant\ud800final\ud801yes\ud802x",
        "between",
        ("well", "yes"),
    ),
    "channels, two thoughts": (
        HARMONY,
        "\ud800analysis\ud801a\ud802\ud800analysis\ud801b\ud802\ud800final\ud801c",
        "between",
        ("a\n\nb", "c"),
    ),
    "channels, said on the way": (
        HARMONY,
        "\ud800commentary\ud801first\ud802\ud800analysis\ud801hm\ud802\ud800final\ud801then",
        "between",
        ("hm", "first\n\nthen"),
    ),
    "channels, with more in the header": (
        HARMONY,
        "assistant to=user\ud800analysis\ud801a\ud802 to=x\ud800final \ud801b",
        "between",
        ("a", "b"),
    ),
    "channels, and none used": (HARMONY, "Just an answer.", "between", ("", "Just an answer.")),
    "channels, and a long answer without": (HARMONY, "word " * 40, "between", ("", "word " * 40)),
    "channels, broken off in a header": (HARMONY, "\ud800analysis\ud801a\ud802assistant\ud800", "between", ("a", "")),
    "an answer in tags": (WRAPPED, "<think>a</think>\n<response>b</response>\n", "answer", ("a", "b")),
    "an answer about those tags": (
        WRAPPED,
        "It is <response>b</response>.",
        "answer",
        ("", "It is <response>b</response>."),
    ),
    "a header of words": (FUNCTIONS, "all\nyes", "answer", ("", "yes")),
    "an answer that begins like it": (FUNCTIONS, "all of it", "answer", ("", "all of it")),
    "a sentence opens it": (SENTENCE, "a\n[BEGIN FINAL RESPONSE]\nb\n[END FINAL RESPONSE]", "thinking", ("a", "b\n")),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_thinking_and_answer_are_apart_whatever_pieces_they_come_in(name: str, size: int) -> None:
    marks, text, part, right = CASES[name]
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert split(marks, pieces, part)[:2] == (right[0], right[1].replace("\x00", ""))


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "answer", "ended"),
    [
        ("yes\nUser: more", "yes", True),
        ("yes\nUser", "yes\nUser", False),
        ("<think>\nUser: he asks</think>no\nUser:", "no", True),
        ("what END is", "what ", True),
        ("<think>END</think>a", "a", False),
    ],
)
def test_texts_that_end_a_turn_do_so_in_the_answer_alone(text: str, answer: str, ended: bool, size: int) -> None:
    marks = Marks(thoughts=THINK.thoughts, stops=("\nUser:",))
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert split(marks, pieces, stops=("END",))[1:] == (answer, ended)


def test_a_mark_that_ends_a_turn_ends_a_thought_that_was_never_closed_too() -> None:
    marks = Marks(thoughts=THINK.thoughts, stops=("<|im_end|>",))
    assert split(marks, ["<think>well<|im_", "end|>\nmore"]) == ("well", "", True)


@pytest.mark.parametrize(
    ("marks", "opening", "part"),
    [
        (THINK, "<|im_start|>assistant\n", "answer"),
        (THINK, "<|im_start|>assistant\n<think>\n", "thinking"),
        (THINK, "<|im_start|>assistant\n<think>\n\n</think>\n\n", "answer"),
        (HARMONY, "assistant", "between"),
        (HARMONY, "assistant\ud800final\ud801", "answer"),
        (HARMONY, "assistant\ud800analysis\ud801", "thinking"),
        (SENTENCE, "assistant\nHere is how I think:\n", "thinking"),
    ],
)
def test_where_an_answer_begins_is_read_off_the_end_of_its_prompt(marks: Marks, opening: str, part: str) -> None:
    assert marks.part_after(opening) == part


BITS = ("<", "think", ">", "/", "</think>", "<think>", "\n", "`", "a ", "```\n", "final", "analysis")
LETTERS = st.lists(st.sampled_from((*BITS, "\ud800", "\ud801", "\ud802")), max_size=40).map("".join)


@given(
    text=LETTERS,
    cuts=st.lists(st.integers(0, 200), max_size=8),
    marks=st.sampled_from([THINK, TOKENS, HARMONY, WRAPPED]),
)
def test_pieces_never_make_a_difference(text: str, cuts: list[int], marks: Marks) -> None:
    part: Part = "between" if marks.has_headers else "answer"
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert split(marks, pieces, part) == split(marks, [text], part)


@given(text=st.text(st.characters(exclude_characters="<\ud800", codec="utf-8"), max_size=200))
def test_text_without_marks_is_all_there_but_empty_lines_at_its_beginning(text: str) -> None:
    assert split(THINK, [text])[1] == (text.lstrip("\n") if text.strip() else "")


def test_a_copy_goes_on_by_itself() -> None:
    splitter = AnswerSplitter(THINK)
    splitter.feed("<think>a</thi")
    other = splitter.copy()
    assert splitter.feed("nk>b") == [("answer", "b")]
    assert other.feed("s is") == [("thinking", "</this is")]
