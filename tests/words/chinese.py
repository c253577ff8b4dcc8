"""Tells Chinese texts from others."""

from __future__ import annotations


def is_chinese(text: str) -> bool:
    """Whether it has Chinese characters; it may quote a name in others."""
    return any("一" <= letter <= "鿿" for letter in text)
