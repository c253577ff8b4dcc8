"""What is copied of messages: as Markdown, as plain text, and tables as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tui.chat import export
from tui.chat.conversation import Conversation, Turn

Table = list[list[str]]
"""Rows of cells as they are read; the first row is the head."""


def of_turns(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """Several messages as Markdown, each below the name of who said it; thinking is no part of it."""
    only = msgspec.structs.replace(conversation, turns=tuple(turns), system_prompt="", places=())
    markdown = export.to_markdown(only, thinking=False)
    first = markdown.find("\n## ")
    return markdown[first + 1 :] if first >= 0 else markdown


def plain(markdown: str) -> str:
    """The text without marks: what is read. Code stays as it is, cells of tables stand behind tabs."""
    lines: list[str] = []
    markers: list[str] = []
    numbers: list[int] = []
    row: list[str] | None = None
    for token in _parsed(markdown):
        match token.type:
            case "bullet_list_open":
                numbers.append(-1)
            case "ordered_list_open":
                numbers.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
                _gap(lines, is_wanted=not numbers)
            case "list_item_open":
                markers.append("- " if numbers[-1] < 0 else f"{numbers[-1]}. ")
                numbers[-1] += numbers[-1] >= 0
            case "list_item_close":
                del markers[len(numbers) - 1 :]
            case "tr_open":
                row = []
            case "tr_close":
                lines.append("\t".join(row or ()))
                row = None
            case "table_close" | "heading_close":
                _gap(lines)
            case "paragraph_close":
                _gap(lines, is_wanted=not numbers)
            case "fence" | "code_block":
                lines += token.content.rstrip("\n").split("\n")
                _gap(lines)
            case "inline" if row is not None:
                row.append(_said(token))
            case "inline":
                lead = "  " * (len(numbers) - 1) + (markers[-1] if markers else "")
                first, *others = _said(token).split("\n")
                lines += [lead + first, *(" " * len(lead) + other for other in others)]
                if markers:
                    markers[-1] = " " * len(markers[-1])
    return "\n".join(lines).strip("\n") + "\n"


def tables(markdown: str) -> list[Table]:
    """The tables of a message."""
    found: list[Table] = []
    for token in _parsed(markdown):
        match token.type:
            case "table_open":
                found.append([])
            case "tr_open":
                found[-1].append([])
            case "inline" if found and token.level and found[-1] and _is_cell(token):
                found[-1][-1].append(_said(token))
    return found


def as_csv(table: Table) -> str:
    """As spreadsheets read it. A cell that they would take for a formula begins with an apostrophe."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([_harmless(cell) for cell in row] for row in table)
    return stream.getvalue()


def _harmless(cell: str) -> str:
    is_number = re.fullmatch(r"[-+]?[\d.,]+ ?%?", cell) is not None
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") and not is_number else cell


def _is_cell(token: Token) -> bool:
    return bool(token.meta.get("cell"))


def markdown_parser(**options: Any) -> MarkdownIt:
    """Markdown without HTML in it. Lists of dozens of levels are read; the parser's own limit drops what is in the
    eleventh."""
    return MarkdownIt("commonmark", {"html": False, "maxNesting": 100, **options}).enable(["table", "strikethrough"])


def _parsed(markdown: str) -> list[Token]:
    tokens = markdown_parser().parse(markdown)
    is_cell = False
    for token in tokens:
        if token.type in ("th_open", "td_open", "th_close", "td_close"):
            is_cell = token.type.endswith("open")
        elif token.type == "inline" and is_cell:
            token.meta["cell"] = True
    return tokens


def _said(token: Token) -> str:
    return "".join(_pieces(token.children or ()))


def _pieces(children: Iterable[Token]) -> Iterable[str]:
    address = ""
    before = ""
    for child in children:
        match child.type:
            case "text" | "code_inline":
                before = child.content
                yield child.content
            case "softbreak" | "hardbreak":
                yield "\n"
            case "image":
                yield child.content
            case "link_open":
                address = str(child.attrGet("href") or "")
            case "link_close":
                if address and address != before and address.removeprefix("mailto:") != before:
                    yield f" ({address})"


def _gap(lines: list[str], *, is_wanted: bool = True) -> None:
    if is_wanted and lines and lines[-1]:
        lines.append("")
