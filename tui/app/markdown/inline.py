"""Inline Markdown (emphasis, code, links, strikethrough) as runs of styled text. HTML stays literal and TeX between
dollars or `\\( \\)` stays as written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from tui.app.markdown.text import Run
from tui.lines import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MAX_CHARS = 16_384
"""Longer paragraphs are shown as they are written: inline parsing of hostile text is not linear."""

_MARKUP = re.compile(r"[\\`*_~\[<&$]")
_MATH = re.compile(r"\\\(.{1,500}?\\\)|\\\[.{1,500}?\\\]|\$\$[^$\n]+\$\$|\$(?! )[^$\n`]*?[^\s$\\`]\$(?!\d)", re.DOTALL)


def _math(state: StateInline, silent: bool) -> bool:
    """Inline rule that takes TeX out of Markdown's hands, so that its `_`, `*` and backslashes survive."""
    match = _MATH.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("math", "", 0).content = match.group()
    state.pos = match.end()
    return True


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # 18 ms that the first paint of the app does not wait for.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").disable("html_inline")
    parser.inline.ruler.before("escape", "math", _math)
    return parser


_OPEN_STYLES = {"strong_open": "strong", "em_open": "em", "s_open": "strike", "link_open": "link"}


def _link_note(shown: str, url: str) -> str:
    """What to add behind a link: its address, where the text does not tell it already."""
    return "" if not url or shown in (url, url.removeprefix("mailto:")) else f" ({url})"


def _runs(tokens: list[Token], base: str) -> list[Run]:
    styles = [base] if base else []
    links: list[tuple[str, int]] = []
    runs: list[Run] = []
    for token in tokens:
        kind = token.type
        style = "+".join(styles)
        if kind == "text" or kind == "math":
            if token.content:
                runs.append((token.content, style))
        elif kind == "code_inline":
            runs.append((token.content, "+".join([*styles, "code"])))
        elif kind in ("softbreak", "hardbreak"):
            # A model breaks a line where it means a new one (verse, addresses, "key: value"), so both are breaks.
            runs.append(("\n", ""))
        elif kind in _OPEN_STYLES:
            styles.append(_OPEN_STYLES[kind])
            if kind == "link_open":
                links.append((str(token.attrGet("href") or ""), len(runs)))
        elif kind.endswith("_close"):
            styles.pop()
            if kind == "link_close":
                url, first = links.pop()
                note = _link_note("".join(text for text, _ in runs[first:]), url)
                if note:
                    runs.append((note, "+".join([*styles, "url"])))
        elif kind == "image":
            alt = token.content or "image"
            runs.append((alt, "+".join([*styles, "link"])))
            runs.append((_link_note(alt, str(token.attrGet("src") or "")), "+".join([*styles, "url"])))
        elif token.content:
            runs.append((token.content, style))
    return [(clean(text), style) for text, style in runs if text]


@lru_cache(maxsize=512)
def _parse(text: str, base: str) -> tuple[Run, ...]:
    (block,) = _parser().parseInline(text)
    return tuple(_runs(block.children or [], base))


def inline(text: str, base: str = "") -> list[Run]:
    """The text of one paragraph, heading or cell as runs whose styles build on `base`; newlines are hard breaks."""
    if len(text) > MAX_CHARS or not _MARKUP.search(text):
        return [(text, base)] if text else []
    return list(_parse(text, base))


_BACKTICKS = re.compile("`+")


def _without_code(text: str) -> str:
    """The text outside of code spans: a span ends at the next run of as many backticks as it begins with."""
    runs = list(_BACKTICKS.finditer(text))
    of_length: dict[int, list[int]] = {}
    for number, run in reversed(list(enumerate(runs))):
        of_length.setdefault(len(run.group()), []).append(number)
    kept: list[str] = []
    done = number = 0
    while number < len(runs):
        later = of_length[len(runs[number].group())]
        while later and later[-1] <= number:
            later.pop()
        if later:
            kept.append(text[done : runs[number].start()])
            number = later[-1]
            done = runs[number].end()
        number += 1
    return "".join([*kept, text[done:]])


def close_open_marks(text: str) -> str:
    """Text that is still being written with its open `**` or backtick closed, so that it looks as it will."""
    if "`" not in text and "**" not in text:
        return text
    bare = _without_code(text)
    if bare.count("`") % 2:
        return text.removesuffix("`") if text.endswith("`") else text + "`"
    if bare.count("**") % 2:
        stripped = text.rstrip(" *")
        return stripped if len(stripped) < len(text.rstrip(" ")) - 1 else stripped + "**"
    return text
