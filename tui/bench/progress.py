"""What the line on stderr says while a benchmark runs."""

from __future__ import annotations

from tui.base import format
from tui.base.text import cells
from tui.measure.runner import Progress
from tui.shell.progress_line import MOST, bar
from tui.words import tr


def describe(progress: Progress) -> str:
    """What the line says: a bar, the percentage, and what is being done."""
    done = bar(progress.fraction)
    name = progress.test.name if progress.test else progress.what
    if not name:
        return tr("{bar}  loading", bar=done)
    if progress.repetition:
        line = tr("{bar}  {test} run {n}", bar=done, test=name, n=progress.repetition)
    else:
        line = tr("{bar}  {test} warm-up", bar=done, test=name)
    more = [f"{format.full_speed(progress.last_ts)} tok/s"] if progress.last_ts else []
    if progress.left_s is not None:
        more.insert(0, tr("{time} left", time=format.about(progress.left_s)))
    for part in more:
        if cells(line) + cells(part) + 3 < MOST:
            line += f" · {part}"
    return line
