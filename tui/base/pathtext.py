"""Records with paths in them as JSON."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


def to_text(value: Any) -> Any:
    """A path as text."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def from_text(kind: type, value: Any) -> Any:
    """The path of a text."""
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind.__name__)


class PathJson(Generic[T]):
    """Writes and reads records of one type, or of a union."""

    def __init__(self, kind: Any) -> None:
        """`kind` is T itself."""
        self._kind = kind

    def encode(self, record: T) -> bytes:
        """One line, without its end. Raises UnicodeEncodeError for a file name that is no text."""
        return msgspec.json.encode(record, enc_hook=to_text)

    def decode(self, line: bytes) -> T:
        """The record that `encode` made this line of. Raises `msgspec.MsgspecError` for any other."""
        return self._decoder.decode(line)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[T]:
        """Made when it is wanted: that of all events takes some 20 ms, and a session in this process needs none."""
        return msgspec.json.Decoder(self._kind, dec_hook=from_text)
