"""Nothing that is said, copied or logged is a command for a terminal, and nothing is hidden in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.patience import PATIENCE_S
from tests.running import llmtui
from tui.app.markdown.stream import MarkdownStream
from tui.base.text import MAX_MARKS, clean, clean_piece, n_harmful, one_line, without_towers
from tui.config import paths

FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("e" + "\u0301" * 50, "e" + "\u0301" * MAX_MARKS),
        ("a" + "\u200b" * 50 + "b", "a" + "\u200b" * MAX_MARKS + "b"),
        ("hid\U000e0041\U000e0042den", "hidden"),
        (FLAG, FLAG),
        ("👩‍👩‍👧" * 9 + "─" * 50, "👩‍👩‍👧" * 9 + "─" * 50),
        ("a\x1b[201~b\x9b201~c", "a\u241b[201~b\ufffd201~c"),
        ("مَرْحَبًا हिन्दी ไทย", "مَرْحَبًا हिन्दी ไทย"),
    ],
)
def test_text_that_would_be_obeyed_or_hides_something_is_changed_and_no_other(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert bool(n_harmful(text)) == (text != shown)


@given(st.text())
def test_clean_text_stays_as_it_is(text: str) -> None:
    assert clean(clean(text)) == clean(text) and n_harmful(clean(text)) == 0
    assert one_line(one_line(text)) == one_line(text)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_a_plain_line_is_the_same_as_in_a_text_that_is_not_plain(text: str) -> None:
    assert one_line(f"{text} é") == f"{one_line(text)} é".strip()
    assert one_line(text).isprintable()


@given(st.lists(st.text()))
def test_pieces_cleaned_apart_make_the_text_cleaned_at_once(pieces: list[str]) -> None:
    assert without_towers("".join(map(clean_piece, pieces))) == clean("".join(pieces))


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("```make\nall:\n\tcc\t-o a\n```", "all:\n\tcc\t-o a"),
        ("1. item\n\n   ```\n   \tin\n   ```", "\tin"),
        ("- item\n\n  ```\n\tin\n  ```", "  in"),
        ("text\n\n\tindented\n\t\ttwice", "indented\n\ttwice"),
        ("> ```\n> a\tb\n> ```", "a\tb"),
    ],
)
def test_a_code_block_is_copied_with_its_tabs(source: str, code: str) -> None:
    stream = MarkdownStream(40, source, complete=True)
    assert [block.text for block in stream.code_blocks()] == [code]
    assert not any("\t" in line.text for line in stream.lines)


@pytest.mark.parametrize(
    "arguments",
    [("--bench", "\x1b[2Jx\u202e.gguf"), ("\x9b2Jx",), ("--settings", "\x1b]0;x\x07"), ("--ctx", "\x1b[2J")],
)
def test_what_is_said_of_arguments_is_no_command(arguments: tuple[str, ...]) -> None:
    done = llmtui(*arguments)
    assert done.returncode and done.stderr
    assert not set(done.stderr) & {"\x1b", "\x9b", "\x07", "\u202e"}


def test_the_log_holds_no_command(home: Path) -> None:
    program = (
        "from tui.app.run import make_app; from tui.config.options import AppOptions\n"
        "import logging; make_app(AppOptions())\n"
        "logging.getLogger('llmtui').warning('a%s', chr(27) + '[2J' + chr(0x9b))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S, env=os.environ)
    text = paths.log_file().read_text()
    assert "a\u241b[2J" in text and not set(text) & {"\x1b", "\x9b"}
