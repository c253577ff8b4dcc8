"""What a model answers becomes a title of one line, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.base.text import cells, one_line
from tui.chat.conversation import answer_turn, finished, new_conversation, title_from, user_turn, with_turn
from tui.chat.titles import MOST_COLUMNS, MOST_WORDS, has_own_title, title_in


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("Sorting a list in Python", "Sorting a list in Python"),
        ('"Sorting a list."', "Sorting a list"),
        ("**Title:** Sorting a list", "Sorting a list"),
        ("Title:\n**“Sorting a list”**", "Sorting a list"),
        ("Sure! Here's a title: Sorting a list", "Sorting a list"),
        ("Here is a title for this conversation:\n\n- 'Sorting a list'\n\nI hope it helps.", "Sorting a list"),
        ("<think>\nsix words, so\n</think>\n\nSorting a list", "Sorting a list"),
        ("six words, so</think>\nSorting a list", "Sorting a list"),
        ("# Sorting\ta   list", "Sorting a list"),
        ("标题：《红楼梦》讨论。", "《红楼梦》讨论"),
        ("**标题：如何用Python排序**", "如何用Python排序"),
        ("「列表的排序」", "列表的排序"),
        ("C++ and __init__", "C++ and __init__"),
        ('"This" and "that"', '"This" and "that"'),
        ("Why is that?", "Why is that?"),
        ("\x1b[31mred\x07", "[31mred"),
        ("", ""),
        (" \n\n", ""),
        ("…", ""),
        ("Title:", ""),
        ("<think>I never end", ""),
        ("<|im_end|>", ""),
        ("The user has asked how a list of numbers can be sorted in Python", ""),
        ("字" * 31, ""),
        ("x" * 61, ""),
    ],
)
def test_what_a_model_answers(answer: str, title: str) -> None:
    assert title_in(answer, is_whole=True) == title


def test_a_line_that_was_cut_off_is_no_title() -> None:
    assert title_in("Sorting a li", is_whole=False) == ""
    assert title_in("Sorting a list\nThis title was cho", is_whole=False) == "Sorting a list"


@given(st.text(), st.booleans())
def test_whatever_it_answers(answer: str, is_whole: bool) -> None:
    title = title_in(answer, is_whole=is_whole)
    assert title == one_line(title) and cells(title) <= MOST_COLUMNS and len(title.split()) <= MOST_WORDS


@pytest.mark.parametrize("text", ["How do I sort a list?", "一" * 100, "two\nlines", ""])
def test_a_title_of_first_words_is_nobodys(text: str) -> None:
    conversation = with_turn(new_conversation(), user_turn(text))
    conversation = with_turn(conversation, finished(answer_turn("a model"), text="So.", stop="stop"))
    assert conversation.title == title_from(text) and not has_own_title(conversation)
    assert has_own_title(with_turn(new_conversation(title="Mine"), user_turn(text)))
