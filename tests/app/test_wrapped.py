"""Sentences in dialogs and notices are wrapped as their language is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.content import Content
from textual.css.styles import RulesMap
from textual.widgets import Static

from tui.app.markdown.text import width_of
from tui.app.widgets.wrapped import Wrapped

CHINESE = "要继续，可以在提示词中略去最早的 2 条消息（保留系统提示词），或用更大的上下文重新加载模型。"


class OneText(App[None]):
    """A text that is as high as it needs to be, and what comes below it."""

    CSS = "#text { width: 24; height: auto; }"

    def __init__(self, text: str | Content) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(Wrapped(self._text), id="text", markup=False)
        yield Static("below", id="below")


async def rows_of(text: str | Content) -> list[str]:
    """The rows on the screen, up to what is below."""
    app = OneText(text)
    async with app.run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        rows = ["".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips()]
    return rows[: rows.index("below")]


async def test_chinese_fills_its_rows_and_punctuation_begins_none() -> None:
    assert await rows_of(CHINESE) == [
        "要继续，可以在提示词中略",
        "去最早的 2 条消息（保留",
        "系统提示词），或用更大的",
        "上下文重新加载模型。",
    ]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("one two three four five six", ["one two three four five", "six"]),
        ("first line\n\nthird line", ["first line", "", "third line"]),
        ("/a/path/that/is/longer/than/a/row", ["/a/path/that/is/longer/t", "han/a/row"]),
    ],
)
async def test_other_text_breaks_at_blanks_and_where_its_lines_end(text: str, rows: list[str]) -> None:
    assert await rows_of(text) == rows


async def test_styles_stay_where_they_were() -> None:
    app = OneText(Content.assemble(("要继续，可以在提示词中略去最早的", "bold"), "消息。"))
    async with app.run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        row = app.screen._compositor.render_strips()[1]
        bold = "".join(segment.text for segment in row if segment.style and segment.style.bold)
        assert bold == "去最早的" and row.text.startswith("去最早的消息。")


@given(st.text(st.sampled_from("ab 中文，。（）\n"), max_size=60), st.integers(2, 30))
def test_its_height_is_the_number_of_its_rows_and_none_is_too_wide(text: str, width: int) -> None:
    wrapped = Wrapped(text)
    rows = wrapped._broken(width).plain.split("\n")
    assert wrapped.get_height(RulesMap(), width) == len(rows)
    assert all(width_of(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "").replace("\n", "")
