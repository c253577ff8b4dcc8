"""What a stream of another encoding than UTF-8 can show."""

from __future__ import annotations

_ASCII = str.maketrans({"±": "+-", "·": "-", "…": "..."})


def for_encoding(text: str, encoding: str | None) -> str:
    """`text`, its few signs beyond ASCII replaced when the encoding of a stream lacks them."""
    return text if can_encode("".join(map(chr, _ASCII)), encoding) else text.translate(_ASCII)


def can_encode(signs: str, encoding: str | None) -> bool:
    """Whether a stream of this encoding, None for an unknown one, can show all of `signs`."""
    try:
        signs.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
