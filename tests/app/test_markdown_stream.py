"""A Markdown text that grows shows the same in the end, however it was cut, and few lines change at each piece."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.app.markdown.splitter import BlockSplitter
from tui.app.markdown.stream import MarkdownStream

SAMPLES = [
    "# Title\n\nSome *text* with `code`.\nsecond line\n\n",
    "- one\n- two\n  - nested\n\n    para\n- [x] done\n\n",
    "1. first\n   ```py\n   x = 1\n   ```\n2. second\n",
    "> quote\n> - in it\n\nafter\n",
    "| a | b |\n|---|--:|\n| 1 | `x` |\n| **2** | 好 |\n\n",
    "```python\ndef f():\n    '''doc\n    more'''\n\n    return 1\n```\n",
    "~~~\nno language\n",
    "$$\nx_1 * y\n$$\n\\[ a_b \\]\n",
    "<div>\n<b>x</b>\n</div>\n\n---\n***\n===\n",
    "    indented\n\n    code\n\n",
    "text\n===\n| not a table\n",
    "混合专家模型，很快。🎉 👨‍👩‍👧 é\n\n",
    "\t\ttabs\r\n\x1b[31m\n\u2028",
    "*", "`", "|", "-", "\n", " ", ">", "#", "1.", "\\",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(SAMPLES), st.text(max_size=12)), max_size=12).map("".join)


@st.composite
def chunked(draw: st.DrawFn) -> list[str]:
    text = draw(TEXT)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@settings(max_examples=300)
@given(chunked(), st.integers(4, 60))
def test_any_cutting_gives_the_same_lines_as_the_whole(chunks: list[str], width: int) -> None:
    stream = MarkdownStream(width)
    for chunk in chunks:
        stream.append(chunk)
    stream.finish()
    whole = MarkdownStream(width, "".join(chunks), complete=True)
    assert stream.lines == whole.lines
    assert stream.code_blocks() == whole.code_blocks()


@given(chunked(), st.integers(12, 60))
def test_lines_before_the_first_changed_one_are_as_they_were(chunks: list[str], width: int) -> None:
    stream = MarkdownStream(width)
    for chunk in [*chunks, None]:
        before = list(stream.lines)
        first = stream.finish() if chunk is None else stream.append(chunk)
        assert stream.lines[:first] == before[:first]


@given(TEXT, st.integers(4, 60))
def test_no_line_is_wider_than_asked(text: str, width: int) -> None:
    stream = MarkdownStream(width, text)
    for line in stream.lines:
        assert sum(cell_len(part) for part, _ in line.runs) <= width
    stream.finish()
    for line in stream.lines:
        assert sum(cell_len(part) for part, _ in line.runs) <= width


@given(TEXT, st.integers(4, 60), st.integers(4, 60))
def test_another_width_gives_what_it_gives_at_once(text: str, width: int, other: int) -> None:
    stream = MarkdownStream(width, text)
    stream.resize(other)
    stream.finish()
    assert stream.lines == MarkdownStream(other, text, complete=True).lines


@settings(max_examples=30)  # each of them is long
@given(st.text(alphabet="abc de\n*`", min_size=2_500, max_size=4_000), st.integers(10, 80))
def test_a_very_long_paragraph_grows_row_by_row_and_closes_like_any_other(text: str, width: int) -> None:
    text = text.replace("\n\n", "\n")
    stream = MarkdownStream(width)
    for start in range(0, len(text), 37):
        before = list(stream.lines)
        first = stream.append(text[start : start + 37])
        assert stream.lines[:first] == before[:first]
        assert all(cell_len(line.text) <= width for line in stream.lines)
    stream.finish()
    assert stream.lines == MarkdownStream(width, text, complete=True).lines


def test_blocks_close_as_soon_as_the_text_decides() -> None:
    splitter = BlockSplitter()
    assert splitter.feed("# Title") == []
    assert [block.kind for block in splitter.feed("\n")] == ["heading"]
    assert splitter.feed("A paragraph\nof two lines\n") == []
    assert [block.text for block in splitter.feed("\n")] == ["A paragraph\nof two lines"]
    assert splitter.feed("- one\n") == []
    assert [block.text for block in splitter.feed("- two\n")] == ["one"]


def test_long_fences_tables_and_lists_come_in_pieces() -> None:
    fence = "```python\n" + "x = 1\n" * 500
    table = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 500
    items = "- item\n" * 500
    for text in (fence, table, items):
        splitter = BlockSplitter()
        closed = splitter.feed(text)
        assert len(closed) > 8
        assert sum(len(block.text) for block in splitter.tail()) < 600


def test_the_tail_shows_what_is_open_but_no_lone_markup() -> None:
    stream = MarkdownStream(40)
    stream.append("Hello **wor")
    assert [line.runs for line in stream.lines] == [(("Hello ", ""), ("wor", "strong"))]
    stream.append("ld**\n\n- ")
    assert [line.text for line in stream.lines] == ["Hello world"]
    stream.append("x")
    assert [line.text for line in stream.lines] == ["Hello world", "", "• x"]


def test_code_of_a_cut_fence_is_copied_whole() -> None:
    code = "\n".join(f"line {number}" if number % 7 else "" for number in range(1, 200))
    stream = MarkdownStream(40, f"a\n```\n{code}\n```\nb", complete=True)
    assert [block.text for block in stream.code_blocks()] == [code]
    assert [line.text for line in stream.lines if line.action == "copy"] == [" "]


def test_a_row_that_goes_on_from_the_one_before_still_does_when_it_grows() -> None:
    stream = MarkdownStream(10)
    stream.append("word " * 600)
    for _ in range(20):
        stream.append("more ")
        assert all(line.joint == " " for line in stream.lines[1:])


def n_calls(act: Callable[[], object]) -> int:
    """How many functions are called, Python's own included."""
    count = 0

    def note(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.timeout(120)  # of what is not counted, such as copies, the square would take hours
@pytest.mark.parametrize("complete", [True, False])
def test_the_work_for_one_paragraph_grows_with_its_length_and_no_faster(complete: bool) -> None:
    few, many = (
        n_calls(functools.partial(MarkdownStream, 80, "word " * n, complete=complete)) for n in (25_000, 400_000)
    )
    assert many < 17 * few
    stream = MarkdownStream(80, "word " * 400_000)
    assert n_calls(lambda: stream.append("more ")) < few / 100
