"""Widths, line breaking and cleaning of text, for any text at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.app.markdown.beginning import beginning
from tui.app.markdown.text import GrowingText, fold, slice_runs, wrap, wrap_runs
from tui.base.text import clean

TRICKY = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(list("  \n\tab，。！）（」你好é\u0301\u200d\ufe0f👨👩👍🏽🇩🇪☀한글～ー")),
    )
)


def rows_of(text: str, width: int) -> list[str]:
    return [text[start:end] for start, end in wrap(text, width)]


@given(TRICKY.map(lambda text: clean(text).replace("\n", " ")), st.integers(2, 40))
def test_no_row_is_wider_than_asked(text: str, width: int) -> None:
    for row in rows_of(text, width):
        assert cell_len(row) <= width
    for start, end in fold(text, width):
        assert cell_len(text[start:end]) <= width


@given(TRICKY.map(lambda text: clean(text).replace("\n", " ")), st.integers(2, 40))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    assert "".join(rows_of(text, width)).replace(" ", "") == text.replace(" ", "")
    assert "".join(text[start:end] for start, end in fold(text, width)) == text


@given(
    st.lists(TRICKY.map(lambda text: clean(text).replace("\n", " ")), max_size=8),
    st.integers(2, 30),
    st.text(max_size=3),
)
def test_a_growing_text_is_wrapped_as_if_it_came_at_once(pieces: list[str], width: int, other: str) -> None:
    growing, text = GrowingText(), ""
    for piece in pieces:
        text += piece
        assert growing.wrap(text, width) == wrap(text, width)
    assert growing.wrap(text, width + 1) == wrap(text, width + 1)
    other = clean(other).replace("\n", " ")
    assert growing.wrap(other + text, width + 1) == wrap(other + text, width + 1)


@given(TRICKY.map(lambda text: clean(text).replace("\n", " ")), st.integers(2, 30))
def test_more_text_changes_the_last_row_only(text: str, width: int) -> None:
    before = wrap(text[: len(text) // 2], width)
    after = wrap(text, width)
    assert after[: len(before) - 1] == before[:-1]


@given(TRICKY)
def test_cleaned_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    for character in clean(text):
        assert character in "\n\t" or unicodedata.category(character) != "Cc"
        assert unicodedata.bidirectional(character) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }


@given(st.lists(TRICKY))
def test_text_may_be_cleaned_in_pieces(pieces: list[str]) -> None:
    assert "".join(clean(piece) for piece in pieces) == clean("".join(pieces))


def test_escapes_become_visible_and_lone_surrogates_can_be_encoded() -> None:
    assert clean("\x1b[31mred\x07\r\n\ud800") == "␛[31mred␇\n\ufffd"


def test_words_move_to_the_next_row_and_long_ones_are_folded() -> None:
    assert rows_of("one two three", 8) == ["one two", "three"]
    assert rows_of("a incomprehensibilities b", 10) == ["a", "incomprehe", "nsibilitie", "s b"]


def test_chinese_breaks_anywhere_but_before_closing_or_after_opening_marks() -> None:
    assert rows_of("混合专家模型", 8) == ["混合专家", "模型"]
    assert rows_of("混合专家，模型", 8) == ["混合专", "家，模型"]
    assert rows_of("专家（模型）", 6) == ["专家", "（模", "型）"]


def test_emoji_sequences_stay_whole() -> None:
    family = "👨‍👩‍👧"
    assert all(family in row for row in rows_of(family * 3, 2))


def test_runs_keep_their_styles_across_rows_and_say_what_was_between() -> None:
    rows = wrap_runs([("plain ", ""), ("bold words", "strong"), ("\nnext", "")], 10)
    assert rows == [
        ([("plain ", ""), ("bold", "strong")], None),
        ([("words", "strong")], " "),
        ([("next", "")], None),
    ]


def test_slices_leave_out_what_lies_between_ranges() -> None:
    assert slice_runs([("abc", "x"), ("def", "y")], [(0, 2), (2, 4), (5, 6)]) == [
        [("ab", "x")],
        [("c", "x"), ("d", "y")],
        [("f", "y")],
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("# A *heading*\n\nand `code`", "A heading and code"),
        ("- one\n- **two", "• one • two"),
        ("see [the page](https://a.b/c), please", "see the page, please"),
        ("```python\nprint(1)\n```\nthen", "print(1) then"),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n\n---\nend", "a │ b 1 │ 2 end"),
        ("  \n\n", ""),
    ],
)
def test_the_beginning_of_a_text_is_read_without_its_marks(source: str, words: str) -> None:
    assert beginning(source, 80) == words


def test_of_a_long_text_no_more_is_read_than_is_shown_of_it() -> None:
    assert len(beginning("word " * 100_000, 20)) <= 80
