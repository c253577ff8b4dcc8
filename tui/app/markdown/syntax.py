"""What a single line of Markdown may be: patterns and functions on a line, without a memory of the ones before."""

from __future__ import annotations

import re

TAB = 4
"""Cells from one tab stop to the next."""
MAX_DEPTH = 32
"""Quotes and lists nest no deeper; what looks deeper is text."""

# No two neighbours in these patterns that repeat take the same character: a line of 20,000 spaces would be tried in 200
# million ways.
QUOTE = re.compile(r" {0,3}> ?")
ITEM = re.compile(r"( {0,3})([-*+]|\d{1,9}[.)])( +(?=\S)| *$)")
TASK = re.compile(r"\[([ xX])\] +(?=\S)")
FENCE = re.compile(r" {0,3}(`{3,}(?!`)|~{3,}(?!~))([^`]*)$")
HEADING = re.compile(r" {0,3}(#{1,6})(?: (.*))?$")
RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *$")
SETEXT = re.compile(r" {0,3}=+ *$")
MATH = re.compile(r" {0,3}(\$\$|\\\[)")
HTML = re.compile(
    r" {0,3}<(?:!--|[!?]|/?(?:address|article|aside|blockquote|body|center|dd|details|dialog|div|dl|dt|fieldset|"
    r"figure|footer|form|h[1-6]|head|header|hr|html|iframe|li|link|main|menu|meta|nav|ol|option|p|pre|script|section|"
    r"select|source|style|summary|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video)(?:[ />]|$))",
    re.IGNORECASE,
)
DELIMITER = re.compile(r"\|? *:?-+:? *(?:\| *:?-+:? *)*\|?$")
BAR = re.compile(r"(?<!\\)\|")
ONLY_MARKUP = re.compile(r"[-=*_+#>`~|: ]*$|\d{1,9}[.)]?$")


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def cells_of(row: str, n_columns: int = 0) -> list[str]:
    """The cells of a table row; `\\|` is a bar inside a cell. Of a row with more than `n_columns`, if that is not 0, a
    bar within code counts as text where that makes the row fit, and else what is left over stands in the last cell."""
    row = row.strip().removeprefix("|")
    if row.endswith("|") and not row.endswith("\\|"):
        row = row[:-1]
    parts = BAR.split(row)
    if n_columns and len(parts) > n_columns:
        joined = _join_code(parts)
        parts = joined if len(joined) == n_columns else [*parts[: n_columns - 1], "|".join(parts[n_columns - 1 :])]
    return [cell.strip().replace("\\|", "|") for cell in parts]


def _join_code(parts: list[str]) -> list[str]:
    """The parts between bars, those put together again that a code span holds together."""
    joined: list[str] = []
    is_open = False
    for part in parts:
        if is_open:
            joined[-1] = f"{joined[-1]}|{part}"
        else:
            joined.append(part)
        is_open ^= part.count("`") % 2 == 1
    return joined


def closes(line: str, fence: str, most_indent: int) -> bool:
    """Whether a line is the end of a block that began with `fence`, or a longer mark of its kind."""
    mark = line.strip(" ")
    return len(mark) >= len(fence) and mark == fence[0] * len(mark) and indent_of(line) <= most_indent


def inner_fences(inner: tuple[tuple[str, int], ...], outer: str, line: str) -> tuple[tuple[str, int], ...]:
    """The fences that are open within a block of Markdown behind this line of it. CommonMark has the first bare fence
    end the whole block; models mean the one that was opened last, and what they open inside has a language."""
    if inner and closes(line, inner[-1][0], inner[-1][1] + 3):
        return inner[:-1]
    match = FENCE.match(line.lstrip(" ")) if len(inner) < MAX_DEPTH else None
    if match and match[2].strip(" ") and match[1][0] == outer[0] and len(match[1]) >= len(outer):
        return (*inner, (match[1], indent_of(line)))
    return inner


def heading_of(text: str) -> str:
    """A heading without the marks that may close it."""
    text = text.strip(" ")
    bare = text.rstrip("#")
    return bare.rstrip(" ") if not bare or bare.endswith(" ") else text
