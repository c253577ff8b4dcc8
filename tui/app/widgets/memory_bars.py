"""One bar for each pool of memory that a load takes from: what others use, what the load takes, where the reserve
begins. On an integrated GPU dedicated and shared memory have a bar each."""

from __future__ import annotations

from tui.app.markdown.text import width_of
from tui.app.verdict_marks import STYLES
from tui.app.widgets.lines import Row
from tui.app.widgets.readings import gib
from tui.app.widgets.row_list import column
from tui.planning.formula import Fit
from tui.planning.verdict import Pool
from tui.planning.verdict_words import pool_name
from tui.words import tr

_FIGURE = 14
_LEAST_BAR = 6
_USED, _PLANNED, _FREE, _LIMIT = "━", "■", "─", "│"


def pool_row(pool: Pool, width: int) -> Row:
    """A name, the bar with a mark at the limit, and GiB in use afterwards of all: "12.4 / 31.2"."""
    n_name = min(18, max(3, width - _FIGURE - _LEAST_BAR))
    figure = column(f"{gib(pool.used_bytes + pool.planned_bytes)} / {gib(pool.total_bytes)}", _FIGURE, right=True)
    return ((column(pool_name(pool), n_name), ""), *_bar(pool, width - n_name - _FIGURE), (figure, STYLES[pool.fit]))


def legend_row(fit: Fit, width: int) -> Row:
    """What the signs of the bars mean; those that have no room are left out."""
    signs = ((_USED, tr("used"), "muted"), (_PLANNED, tr("this model"), STYLES[fit]), (_LIMIT, tr("reserve"), "muted"))
    row: list[tuple[str, str]] = []
    free = width
    for sign, text, style in signs:
        free -= width_of(f"{sign} {text}")
        if free < 0:
            break
        row += [(sign, style), (f" {text}   ", "muted")]
        free -= 3
    return tuple(row)


def _bar(pool: Pool, width: int) -> Row:
    """Anything above zero shows at least one cell; what does not fit fills the bar to its end."""
    if width < 1 or not pool.total_bytes:
        return ()
    used = _cells(pool.used_bytes, pool.total_bytes, width)
    planned = min(_cells(pool.planned_bytes, pool.total_bytes, width), width - used)
    if pool.planned_bytes and not planned and used:
        used, planned = used - 1, 1
    cells = [(_USED, "muted")] * used + [(_PLANNED, STYLES[pool.fit])] * planned
    cells += [(_FREE, "faint")] * (width - len(cells))
    limit = max(0, pool.limit_bytes) * width // pool.total_bytes
    if limit < width and (planned > 1 or cells[limit][0] != _PLANNED):
        cells[limit] = (_LIMIT, cells[limit][1] if pool.fit != "fits" else "muted")
    return _joined(cells)


def _cells(n_bytes: int, total_bytes: int, width: int) -> int:
    return min(width, max(1, round(n_bytes / total_bytes * width))) if n_bytes > 0 else 0


def _joined(cells: list[tuple[str, str]]) -> Row:
    """Neighbours of one style as one piece."""
    pieces: list[tuple[str, str]] = []
    for text, style in cells:
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + text, style)
        else:
            pieces.append((text, style))
    return tuple(pieces)
