"""Whether two files have one vocabulary, so that one of them can guess what the other writes. Compares the bytes of
their headers. Blocking; for a thread."""

from __future__ import annotations

import functools
import struct
from pathlib import Path

from tui.base.splitfile import part_of
from tui.models.budget import OverBudget
from tui.models.cursor import GGUFError
from tui.models.gguf import read_header
from tui.models.source import FileSource

MOST_MORE = 512
"""Tokens that one may have behind all those of the other: sizes of one family are padded differently, as Qwen2.5's."""
_MOST_BYTES = 32 << 20
_KEY = "tokenizer.ggml.tokens"
_BEFORE = struct.Struct("<IIQ")
"""Between the key and the first token: an array, of strings, so many."""


def same_vocabulary(one: Path, other: Path) -> bool:
    """Whether each token of the smaller vocabulary is the same in the larger one, which has few more. False where a
    file cannot be read or has none."""
    try:
        (n_one, texts_one), (n_other, texts_other) = (_tokens(*_identity(path)) for path in (one, other))
    except (OSError, GGUFError, OverBudget, KeyError, struct.error):
        return False
    n_same = min(len(texts_one), len(texts_other))
    return abs(n_one - n_other) <= MOST_MORE and n_same > 0 and texts_one[:n_same] == texts_other[:n_same]


def _identity(path: Path) -> tuple[Path, int, int]:
    first = part_of(path)[1][0]
    stat = first.stat()
    return first, stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _tokens(path: Path, _size: int, _changed: int) -> tuple[int, bytes]:
    """How many tokens, and their texts as they stand in the file."""
    with FileSource(path) as source:
        start, end = read_header(source, check_data=False).spans[_KEY]
        if end - start > _MOST_BYTES:
            raise KeyError(_KEY)
        raw = source.read_at(start, end - start)
    at = 8 + len(_KEY)
    _, _, n = _BEFORE.unpack_from(raw, at)
    return n, raw[at + _BEFORE.size :]
