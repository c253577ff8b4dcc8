"""A conversation as one HTML file: code in colours, thinking folded, light and dark as the reader's system wants it. It
needs nothing but itself: no script, no picture and no style from elsewhere, which its policy forbids, too."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from tui.base.text import clean
from tui.chat import export
from tui.chat.conversation import Conversation, Turn
from tui.chat.copies import markdown_parser
from tui.chat.mending import moment
from tui.words import tr

_LIGHT, _DARK = "default", "github-dark"
_STYLE = """
:root { color-scheme: light dark; --quiet: #666; --line: #ddd; --ground: #f6f6f6; --user: #eef3fa; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aaa; --line: #444; --ground: #1c1e21; --user: #1d2530; } }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1rem; margin: 0; color: var(--quiet); }
article { margin: 1.5rem 0; } article.user { background: var(--user); padding: 0.75rem 1rem; border-radius: 0.5rem; }
.text { overflow-wrap: break-word; } .user .text { white-space: pre-wrap; }
pre { background: var(--ground); padding: 0.75rem; overflow-x: auto; border-radius: 0.5rem; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 0.25rem 0.6rem; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1rem; color: var(--quiet); }
details, footer, time { color: var(--quiet); font-size: 0.9rem; }
.error { color: #c22; }
"""


def to_html(conversation: Conversation, *, thinking: bool = True, stats: bool = False) -> str:
    """The whole file; thinking and figures as `export.to_markdown` has them."""
    title = _plain(" ".join(conversation.title.split()) or tr("Conversation"))
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(moment(conversation.created_at)))
    markdown = _markdown()
    parts = [f"<h1>{title}</h1>", f"<p><time>{began}</time></p>"]
    if conversation.system_prompt.strip():
        parts.append(f'<article class="user"><h2>{_plain(tr("System"))}</h2>')
        parts.append(f'<div class="text">{_plain(conversation.system_prompt)}</div></article>')
    parts += [_article(turn, markdown, thinking=thinking, stats=stats) for turn in conversation.turns]
    style = _STYLE + _colors()
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _article(turn: Turn, markdown: MarkdownIt, *, thinking: bool, stats: bool) -> str:
    is_answer = turn.role == "assistant"
    parts = [f'<article class="{"answer" if is_answer else "user"}">', f"<h2>{_plain(export.speaker(turn))}</h2>"]
    if thinking and turn.reasoning.strip():
        thought = markdown.render(clean(turn.reasoning))
        parts.append(f"<details><summary>{_plain(export.thought(turn))}</summary>{thought}</details>")
    parts += [
        f"<details><summary>{_plain(file.name)}</summary><pre>{_plain(file.text)}</pre></details>"
        for file in turn.files
    ]
    if turn.text.strip():
        text = markdown.render(clean(turn.text)) if is_answer else _plain(turn.text)
        parts.append(f'<div class="text">{text}</div>')
    if turn.error:
        parts.append(f'<p class="error">{_plain(turn.error)}</p>')
    if stats and is_answer:
        parts.append(f"<footer>{_plain(export.figures(turn))}</footer>")
    return "\n".join([*parts, "</article>"])


def _plain(text: str) -> str:
    return html.escape(clean(text))


def _colors() -> str:
    light, dark = (
        str(HtmlFormatter(style=style).get_style_defs("pre code"))  # type: ignore[no-untyped-call]
        for style in (_LIGHT, _DARK)
    )
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\npre code {{ background: none !important; }}\n"


def _markdown() -> MarkdownIt:
    """Markdown without HTML in it, and without pictures, which would be fetched from somewhere."""
    markdown = markdown_parser(highlight=_highlighted)
    markdown.add_render_rule("image", _picture)
    return markdown


def _picture(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    told = renderer.renderInlineAsText(tokens[index].children or [], options, env)
    address = str(tokens[index].attrGet("src") or "")
    return html.escape(f"[{told or address}]")


def _highlighted(code: str, language: str, _attributes: str) -> str:
    """Code in colours; "" leaves it as it is, escaped."""
    try:
        lexer = get_lexer_by_name(language.strip())
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
