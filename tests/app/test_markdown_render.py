"""What Markdown looks like as lines."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from textual.color import Color

from tui.app.markdown.inline import close_open_marks, inline
from tui.app.markdown.stream import MarkdownStream
from tui.app.widgets.transcript_paint import Palette, Pen, knows_links


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
        "\\(x_1 * \\unknown{y_2} * z\\)",
        "$a_1 * \\unknown b_1 * c$",
        "<script>alert(1)</script>",
        "a_b_c 2 * 3 * 4",
    ],
)
def test_html_tex_and_rich_markup_are_shown_as_written(text: str) -> None:
    assert show(text, 60) == [text]


def test_prices_are_no_formula() -> None:
    assert show("from $5 to **$6**") == ["from $5 to $6"]
    prices = "$5 and $6", "it costs $5/$6", "US$5-A$7", "between $5-$ and 7", "$10k$ a year", "a $5 b$ c"
    for text in (*prices, "$HOME and $PATH"):
        assert show(text) == [text]


def test_display_formulas_keep_their_lines() -> None:
    source = "$$\nx_1 * \\unknown\n$$\n\n\\[ a_{\\unknown} \\]"
    assert show(source) == ["$$", "x_1 * \\unknown", "$$", "", "\\[ a_{\\unknown} \\]"]


def test_formulas_are_shown_as_they_are_read() -> None:
    assert show("Here \\(x_1^2\\) is $\\alpha$, and $n$ is $O(n^2)$.", 60) == ["Here x₁² is α, and n is O(n²)."]
    source = "$$\n\\begin{aligned}\nx &= \\frac{-b \\pm \\sqrt{b^2-4ac}}{2a} \\\\\ny &= 1\n\\end{aligned}\n$$"
    assert show(source, 60) == ["  x = (−b ± √(b²−4ac))/(2a)", "  y = 1"]
    assert show("- \\[ \\sum_{i=1}^n i \\]\n- $a_1$ und **$b_2$**") == ["•   ∑ᵢ₌₁ⁿ i", "• a₁ und b₂"]


def test_footnotes_have_small_numbers() -> None:
    assert show("It is so.[^1] And so.[^note]\n\n[^1]: Because.", 60) == ["It is so.¹ And so.[note]", "", "¹: Because."]


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


def codes(text: str) -> list[str]:
    return [block.text for block in MarkdownStream(60, text, complete=True).code_blocks()]


@pytest.mark.parametrize("indent", range(4))
def test_a_fence_closes_a_block_when_it_is_indented_by_three_at_most(indent: int) -> None:
    text = f"```python\nx = 1\n{' ' * indent}```\nAfter **it**"
    assert codes(text) == ["x = 1"] and show(text)[-1] == "After it"


@pytest.mark.parametrize("indent", (4, 5, 8))
def test_a_fence_in_a_docstring_is_code(indent: int) -> None:
    code = f"def f():\n{' ' * indent}```\n{' ' * indent}f()\n{' ' * indent}```\n    return 1"
    text = f"```python\n{code}\n```\n\nAfter **it**"
    assert codes(text) == [code] and show(text)[-1] == "After it"


def test_a_fence_in_an_item_is_measured_from_the_item() -> None:
    text = "1. one\n   ```sh\n   ls\n       ```\n   ```\n2. two"
    assert codes(text) == ["ls\n    ```"] and show(text)[-1] == "2. two"


def test_a_fence_in_an_item_may_be_closed_further_to_the_left() -> None:
    assert codes("- a\n  - b\n    ```sh\n    ls\n```\n\nAfter") == ["ls"]


@pytest.mark.parametrize("outer", ["markdown", "md", "Markdown"])
def test_blocks_with_a_language_inside_a_block_of_markdown_are_part_of_it(outer: str) -> None:
    inside = "# Title\n\n```bash\nnpm install\n```\n\n1. Or:\n\n    ```yaml\n    a: 1\n    ```\n\nDone."
    text = f"```{outer}\n{inside}\n```\n\nAfter **it**"
    assert codes(text) == [inside] and show(text)[-1] == "After it"


def test_a_longer_fence_around_a_block_is_closed_by_its_own_length_alone() -> None:
    inside = "```bash\nls\n```\n\n```\nplain\n```"
    assert codes(f"````markdown\n{inside}\n````\nAfter") == [inside]


def test_in_other_languages_the_first_bare_fence_ends_the_block() -> None:
    assert codes("```python\nx\n```bash\n```\nAfter") == ["x\n```bash"]


def test_nested_fences_are_the_same_in_whatever_pieces_they_come() -> None:
    text = "```md\n```sh\nls\n```\ntext\n```\nAfter"
    stream = MarkdownStream(60)
    for character in text:
        stream.append(character)
    stream.finish()
    assert [line.text for line in stream.lines] == [line.text for line in MarkdownStream(60, text, complete=True).lines]


@pytest.mark.parametrize(
    ("text", "strong"),
    [
        ("**“强调”**文字", "“强调”"),
        ("他说：**“你好”**。", "“你好”"),
        ("文字**（注意）**继续", "（注意）"),
        ("**注意：**请看", "注意："),
        ("これは**「重要」**です", "「重要」"),
        ("이것은**“중요”**합니다", "“중요”"),
        ("用**`code`**做", "code"),
    ],
)
def test_emphasis_stands_beside_chinese_japanese_and_korean_punctuation(text: str, strong: str) -> None:
    assert any(run == strong and "strong" in style for run, style in inline(text))
    assert "*" not in "".join(run for run, _ in inline(text))


@pytest.mark.parametrize("text", ["a_b_c", "2 * 3 * 4", "**Note:**text", "中文_强调_中文", "** 空 **"])
def test_what_is_no_emphasis_in_commonmark_stays_as_written(text: str) -> None:
    assert "".join(run for run, _ in inline(text)) == text


@pytest.mark.parametrize("tag", ["<br>", "<br/>", "<br />", "<BR>", "<Br  / >", "<br\t>"])
def test_a_line_break_is_one_however_it_is_written(tag: str) -> None:
    assert show(f"one{tag}two") == ["one", "two"]
    assert show(f"| a |\n|---|\n| one{tag}two |") == ["a", "───", "one", "two"]
    assert show(f"`one{tag.strip()}two`") == [f"one{tag}two".replace("\t", " " * 2)] or "\t" in tag


def test_a_line_of_nothing_but_a_line_break_hides_nothing() -> None:
    assert [row for row in show("one\n<br>\n**two**") if row] == ["one", "two"]


def test_a_bar_in_code_is_no_border_where_the_row_fits_then() -> None:
    assert show("| Code | Meaning |\n|---|---|\n| `1 | group` | random |")[-1] == "1 | group │ random"


def test_what_a_table_has_no_column_for_stands_in_its_last_cell() -> None:
    assert show("| a | b |\n|---|---|\n| 1 | 2 | 3 | 4 |")[-1] == "1 │ 2 | 3 | 4"
    assert show("| a | b |\n|---|---|\n| 1 |")[-1].startswith("1 │")


def painted(text: str, *, links: bool = True, width: int = 40) -> str:
    """What the terminal gets for a text."""
    palette = Palette(Style(), {"link": Style(underline=True)}, (), Color(0, 0, 0), links=links)
    pen = Pen(Console(color_system="truecolor"))
    for line in MarkdownStream(width, text, complete=True).lines:
        pen.write(palette.strip(line, width, "", "", None))
    return pen.finish()


def addresses(painted: str) -> list[str]:
    return [piece.partition("\x1b\\")[0].partition(";")[2] for piece in painted.split("\x1b]8;")[1:]]


def test_links_lead_to_their_address_where_the_terminal_can() -> None:
    assert addresses(painted("[manual](http://a.b/c?x=1+2)")) == ["http://a.b/c?x=1+2", ""]
    assert addresses(painted("see <mailto:a@b.c>.")) == ["mailto:a@b.c", ""]
    assert addresses(painted("see https://a.b/(c), then")) == ["https://a.b/(c)", ""]
    assert addresses(painted("| l |\n|---|\n| [x](http://a.b) |")) == ["http://a.b", ""]


def test_a_link_over_several_rows_is_one() -> None:
    sequences = painted(f"[{'word ' * 20}](http://a.b)", width=20)
    assert set(addresses(sequences)) == {"http://a.b", ""}
    assert addresses(sequences)[-1] == ""


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert(1))", "[x](file:///etc/passwd)", f"[x](http://a.b/{'c' * 3000})", "`http://a.b`"]
)
def test_what_is_no_address_of_the_web_leads_nowhere(text: str) -> None:
    assert addresses(painted(text)) == []


def test_an_address_cannot_end_its_sequence() -> None:
    sequences = painted("[x](<http://a.b/\x1b\\\x07\u009c>) http://a.b/\x1b]8;;http://evil\x07")
    assert all("evil" not in url or url.startswith("http://a.b") for url in addresses(sequences))
    assert all(url.isprintable() for url in addresses(sequences))


def test_terminals_that_would_print_the_sequence_do_not_get_it() -> None:
    assert addresses(painted("[x](http://a.b)", links=False)) == []
    assert not knows_links({"TERM": "linux"}) and knows_links({"TERM": "xterm-256color"})
