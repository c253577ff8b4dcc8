"""Highlighting of code as runs of styled text, a piece at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound

from tui.app.markdown.text import Run

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_LINE = 2_000
"""Lines longer than this (minified code, data) are not highlighted."""

_STYLES: dict[_TokenType, str] = {
    Token.Comment: "code.comment",
    Token.Comment.Preproc: "code.keyword",
    Token.Keyword: "code.keyword",
    Token.Keyword.Constant: "code.number",
    Token.Keyword.Type: "code.type",
    Token.Operator.Word: "code.keyword",
    Token.Literal.String: "code.string",
    Token.Literal.Number: "code.number",
    Token.Name.Function: "code.name",
    Token.Name.Class: "code.name",
    Token.Name.Decorator: "code.name",
    Token.Name.Tag: "code.keyword",
    Token.Name.Attribute: "code.name",
    Token.Name.Builtin: "code.type",
    Token.Name.Exception: "code.type",
    Token.Name.Variable: "code.type",
    Token.Generic.Heading: "code.name",
    Token.Generic.Inserted: "code.string",
    Token.Generic.Deleted: "code.keyword",
    Token.Generic.Prompt: "code.comment",
}


@lru_cache(maxsize=512)
def _style(token: _TokenType) -> str:
    kind: _TokenType | None = token
    while kind is not None:
        if kind in _STYLES:
            return _STYLES[kind]
        kind = kind.parent
    return "code.text"


@lru_cache(maxsize=32)
def _lexer(language: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name  # 7 ms that the first paint of the app does not wait for.

    try:
        return get_lexer_by_name(language.strip("{.}").lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def plain(text: str) -> list[list[Run]]:
    """Lines of code without colours."""
    return [[(line, "code.text")] if line else [] for line in text.split("\n")]


def highlight(text: str, language: str, context: str = "") -> list[list[Run]]:
    """Lines of code as runs; `context` are the lines before, lexed with them but not given back. A language that
    Pygments does not know comes out plain."""
    lexer = _lexer(language) if language else None
    if lexer is None or max(map(len, text.split("\n"))) > MAX_LINE:
        return plain(text)
    skip = context.count("\n") + 1 if context else 0
    rows: list[list[Run]] = [[]]
    for token, value in lexer.get_tokens(f"{context}\n{text}" if context else text):
        style = _style(token)
        for number, part in enumerate(value.split("\n")):
            if number:
                rows.append([])
            if part:
                row = rows[-1]
                # Blanks take the style before them: fewer changes of colour, fewer bytes to the terminal.
                if row and (row[-1][1] == style or part.isspace()):
                    row[-1] = (row[-1][0] + part, row[-1][1])
                else:
                    row.append((part, style))
    # A lexer may add or drop an end of line; the number of lines is the text's.
    count = text.count("\n") + 1
    rows = rows[skip : skip + count]
    return rows + [[] for _ in range(count - len(rows))]


class LiveCode:
    """Highlighting of a piece that is still being written: a line is lexed once, when it is complete, with a few lines
    before it; the last line stays plain. What that gets wrong (a long comment, say) is mended when the piece closes."""

    CONTEXT = 6

    def __init__(self) -> None:
        self._key = ("", "")
        self._lines: list[str] = []
        self._rows: list[list[Run]] = []

    def rows(self, text: str, language: str, context: str) -> list[list[Run]]:
        """Lines of `text` as `highlight` gives them; what grew since the last call is all that is lexed."""
        *lines, last = text.split("\n")
        known = len(self._lines)
        if (language, context) != self._key or lines[:known] != self._lines:
            self._key, self._rows, known = (language, context), [], 0
        if len(lines) > known:
            before = [*(context.split("\n") if context else []), *lines[:known]][-self.CONTEXT :]
            self._rows += highlight("\n".join(lines[known:]), language, "\n".join(before))
        self._lines = lines
        return [*self._rows, *plain(last)]
