"""What is copied of messages."""

from __future__ import annotations

import pytest

from tui.chat.conversation import answer_turn, finished, new_conversation, user_turn, with_turn
from tui.chat.copies import as_csv, of_turns, plain, tables

TABLE = '| Model | `read` |\n|---|--:|\n| **30B** | 1.9 GB |\n| =cmd() | -5 % |\n| a, "b" | [x](https://x.example) |\n'


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Head\n\nA **bold** `word`\nof *two* lines.\n\nMore.", "Head\n\nA bold word\nof two lines.\n\nMore.\n"),
        ("- one\n- two\n  1. deep\n  2. deeper\n- three", "- one\n- two\n  1. deep\n  2. deeper\n- three\n"),
        ("```python\nx = 1\n\ny = 2\n```\nafter", "x = 1\n\ny = 2\n\nafter\n"),
        ("See [this](https://x.example) <https://y.example>", "See this (https://x.example) https://y.example\n"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a\tb\n1\t2\n"),
        ("<b>no tag</b> & 灯塔", "<b>no tag</b> & 灯塔\n"),
        ("", "\n"),
    ],
)
def test_plain_text_is_what_is_read(markdown: str, text: str) -> None:
    assert plain(markdown) == text


def test_tables_become_csv_that_runs_nothing() -> None:
    first, second = tables(f"Before\n\n{TABLE}\nbetween\n\n| x |\n|---|\n")

    assert as_csv(first) == ('Model,read\n30B,1.9 GB\n\'=cmd(),-5 %\n"a, ""b""",x (https://x.example)\n')
    assert second == [["x"]]
    assert tables("no table | here") == []


def test_several_messages_are_copied_with_who_said_them() -> None:
    conversation = new_conversation(title="T", system_prompt="S")
    for turn in (user_turn("Why?"), finished(answer_turn("Qwen3"), text="So.", reasoning="Hm.", stop="stop")):
        conversation = with_turn(conversation, turn)

    assert of_turns(conversation, conversation.turns) == "## You\n\nWhy?\n\n## Qwen3\n\nSo.\n"
    assert of_turns(conversation, conversation.turns[1:]) == "## Qwen3\n\nSo.\n"
