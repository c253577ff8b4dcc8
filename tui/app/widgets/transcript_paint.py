"""From lines to what the terminal gets: colours of the theme for style names, and strips that say each colour once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from zlib import crc32

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.strip import Strip

from tui.app.graphemes import PARTS
from tui.app.markdown.text import Line, Run, link_of, width_of
from tui.words import tr

_MOST_STYLES = 4096
_NO_LINKS = ("linux", "dumb", "vt52", "vt100", "vt102", "vt220")
"""Terminals that may print what they do not know."""


def copy_label() -> str:
    """What stands at the right of a code block, to be clicked; with the blank behind it."""
    return tr("copy") + " "


def knows_links(environ: Mapping[str, str]) -> bool:
    """Whether the terminal makes links of OSC 8, or passes over it, as most do that cannot."""
    return environ.get("TERM", "") not in _NO_LINKS


@lru_cache(maxsize=4096)
def _codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """SGR parameters of a style's attributes, foreground and background; "" is the terminal's default."""
    attributes = "".join(
        f";{code}"
        for code, is_on in (
            (1, style.bold),
            (2, style.dim),
            (3, style.italic),
            (4, style.underline),
            (7, style.reverse),
            (9, style.strike),
        )
        if is_on
    )
    front = ";".join(style.color.downgrade(system).get_ansi_codes()) if style.color else ""
    back = ";".join(style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)) if style.bgcolor else ""
    return attributes, "" if front == "39" else front, "" if back == "49" else back


class CompactStrip(Strip):
    """A strip whose escape sequences are differences between neighbours.

    Textual sets and resets every colour of every segment, which is 40 bytes for each word of highlighted code; over SSH
    and through tmux that is most of what a repaint costs. When the compositor has to cut it, the pieces are ordinary
    strips.
    """

    def render(self, console: Console) -> str:
        """The terminal sequences of the strip; ends with all attributes off."""
        if self._render_cache is None:
            pen = Pen(console)
            pen.write(self._segments)
            self._render_cache = pen.finish()
        return self._render_cache


_JOINED = re.compile(f"[\u0300-\u036f\u200b-\u200d{PARTS}]")
"""Marks that change the cell before them: a row with one of them is painted whole, not from the middle."""


_PLAIN = ("", "", "", "")
"""Attributes, colours and link of what is not styled."""


class Pen:
    """Collects terminal sequences and remembers the colours that are on, so that rows share them too."""

    def __init__(self, console: Console) -> None:
        self._system = console._color_system or ColorSystem.TRUECOLOR
        self._out: list[str] = []
        self._state = _PLAIN

    def move_to(self, x: int, y: int) -> None:
        """Go to a cell of the screen, counted from 0."""
        self._out.append(f"\x1b[{y + 1};{x + 1}H")

    def finish(self) -> str:
        """All sequences, colours off at the end."""
        if self._state[3]:
            self._out.append(_link(""))
        if self._state[:3] != _PLAIN[:3]:
            self._out.append("\x1b[0m")
        return "".join(self._out)

    def write(self, segments: Iterable[Segment]) -> None:
        """Text with its styles."""
        self._state = _encode(segments, self._system, self._out, *self._state)

    def write_change(self, x: int, y: int, old: Strip, new: Strip) -> None:
        """Make the row that starts at cell (x, y) and shows `old` show `new`, writing the differing part only."""
        start, segments = _changed(old, new)
        if segments:
            self.move_to(x + start, y)
            self.write(segments)


def _changed(old: Strip, new: Strip) -> tuple[int, list[Segment]]:
    """The cell at which two rows of the same width begin to differ, and the new one from there to where they agree."""
    before, after = list(old), list(new)
    if before == after:
        return 0, []
    if _is_joined(new.text) or _is_joined(old.text):
        return 0, after
    start = 0
    while before and after and before[0] == after[0]:
        start += after[0].cell_length
        del before[0], after[0]
    while before and after and before[-1] == after[-1]:
        del before[-1], after[-1]
    if before and after and before[0].style == after[0].style:
        style = after[0].style
        same = _same_prefix(before[0].text, after[0].text)
        start += width_of(after[0].text[:same])
        before[0] = Segment(before[0].text[same:], style)
        after[0] = Segment(after[0].text[same:], style)
    if before and after and before[-1].style == after[-1].style:
        style = after[-1].style
        old_text, new_text = before[-1].text, after[-1].text
        same = _same_prefix(old_text[::-1], new_text[::-1])
        if same:
            after[-1] = Segment(new_text[: len(new_text) - same], style)
    return start, [segment for segment in after if segment.text]


def _is_joined(text: str) -> bool:
    return not text.isascii() and _JOINED.search(text) is not None


def _same_prefix(first: str, second: str) -> int:
    limit = min(len(first), len(second))
    if first[:limit] == second[:limit]:
        return limit
    return next(index for index in range(limit) if first[index] != second[index])


def _link(url: str) -> str:
    """The sequence (OSC 8) with which what follows leads to an address; "" ends it. The id joins the rows of one."""
    return f"\x1b]8;{f'id={crc32(url.encode()):x}' if url else ''};{url}\x1b\\"


def _encode(
    segments: Iterable[Segment], system: ColorSystem, out: list[str], attributes: str, front: str, back: str, link: str
) -> tuple[str, str, str, str]:
    for text, style, _ in segments:
        new_link = (style.link or "") if style else ""
        if new_link != link:
            out.append(_link(new_link))
            link = new_link
        new_attributes, new_front, new_back = _codes(style, system) if style else ("", "", "")
        if not new_attributes and not attributes and text.isspace():
            # The colour of a blank does not show.
            new_front = front
        if new_attributes != attributes or (front and not new_front) or (back and not new_back):
            codes = f"{new_attributes};{new_front};{new_back}".replace(";;", ";").strip(";")
            out.append(f"\x1b[0;{codes}m" if codes else "\x1b[0m")
        else:
            codes = ";".join(
                [new_front] * (new_front != front) + [new_back] * (new_back != back)
            )  # fmt: skip
            if codes:
                out.append(f"\x1b[{codes}m")
        attributes, front, back = new_attributes, new_front, new_back
        out.append(text)
    return attributes, front, back, link


class Palette:
    """The Rich styles of one theme for the style names that lines carry, after Textual's line filters."""

    def __init__(
        self,
        base: Style,
        named: Mapping[str, Style],
        filters: Sequence[LineFilter],
        background: Color,
        *,
        links: bool = True,
    ) -> None:
        """`links`: the terminal takes addresses that text leads to, or at least passes over them."""
        self._base, self._links = base, links
        self._named = named
        self._filters, self._background = filters, background
        self._joined: dict[tuple[str, str], Style] = {}

    def style(self, name: str = "", fill: str = "") -> Style:
        """The style of a "+"-joined name on a row with that fill; unknown names add nothing."""
        key = (name, fill)
        style = self._joined.get(key)
        if style is None:
            style = self._base
            url = ""
            for part in (*fill.split("+"), *name.split("+")):
                if part in self._named:
                    style += self._named[part]
                elif self._links:
                    url = link_of(part) or url
            style = self._filter(style)
            if len(self._joined) >= _MOST_STYLES:  # each address makes one
                self._joined.clear()
            self._joined[key] = style = style.update_link(url) if url else style
        return style

    def _filter(self, style: Style) -> Style:
        segments = [Segment(" ", style)]
        for line_filter in self._filters:
            segments = line_filter.apply(segments, self._background)
        return segments[0].style or Style.null()

    def strip(
        self,
        line: Line,
        width: int,
        margin: str,
        mark: str,
        selection: tuple[int, int] | None,
        tail: Sequence[Run] = (),
    ) -> Strip:
        """A row of exactly `width` cells: `margin` (in the style `mark`), the line, blanks, and where there is room for
        it `tail`.

        `selection` is the range of the line's characters, the margin not counted, that are selected with the mouse;
        an end of -1 goes to the end of the row.
        """
        runs: list[Run] = list(line.runs)
        if selection is not None:
            runs = _select(runs, *selection)
        segments: list[Segment] = []
        if margin:
            segments.append(Segment(margin, self.style(mark)))
        used = len(margin)
        for text, name in runs:
            style = self.style(name, line.fill)
            if len(segments) > 1 and segments[-1].style is style:
                segments[-1] = Segment(segments[-1].text + text, style)
            else:
                segments.append(Segment(text, style))
            used += width_of(text)
        if line.action == "copy":
            tail = ((copy_label(), "code.copy"),)
        if tail and has_room(used, tail, width):
            segments.append(Segment(" " * (width - used - width_of_runs(tail)), self.style("", line.fill)))
            segments += [Segment(text, self.style(name, line.fill)) for text, name in tail]
        elif used < width:
            segments.append(Segment(" " * (width - used), self.style("", line.fill)))
        strip = CompactStrip(segments, max(width, used))
        if used > width:
            return CompactStrip(list(strip.crop(0, width)), width)
        return strip


def width_of_runs(runs: Sequence[Run]) -> int:
    """Cells that they take."""
    return sum(width_of(text) for text, _ in runs)


def has_room(used: int, tail: Sequence[Run], width: int) -> bool:
    """Whether a row of so many cells can have this at its end, with two blanks before it."""
    return used + 2 + width_of_runs(tail) <= width


def _select(runs: list[Run], start: int, end: int) -> list[Run]:
    result: list[Run] = []
    offset = 0
    for text, name in runs:
        stop = offset + len(text)
        first = min(max(start - offset, 0), len(text))
        last = len(text) if end < 0 else min(max(end - offset, first), len(text))
        if text[:first]:
            result.append((text[:first], name))
        if text[first:last]:
            result.append((text[first:last], f"{name}+selection"))
        if text[last:]:
            result.append((text[last:], name))
        offset = stop
    return result
