"""TOML as it may be read: of a size, depth and range that settings have, whatever a file holds. What is beyond them
costs a sentence, not the start of the program."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tui.base.smallfile import read_small
from tui.words import mark, tr

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
"""Of tables and lists in each other, and of the parts of a dotted key."""
_MOST_OF_A_REASON = 160

_TOKEN = re.compile(r"""\"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[\w-]+|[ \t]+|.""", re.DOTALL)
_WORD = re.compile(r"""["'\w-]""")


class TomlError(Exception):
    """Text that cannot be used. `str()` says why in the language in use, without a full stop; `text` and `fields` are
    what that is made of."""

    def __init__(self, text: str, **fields: str) -> None:
        super().__init__(text, fields)
        self.text, self.fields = text, fields

    def __str__(self) -> str:
        return tr(self.text, **self.fields)


def read(file: Path) -> dict[str, object]:
    """The tables of a file. Raises `TomlError`, and OSError when it cannot be read (`tui.base.smallfile`)."""
    return parse(read_small(file, MAX_BYTES))


def parse(raw: bytes) -> dict[str, object]:
    """The tables of a text. Raises `TomlError`."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TomlError(mark("is not UTF-8 text (line {line})"), line=str(line)) from error
    # tomllib takes quadratic time for the parts of a key.
    if any(_has_deep_key(line) for line in text.splitlines() if line.count(".") >= MAX_DEPTH):
        raise TomlError(mark("has a key of more than {n} parts"), n=str(MAX_DEPTH))
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise TomlError(mark("is nested deeper than any settings")) from error
    except tomllib.TOMLDecodeError as error:
        # tomllib ends its sentence with the line and column.
        raise TomlError(mark("is not valid TOML: {reason}"), reason=_short(str(error))) from error
    except ValueError as error:  # Python's own limit for the digits of a number
        raise TomlError(mark("holds a number of thousands of digits")) from error
    for value, depth in _values(table):
        if depth > MAX_DEPTH:
            raise TomlError(mark("is nested deeper than any settings"))
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise TomlError(mark("holds a number of more than 64 bits"))
    return table


def _has_deep_key(line: str) -> bool:
    """Whether so many words follow each other with nothing but points between them, outside of quotes."""
    n_points, after_word = 0, False
    for token in _TOKEN.findall(line):
        if token.isspace():
            continue
        if token == "." and after_word:
            n_points += 1
            after_word = False
        elif _WORD.match(token):
            n_points = 0 if after_word else n_points
            after_word = True
        else:
            n_points, after_word = 0, False
        if n_points >= MAX_DEPTH:
            return True
    return False


def _values(table: Mapping[str, object]) -> Iterator[tuple[object, int]]:
    """All values in each other, with their depths."""
    pending: list[tuple[object, int]] = [(table, 0)]
    while pending:
        value, depth = pending.pop()
        yield value, depth
        if isinstance(value, Mapping):
            pending += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            pending += [(inner, depth + 1) for inner in value]


def _short(text: str) -> str:
    return text if len(text) <= _MOST_OF_A_REASON else f"{text[: _MOST_OF_A_REASON // 2]} … {text[-40:]}"
