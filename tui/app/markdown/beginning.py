"""How a Markdown text begins, in one line without its marks: for lists that name an answer by its first words."""

from __future__ import annotations

from functools import lru_cache

from tui.app.markdown.render import render
from tui.app.markdown.splitter import BlockSplitter
from tui.app.markdown.text import Line

_SOURCE_PER_CELL = 4
"""Characters of Markdown that are read for each one that is shown: marks, addresses and blanks take some."""
_WIDE = 1000
_RULES = "─┼ "


def beginning(text: str, n: int) -> str:
    """The first words of the text, of a link what it shows, of a block of code the code, blanks as one; about `n`
    characters, or a few times as many."""
    return _read(text[: n * _SOURCE_PER_CELL])


@lru_cache(maxsize=64)
def _read(source: str) -> str:
    splitter = BlockSplitter()
    blocks = splitter.feed(source) + splitter.tail()
    lines = [_words(line) for block in blocks for line in render(block, _WIDE) if line.action != "copy"]
    return " ".join(word for line in lines if line.strip(_RULES) for word in line.split())


def _words(line: Line) -> str:
    """The row without the addresses of links."""
    return "".join(text for text, style in line.runs if "url" not in style.split("+"))
