"""Inline Markdown (emphasis, code, links, strikethrough) as runs of styled text. HTML but for line breaks stays
literal; TeX between dollars or `\\( \\)` is made readable where that is known, and stays as it is written elsewhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from tui.app.markdown.text import Run, link_part
from tui.base.text import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType

MAX_CHARS = 16_384
"""Longer paragraphs are shown as they are written: inline parsing of hostile text is not linear."""

_MARKUP = re.compile(r"[\\`*_~\[<&$]|://")
_URL = re.compile(r"\bhttps?://[^\s<>\"'`\u2018-\u201f\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]+")
"""An address in plain text; Chinese and Japanese punctuation ends it as a blank does."""
_BR = re.compile(r"<br\s*(?:/\s*)?>", re.IGNORECASE)
_MATH = re.compile(r"\\\(.{1,500}?\\\)|\\\[.{1,500}?\\\]|\$\$[^$\n]+\$\$|\$(?! )[^$\n`]*?[^\s$\\`]\$(?!\d)", re.DOTALL)


_FORMULA = re.compile(r"\\[A-Za-z]|[\^_]|^[A-Za-z]'?$|^(?!\d)[^A-Za-z]*(?:[A-Za-z]{1,2}(?![A-Za-z])[^A-Za-z]*)+$")
"""Marks of TeX, a letter, or letters alone or in pairs that do not begin with a number as a price does."""
_FOOTNOTE = re.compile(r"\[\^([\w-]{1,20})\]")
_SMALL_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _math(state: StateInline, silent: bool) -> bool:
    """Inline rule that takes TeX out of Markdown's hands, so that its `_`, `*` and backslashes survive."""
    match = _MATH.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        around = state.src[max(state.pos - 1, 0) : state.pos] + state.src[match.end() : match.end() + 1]
        token = state.push("math", "", 0)
        token.content, token.meta["is_word"] = match.group(), any(map(str.isalnum, around))
    state.pos = match.end()
    return True


def formula(source: str, *, is_word: bool = False) -> str:
    """A formula with its delimiters as it is read; as it is written where that is not known, or what stands between
    single dollars, a price perhaps, is hardly one: not so with letters of a word around it (`is_word`)."""
    if not source.startswith("$") or source.startswith("$$"):
        inner = source[2:-2]
    elif is_word or not _FORMULA.search(inner := source[1:-1]):
        return source
    from tui.app.markdown.tex import readable  # with the first formula

    return readable(inner) or source


def _footnote(state: StateInline, silent: bool) -> bool:
    """Inline rule for the mark of a footnote, and of its text."""
    match = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        mark = match[1]
        state.push("text", "", 0).content = mark.translate(_SMALL_DIGITS) if mark.isdecimal() else f"[{mark}]"
    state.pos = match.end()
    return True


def _line_break(state: StateInline, silent: bool) -> bool:
    """Inline rule for the one HTML tag that has a meaning here, however it is written."""
    match = _BR.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end()
    return True


def _is_wide(char: str) -> bool:
    """Whether a character is Chinese, Japanese or Korean, their punctuation included."""
    return not char.isascii() and unicodedata.east_asian_width(char) in ("W", "F", "H")


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS" and not _is_wide(char)


def _flanks(before: str, after: str, *, splits_words: bool) -> tuple[bool, bool]:
    """Whether a run of `*`, `_` or `~` between two characters can open and can close emphasis. CommonMark's rules, for
    writing that puts no spaces between words: beside such a character, punctuation stands in nobody's way."""
    opens = not after.isspace() and (not _is_mark(after) or before.isspace() or _is_mark(before) or _is_wide(before))
    closes = not before.isspace() and (not _is_mark(before) or after.isspace() or _is_mark(after) or _is_wide(after))
    if splits_words:
        return opens, closes
    return opens and (not closes or _is_mark(before)), closes and (not opens or _is_mark(after))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # 18 ms that the first paint of the app does not wait for.
    from markdown_it import MarkdownIt
    from markdown_it.parser_inline import ParserInline
    from markdown_it.rules_inline.state_inline import Scanned, StateInline

    class WideState(StateInline):
        """Knows text without spaces between words."""

        def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:
            scanned = super().scanDelims(start, canSplitWord)
            before = self.src[start - 1] if start else " "
            end = start + scanned.length
            after = self.src[end] if end < self.posMax else " "
            if not (_is_wide(before) or _is_wide(after)):
                return scanned
            can_open, can_close = _flanks(before, after, splits_words=canSplitWord)
            return Scanned(can_open, can_close, scanned.length)

    class WideInline(ParserInline):
        """The parser of inline text with that state."""

        def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
            state = WideState(src, md, env, tokens)
            self.tokenize(state)
            for rule in self.ruler2.getRules(""):
                rule(state)
            return state.tokens

    parser = MarkdownIt("commonmark", {"html": False})
    inline = WideInline()
    inline.ruler, inline.ruler2 = parser.inline.ruler, parser.inline.ruler2
    parser.inline = inline
    parser.enable("strikethrough").disable("html_inline")
    parser.inline.ruler.before("escape", "math", _math)
    parser.inline.ruler.before("autolink", "br", _line_break)
    parser.inline.ruler.before("link", "footnote", _footnote)
    return parser


_OPEN_STYLES = {"strong_open": "strong", "em_open": "em", "s_open": "strike", "link_open": "link"}


def _link_note(shown: str, url: str) -> str:
    """What to add behind a link: its address, where the text does not tell it already."""
    return "" if not url or shown in (url, url.removeprefix("mailto:")) else f" ({url})"


def _plain(text: str, style: str, *, is_linked: bool) -> Iterator[Run]:
    """Text in which addresses are links, unless it is in a link itself."""
    done = 0
    for match in _URL.finditer(text) if "://" in text and not is_linked else ():
        url = match.group().rstrip(".,;:!?*_~")
        while url.endswith(")") and url.count(")") > url.count("("):
            url = url[:-1].rstrip(".,;:!?*_~")
        if match.start() > done:
            yield text[done : match.start()], style
        done = match.start() + len(url)
        target = url if url.isascii() else _parser().normalizeLink(url)
        yield url, "+".join(filter(None, (style, "link", link_part(target))))
    if done < len(text):
        yield text[done:], style


def _runs(tokens: list[Token], base: str) -> list[Run]:
    styles = [base] if base else []
    links: list[tuple[str, int]] = []
    runs: list[Run] = []
    for token in tokens:
        kind = token.type
        style = "+".join(styles)
        if kind == "math":
            runs.append((formula(token.content, is_word=token.meta["is_word"]), style))
        elif kind == "text":
            runs += _plain(token.content, style, is_linked=bool(links))
        elif kind == "code_inline":
            runs.append((token.content, "+".join([*styles, "code"])))
        elif kind in ("softbreak", "hardbreak"):
            # A model breaks a line where it means a new one (verse, addresses, "key: value"), so both are breaks.
            runs.append(("\n", ""))
        elif kind in _OPEN_STYLES:
            style = _OPEN_STYLES[kind]
            if kind == "link_open":
                url = str(token.attrGet("href") or "")
                links.append((url, len(runs)))
                style = "+".join(filter(None, (style, link_part(url))))
            styles.append(style)
        elif kind.endswith("_close"):
            styles.pop()
            if kind == "link_close":
                url, first = links.pop()
                note = _link_note("".join(text for text, _ in runs[first:]), url)
                if note:
                    runs.append((note, "+".join(filter(None, (*styles, "url", link_part(url))))))
        elif kind == "image":
            alt = token.content or "image"
            url = str(token.attrGet("src") or "")
            runs.append((alt, "+".join(filter(None, (*styles, "link", link_part(url))))))
            runs.append((_link_note(alt, url), "+".join(filter(None, (*styles, "url", link_part(url))))))
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
