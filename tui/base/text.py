"""Text from elsewhere, such as the header of a model, made safe for a terminal: cleaned of what would be taken for a
command or garble what stands beside it; where it has to fit into one line, also measured and cut in cells."""

from __future__ import annotations

import re
import unicodedata

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


MAX_MARKS = 8
"""Characters without a width of their own that may follow one another: more than any script or emoji needs."""
_FLAG = "\U0001f3f4"
_TAGS = re.compile(f"({_FLAG}?)([\U000e0000-\U000e007f]+)")
_MAYBE_TOWER = re.compile(rf"(?:[^\w\x00-\u02ff]|[\u1160-\u11ff\ud7b0-\ud7ff]){{{MAX_MARKS + 1},}}")
"""Where so many characters without a width may stand; letters of a word have one."""


def clean(text: str) -> str:
    """Text that a terminal cannot take for a command: escapes become visible signs, direction overrides and carriage
    returns go, odd line separators become newlines. Nothing is hidden in it: see `without_towers`."""
    return without_towers(clean_piece(text))


def clean_piece(text: str) -> str:
    """`clean`, character by character, so that pieces may be cleaned apart; `without_towers` is for what they make."""
    return text.translate(_SAFE) if _UNSAFE.search(text) else text


def pasted(text: str) -> str:
    """What was pasted, as clean text with one kind of line break, for which terminals send carriage returns."""
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))


def without_towers(text: str) -> str:
    """`text` with at most `MAX_MARKS` characters in a row that take no room of their own (combining marks, joiners,
    variation selectors), and without tag characters, which show nothing, but for those of a flag."""
    if text.isascii():
        return text
    if max(text) >= "\U000e0000":
        text = _TAGS.sub(lambda found: found[1] and found[1] + found[2][:MAX_MARKS], text)
    return _MAYBE_TOWER.sub(_lower, text)


def n_harmful(text: str) -> int:
    """How many characters `clean` changes or leaves out; ends of lines in the form of another system do not count."""
    text = text.replace("\r\n", "\n")
    piece = clean_piece(text)
    n_changed = len(_UNSAFE.findall(text)) if piece is not text else 0
    return n_changed + len(piece) - len(without_towers(piece))


def _lower(tower: re.Match[str]) -> str:
    from wcwidth import wcwidth

    kept, n = [], 0
    for char in tower[0]:
        n = n + 1 if unicodedata.category(char) in ("Mn", "Me", "Cf") or wcwidth(char) == 0 else 0
        if n <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def one_line(text: str) -> str:
    """`text` with single spaces and nothing that moves the cursor, turns the direction of writing or cannot be
    encoded."""
    if text.isascii() and text.isprintable():  # as nearly all names are, of which a list may have ten thousand
        return " ".join(text.split())
    return " ".join(without_towers("".join(map(_shown, text))).split())


def cells(line: str) -> int:
    """Terminal cells that a line of `one_line` takes."""
    if line.isascii():
        return len(line)
    # Its tables take a third of the time in which a small program starts, and most never need them.
    from wcwidth import wcswidth

    return max(0, wcswidth(line))


def fit_columns(line: str, columns: int, ellipsis: str = "…") -> str:
    """`line`, cut between graphemes to at most `columns` terminal cells with the ellipsis at its end. Graphemes (emoji
    sequences, letters with combining marks) are kept whole."""
    if cells(line) <= columns:
        return line
    from wcwidth import iter_graphemes

    kept, used = [], 0
    for grapheme in iter_graphemes(line):
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
