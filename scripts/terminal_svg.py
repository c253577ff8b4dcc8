"""Screens of a terminal as small SVG files: one screen as a picture, several as a film that runs in a page without any
script. Text stays text, in the reader's own monospaced font; a piece of it always fills its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len
from rich.terminal_theme import MONOKAI

if TYPE_CHECKING:
    from rich.color import Color
    from rich.segment import Segment
    from rich.style import Style
    from textual.app import App

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.4, 16, 14
"""Low enough for lines and bars to touch from row to row."""
_MARGIN, _BAR = 12, 26
_FONTS = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,'Noto Sans Mono CJK SC',monospace"
_INK, _GROUND = "#d5d9e0", "#17191d"
"""Where a style leaves them to the terminal."""
_NO_DOTS = "\u2800"
"""The braille sign that shows nothing, of which graphs are full."""
_BUTTONS = ("#ff5f57", "#febc2e", "#28c840")


class Piece(NamedTuple):
    """Cells of a row that look alike."""

    column: int
    n_cells: int
    text: str
    look: str
    """CSS of the text."""
    background: str


Row = tuple[Piece, ...]
Screen = tuple[Row, ...]


def screen_of(app: App[Any]) -> Screen:
    """What the app shows now, with all that is behind a dialog."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens, simplify=True)
    rows = update.strips  # type: ignore[union-attr]
    return tuple(_row(segment for strip in strips for segment in strip) for strips in rows)


def picture(screen: Screen) -> str:
    """An SVG of one screen."""
    sheet = _Sheet(_ground(screen))
    rows = [(y * CELL_HEIGHT, sheet.row(row)) for y, row in enumerate(screen)]
    inside = "".join(f'<g transform="translate(0 {y})">{svg}</g>' for y, svg in rows if svg)
    return _framed(screen, sheet, "", inside)


def film(frames: Sequence[tuple[float, Screen]]) -> str:
    """An SVG that shows each screen for so many seconds, and then begins again; the last one stands where somebody
    wants no motion. A row that several frames have is in it once."""
    screen = frames[0][1]
    sheet, width = _Sheet(_ground(screen)), _width(screen)
    ids, drawn, strip = dict[Row, str](), list[str](), list[str]()
    total_s = sum(seconds for seconds, _ in frames)
    moments, at_s = [], 0.0
    for number, (seconds, rows) in enumerate(frames):
        shown = []
        for y, row in enumerate(rows):
            if not (svg := sheet.row(row)):
                continue
            if row not in ids:
                ids[row] = f"r{len(ids)}"
                drawn.append(f'<g id="{ids[row]}">{svg}</g>')
            shown.append(f'<use href="#{ids[row]}" y="{y * CELL_HEIGHT}"/>')
        strip.append(f'<g transform="translate({number * width:g})">{"".join(shown)}</g>')
        moments.append(f"{100 * at_s / total_s:.2f}%{{transform:translateX({-number * width:g}px)}}")
        at_s += seconds
    end = (1 - len(frames)) * width
    style = (
        f"@keyframes f{{{''.join(moments)}}}.f{{animation:f {total_s:.1f}s step-end infinite}}"
        f"@media (prefers-reduced-motion:reduce){{.f{{animation:none;transform:translateX({end:g}px)}}}}"
    )
    return _framed(screen, sheet, style, f'<defs>{"".join(drawn)}</defs><g class="f">{"".join(strip)}</g>')


class _Sheet:
    """The style sheet of one file, which grows as rows are drawn; `ground` is the colour that is everywhere."""

    def __init__(self, ground: str) -> None:
        self.ground = ground
        self._names: dict[str, str] = {}

    def row(self, row: Row) -> str:
        """A row, its top left corner at 0, 0."""
        found = []
        for color, pieces in groupby(row, key=lambda piece: piece.background):
            if color != self.ground:
                first, *_, last = [*pieces] * 2
                begin, end = first.column * CELL_WIDTH, (last.column + last.n_cells) * CELL_WIDTH
                area = f"M{begin:g} 0H{end:g}V{CELL_HEIGHT}H{begin:g}"
                found.append(f'<path class="{self._name(f"fill:{color}")}" d="{area}"/>')
        return "".join([*found, *(self._text(piece) for piece in row if piece.text.strip())])

    def _text(self, piece: Piece) -> str:
        """Its blanks are left to what is behind it."""
        text = piece.text.strip(" ")
        begin = piece.column + len(piece.text) - len(piece.text.lstrip(" "))
        return (
            f'<text class="{self._name(piece.look)}" x="{begin * CELL_WIDTH:g}" y="12.5" '
            f'textLength="{cell_len(text) * CELL_WIDTH:g}">{escape(text, quote=False)}</text>'
        )

    def _name(self, look: str) -> str:
        return self._names.setdefault(look, f"c{len(self._names)}")

    @property
    def css(self) -> str:
        """All that was drawn with."""
        return "".join(f".{name}{{{look}}}" for look, name in self._names.items())


def _framed(screen: Screen, sheet: _Sheet, style: str, inside: str) -> str:
    """A window around what is inside."""
    width, height = _width(screen), len(screen) * CELL_HEIGHT
    whole_width, whole_height = width + 2 * _MARGIN, height + _BAR + _MARGIN
    buttons = "".join(
        f'<circle cx="{18 + 18 * number}" cy="{_BAR / 2:g}" r="5" fill="{color}"/>'
        for number, color in enumerate(_BUTTONS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {whole_width:g} {whole_height:g}">'
        f"<style>text{{font:{FONT_SIZE}px {_FONTS};white-space:pre}}{sheet.css}{style}</style>"
        f'<rect width="{whole_width:g}" height="{whole_height:g}" rx="8" fill="{sheet.ground}"/>{buttons}'
        f'<svg x="{_MARGIN}" y="{_BAR}" width="{width:g}" height="{height}">{inside}</svg></svg>\n'
    )


def _ground(screen: Screen) -> str:
    """The colour that is behind most cells."""
    cells = Counter[str]()
    for row in screen:
        for piece in row:
            cells[piece.background] += piece.n_cells
    return cells.most_common(1)[0][0]


def _width(screen: Screen) -> float:
    return max((piece.column + piece.n_cells for row in screen for piece in row), default=0) * CELL_WIDTH


def _row(segments: Iterable[Segment]) -> Row:
    """Neighbours that look alike are one piece, and a piece of several words with wide gaps is several."""
    pieces: list[Piece] = []
    column = 0
    for segment in segments:
        if segment.control or not segment.cell_length:
            continue
        text = segment.text.replace(_NO_DOTS, " ")
        look, background = _look(segment.style)
        last = pieces[-1] if pieces else None
        if last and last.background == background and (last.look == look or not text.strip()):
            pieces[-1] = last._replace(n_cells=last.n_cells + segment.cell_length, text=last.text + text)
        else:
            pieces.append(Piece(column, segment.cell_length, text, look, background))
        column += segment.cell_length
    return tuple(pieces)


def _look(style: Style | None) -> tuple[str, str]:
    """CSS of text in this style, and the colour behind it."""
    if style is None:
        return f"fill:{_INK}", _GROUND
    ink, ground = _hex(style.color, is_ink=True), _hex(style.bgcolor, is_ink=False)
    if style.reverse:
        ink, ground = ground, ink
    look = f"fill:{ink}"
    look += ";font-weight:bold" if style.bold else ""
    look += ";font-style:italic" if style.italic else ""
    look += ";opacity:.6" if style.dim else ""
    lines = [name for name, is_on in (("underline", style.underline), ("line-through", style.strike)) if is_on]
    return look + (f";text-decoration:{' '.join(lines)}" if lines else ""), ground


def _hex(color: Color | None, *, is_ink: bool) -> str:
    if color is None or color.is_default:
        return _INK if is_ink else _GROUND
    return color.get_truecolor(MONOKAI, foreground=is_ink).hex
