"""Text in which each mark of a chat format that is a token of the vocabulary is one character, so that marks can be
told from letters that look like them. Runs on anything that can tokenize: knows no llama.cpp."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_FIRST, _LAST = 0xD800, 0xDFFF
"""Surrogates: no text that was decoded from UTF-8 holds one."""


class Alphabet:
    """The characters of one vocabulary, given out as marks are met."""

    def __init__(self, tokenize: Callable[[str], Sequence[int]], mark_text: Callable[[int], str | None]) -> None:
        """`tokenize` makes tokens of text, marks among them, and adds none. `mark_text` gives the text of a token that
        stands for a mark and None for one of ordinary text."""
        self._tokenize, self._mark_text = tokenize, mark_text
        self._characters: dict[int, str] = {}
        self._texts: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        """The token of each character that was given out."""

    def encode(self, text: str) -> str:
        """`text` with a character for each token that is a mark."""
        encoded, rest = "", text
        for token in self._tokenize(text):
            mark = self._mark_text(token)
            if not mark or (at := rest.find(mark)) < 0:
                continue
            if (character := self._characters.get(token)) is None:
                if _FIRST + len(self._characters) > _LAST:
                    continue
                character = self._characters[token] = chr(_FIRST + len(self._characters))
                self._texts[character], self.tokens[character] = mark, token
            encoded, rest = encoded + rest[:at] + character, rest[at + len(mark) :]
        return encoded + rest

    def known(self) -> dict[int, str]:
        """The character of each token that was met."""
        return dict(self._characters)

    def decode(self, text: str) -> str:
        """The text itself again."""
        return _CHARACTER.sub(lambda found: self._texts.get(found[0], ""), text)


_CHARACTER = re.compile("[\ud800-\udfff]")
