"""Text from elsewhere, such as the header of a model, made safe for a terminal: cleaned of what would be taken for a
command or garble what stands beside it; where it has to fit into one line, also measured and cut in cells."""

from __future__ import annotations

import re
import unicodedata

import wcwidth

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SAFE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **dict.fromkeys((0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), ""),
    0x7F: "\u2421",
    0x09: "\t",
    0x0A: "\n",
    0x0B: " ",
    0x0C: " ",
    0x0D: "",
    0x85: "\n",
    0x2028: "\n",
    0x2029: "\n",
}


def clean(text: str) -> str:
    """Text that a terminal cannot take for a command: escapes become visible signs, direction overrides and carriage
    returns go, odd line separators become newlines. Works character by character, so pieces may be cleaned apart."""
    return text.translate(_SAFE) if _UNSAFE.search(text) else text


def pasted(text: str) -> str:
    """What was pasted, as clean text with one kind of line break, for which terminals send carriage returns."""
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """`text` with single spaces and nothing that moves the cursor, turns the direction of writing or cannot be
    encoded."""
    return " ".join("".join(map(_shown, text)).split())


def cells(line: str) -> int:
    """Terminal cells that a line of `one_line` takes."""
    return max(0, wcwidth.wcswidth(line))


def fit_columns(line: str, columns: int, ellipsis: str = "…") -> str:
    """`line`, cut between graphemes to at most `columns` terminal cells with the ellipsis at its end. Graphemes (emoji
    sequences, letters with combining marks) are kept whole."""
    if wcwidth.wcswidth(line) <= columns:
        return line
    kept, used = [], 0
    for grapheme in wcwidth.iter_graphemes(line):
        wide = cells(grapheme)
        if used + wide > columns - len(ellipsis):
            break
        kept.append(grapheme)
        used += wide
    return "".join(kept).rstrip() + ellipsis[: max(0, columns)]


def _shown(char: str) -> str:
    """`char` as one line may hold it: controls become spaces, and format characters go (bidi overrides would garble
    what stands beside them), except those that emoji sequences and Persian or Indic words are made with."""
    match unicodedata.category(char):
        case "Cc" | "Zl" | "Zp" | "Zs":
            return " "
        case "Cs" | "Co" | "Cn":
            return "\ufffd"
        case "Cf":
            return char if char in "\u200c\u200d" or "\U000e0020" <= char <= "\U000e007f" else ""
        case _:
            return char
