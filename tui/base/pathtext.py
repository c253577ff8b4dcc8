"""Paths in JSON, for msgspec's hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
