"""Tables and paragraphs line up in cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.base.columns import table, wrap
from tui.base.terminal_style import page
from tui.base.text import cells


def test_columns_line_up_whatever_the_script() -> None:
    rows = [("模型", "tok/s"), ("Qwen3 4B", "9.5"), ("千问", "1,204")]
    assert page(table(rows, "<>")) == "模型       tok/s\nQwen3 4B     9.5\n千问       1,204"


def test_a_paragraph_is_broken_at_spaces_and_between_chinese_characters() -> None:
    assert wrap("As root: apt-get install glslc", 20, first="- ", rest="  ") == [
        "- As root: apt-get",
        "  install glslc",
    ]
    assert wrap("内核没有它的驱动（amdxdna 未加载）。", 16, first="- ", rest="  ") == [
        "- 内核没有它的驱",
        "  动（amdxdna 未",
        "  加载）。",
    ]
    assert wrap("", 20, first="- ") == []


@given(st.text(st.sampled_from("ab c-模型，。（）")), st.integers(4, 30))
def test_nothing_is_lost_and_no_line_begins_with_a_full_stop(text: str, wide: int) -> None:
    lines = wrap(text, wide)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.startswith(("，", "。", "）")) for line in lines[1:])
    assert all(cells(line.rstrip(" ，。）")) <= wide or " " not in line.strip() for line in lines)
