"""Text that has to fit into one line of a terminal: cleaned of what would garble it, measured and cut in cells."""

from __future__ import annotations

import unicodedata

import wcwidth


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
