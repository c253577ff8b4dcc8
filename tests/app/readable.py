"""Whether every word on a screen can be read, in the cells as the terminal gets them: 4.5:1 and more, in colours and
without. Where a terminal has only its own sixteen colours, what they look like is the terminal's; there, text never
stands on a ground of ours."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator

from rich.style import Style
from textual.geometry import Region
from textual.screen import ModalScreen

from tests.app.conftest import Person
from tests.app.test_selection import hex_of
from tests.seeing import least_contrast
from tui.app.markdown.text import width_of

READ = frozenset(string.ascii_letters + string.digits)


def front(person: Person) -> Region:
    """Where words are read: in an open dialog, not behind it."""
    screen = person.app.screen
    if not isinstance(screen, ModalScreen):
        return screen.region
    frames = [widget.region for widget in screen.query("#frame")] or [child.region for child in screen.children]
    return Region.from_union(frames)


def words(person: Person) -> Iterator[tuple[str, Style]]:
    """Every piece of a row that has letters or digits in it and one style, where words are read."""
    region = front(person)
    for y, strip in enumerate(person.app.screen._compositor.render_strips()):
        x = 0
        for text, style, _ in strip:
            if region.contains(x, y) and not READ.isdisjoint(text):
                yield text, style or Style()
            x += width_of(text)


async def hard_to_read(person: Person, ready: str, themes: Iterable[str]) -> list[str]:
    """Words that somebody could not read in one of these themes, which the app takes one after the other, and themes in
    which `ready` is not seen."""
    found = []
    before = person.app.theme
    for theme in themes:
        person.app.theme = theme
        await person.pilot.pause()
        if ready.casefold() not in person.screen_text().casefold():
            found.append(f"{theme}: no {ready}")
        is_terminals = theme == "terminal"
        wrong = _stands_on_ours if is_terminals else _is_faint
        found += [f"{theme}: {text.strip()!r} {style}" for text, style in words(person) if wrong(style)]
    person.app.theme = before
    await person.pilot.pause()
    return found


def _is_faint(style: Style) -> bool:
    colors = [hex_of(style.color), hex_of(style.bgcolor)]
    return not all(colors) or bool(style.dim) or least_contrast(*colors) < 4.5


def _stands_on_ours(style: Style) -> bool:
    return not (style.reverse or style.bgcolor is None or style.bgcolor.is_default)
