"""What the bytes of a text file say, whatever they are written in."""

from __future__ import annotations

import re
from typing import NamedTuple

_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_SAMPLE = 1 << 16
"""Bytes that an encoding is guessed from."""
_GUESSED = ("gb18030", "cp1252", "latin_1", "big5", "shift_jis", "euc_jp", "euc_kr", "koi8_r", "cp1251", "cp1250")
_ENOUGH = 12
"""Bytes outside of ASCII from which a guess is better than a rule."""
_HIGH = re.compile(rb"[\x80-\xff]+")
_GB_PAIRS = re.compile(rb"(?:[\xa1-\xf7][\xa1-\xfe])+")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MOST_CONTROLS = 0.02
"""Share of control characters in what is taken for a text; a log may have a few."""


class NotText(ValueError):
    """The bytes are no text."""


class Decoded(NamedTuple):
    """A text, with one kind of line break, and what it was written in."""

    text: str
    encoding: str


def decode(data: bytes) -> Decoded:
    """The text that the bytes are. Raises `NotText`."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return _decoded(data, encoding, encoding.removesuffix("-sig"))
            except UnicodeError:
                raise NotText from None
    if b"\0" in data or len(_CONTROLS.findall(data, 0, _SAMPLE)) > _MOST_CONTROLS * min(len(data), _SAMPLE) + 1:
        raise NotText
    try:
        return _decoded(data, "utf-8", "utf-8")
    except UnicodeDecodeError:
        pass
    for encoding in (_guess(data[:_SAMPLE]), "cp1252", "latin-1"):
        try:
            return _decoded(data, encoding, encoding.replace("_", "-"))
        except UnicodeDecodeError:
            continue
    raise NotText


def _decoded(data: bytes, encoding: str, name: str) -> Decoded:
    return Decoded(data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), name)


def _guess(sample: bytes) -> str:
    """What it may be written in; it is no UTF-8."""
    high = _HIGH.findall(sample)
    if sum(map(len, high)) < _ENOUGH:
        return "gb18030" if all(map(_GB_PAIRS.fullmatch, high)) else "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(_GUESSED)).best()
    return best.encoding if best is not None else "latin-1"
