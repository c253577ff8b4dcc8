"""What Markdown looks like as lines."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tui.app.markdown.inline import close_open_marks, inline
from tui.app.markdown.stream import MarkdownStream


def show(text: str, width: int = 40) -> list[str]:
    return [line.text.rstrip() for line in MarkdownStream(width, text, complete=True).lines]


def styles(text: str, width: int = 40) -> dict[str, str]:
    return {part: style for line in MarkdownStream(width, text, complete=True).lines for part, style in line.runs}


def test_nested_lists_keep_numbers_bullets_and_indent() -> None:
    assert show("3. three\n   - a\n     wraps here\n   - b\n4. four\n10. is five") == [
        "3. three",
        "   ◦ a",
        "     wraps here",
        "   ◦ b",
        "4. four",
        "5. is five",
    ]


def test_items_nested_by_two_under_a_number_are_its_children() -> None:
    assert show("1. one\n  - sub\n2. two") == ["1. one", "   ◦ sub", "2. two"]


def test_items_under_a_wide_number_keep_their_levels() -> None:
    text = "9. nine\n10. ten\n   - a\n     - b\n   - c\n11. eleven"
    assert show(text) == ["9. nine", "10. ten", "    ◦ a", "      ▪ b", "    ◦ c", "11. eleven"]


def test_loose_lists_keep_their_empty_lines_and_tight_ones_have_none() -> None:
    assert show("- a\n- b") == ["• a", "• b"]
    assert show("- a\n\n- b") == ["• a", "", "• b"]


def test_tasks_show_their_box() -> None:
    assert show("- [ ] open\n- [x] done") == ["☐ open", "☑ done"]


def test_wrapped_items_and_quotes_hang_under_their_text() -> None:
    assert show("- one two three four", 12) == ["• one two", "  three four"]
    assert show("> one two three four", 12) == ["▎ one two", "▎ three four"]


def test_headings_stand_apart_above_and_close_below() -> None:
    assert show("text\n## Title\nmore") == ["text", "", "Title", "more"]


def test_deep_nesting_never_leaves_less_room_than_words_need() -> None:
    text = "".join(f"{'  ' * depth}- level {depth}\n" for depth in range(20))
    assert all(len(row) <= 24 for row in show(text, 24))


def test_inline_styles_combine() -> None:
    assert inline("**bold *both* `code`** ~~no~~") == [
        ("bold ", "strong"),
        ("both", "strong+em"),
        (" ", "strong"),
        ("code", "strong+code"),
        (" ", ""),
        ("no", "strike"),
    ]


def test_links_tell_their_address_unless_the_text_does() -> None:
    assert show("[manual](http://a.b/c) <http://a.b/c>") == ["manual (http://a.b/c) http://a.b/c"]


@pytest.mark.parametrize(
    "text",
    [
        "<b>bold</b>",
        "[red]x[/red]",
        "\\(x_1 * y_2 * z\\)",
        "$a_1 * b_1 * c$",
        "<script>alert(1)</script>",
        "a_b_c 2 * 3 * 4",
    ],
)
def test_html_tex_and_rich_markup_are_shown_as_written(text: str) -> None:
    assert show(text, 60) == [text]


def test_prices_are_no_formula() -> None:
    assert show("from $5 to **$6**") == ["from $5 to $6"]


def test_display_formulas_keep_their_lines() -> None:
    assert show("$$\nx_1 * y\n$$\n\n\\[ a_b \\]") == ["$$", "x_1 * y", "$$", "", "\\[ a_b \\]"]


def test_entities_cannot_smuggle_controls() -> None:
    assert "\u202e" not in "".join(show("a &#8238; b &#27; c"))


def test_fences_show_their_language_and_highlight_it() -> None:
    found = styles("```python\nreturn 'x'  # note\n```")
    assert found[" python"] == "code.label"
    assert found["return "] == "code.keyword"
    assert found["'x'  "] == "code.string"
    assert found["# note"] == "code.comment"


def test_a_comment_over_the_cut_of_a_fence_stays_a_comment() -> None:
    code = "x = 1\n" * 22 + "'''\n\nstill a string\n'''\ny = 2\n"
    assert styles(f"```python\n{code}```")["still a string"] == "code.string"


def test_unknown_languages_and_long_code_lines_are_plain_and_folded() -> None:
    assert show("```nosuch\nabcdefghijkl\n```", 10) == [" nosuch", " abcdefgh", " ijkl"]


def test_tables_align_their_columns() -> None:
    assert show("| Model | Size |\n|:--|--:|\n| Qwen3 | 1.9 |\n| 混合 | **17** |") == [
        "Model │ Size",
        "──────┼─────",
        "Qwen3 │  1.9",
        "混合  │   17",
    ]


def test_wide_tables_wrap_inside_their_cells() -> None:
    rows = show("| Name | What it is |\n|---|---|\n| a | one two three four five six |", 24)
    assert rows == [
        "Name │ What it is",
        "─────┼──────────────────",
        "a    │ one two three",
        "     │ four five six",
    ] or all(cell_len(row) <= 24 for row in rows)
    assert " ".join(row.split("│")[-1].strip() for row in rows[2:]) == "one two three four five six"


def test_cells_may_hold_bars_and_code() -> None:
    assert show("| a | b |\n|---|---|\n| x \\| y | `c` |")[-1] == "x | y │ c"


def test_a_table_with_too_many_columns_becomes_a_list_of_fields() -> None:
    head = "|" + "|".join(f"column{number}" for number in range(8)) + "|"
    rule = "|" + "---|" * 8
    row = "|" + "|".join(f"value{number}" for number in range(8)) + "|"
    rows = show(f"{head}\n{rule}\n{row}", 30)
    assert "column3: value3" in rows
    assert all(len(shown) <= 30 for shown in rows)


def test_rows_beyond_the_first_piece_keep_the_columns() -> None:
    text = "| n | name |\n|--:|---|\n" + "".join(f"| {number} | row |\n" for number in range(80))
    bars = {row.index("│") for row in show(text)[2:]}
    assert len(bars) == 1


def test_a_row_being_written_does_not_move_the_columns() -> None:
    stream = MarkdownStream(40, "| a | b |\n|---|---|\n| one | two |\n")
    before = [line.text for line in stream.lines]
    stream.append("| a much longer ce")
    assert [line.text for line in stream.lines][: len(before)] == before


def test_open_marks_are_closed_while_text_is_written() -> None:
    assert close_open_marks("a **b") == "a **b**"
    assert close_open_marks("a **") == "a"
    assert close_open_marks("a **b*") == "a **b**"
    assert close_open_marks("a `b") == "a `b`"
    assert close_open_marks("a `**` b") == "a `**` b"


@pytest.mark.timeout(120)  # the square of it would take hours
@pytest.mark.parametrize("start", ["", "# ", "``` ", "~~~ ", "- ", "a | b\n", "a\n", "| a |\n|-|\n"])
def test_no_line_takes_time_that_grows_faster_than_it(start: str) -> None:
    for filler in (" ", "\t", "`", "~", "` ", "[", "|", "> ", "#"):
        for end in ("x", "`", "\nx"):
            line = start + filler * (60_000 // len(filler)) + end
            assert MarkdownStream(80, line, complete=True).lines
            MarkdownStream(80, line)  # as while it is being written


@pytest.mark.parametrize(
    ("text", "shown"),
    [("# a #", "a"), ("# a#", "a#"), ("##  a  ##  ", "a"), ("# #", ""), ("#", ""), ("# a # b", "a # b")],
)
def test_marks_that_close_a_heading_are_not_shown(text: str, shown: str) -> None:
    (line,) = MarkdownStream(80, text, complete=True).lines
    assert line.text == shown


@pytest.mark.parametrize(
    ("text", "closed"),
    [("a `b", "a `b`"), ("a `b` c", "a `b` c"), ("a ``b` c", "a ``b` c`"), ("`a` **b", "`a` **b**"), ("`**", "`**`")],
)
def test_code_spans_hide_marks_from_what_is_closed(text: str, closed: str) -> None:
    assert close_open_marks(text) == closed
