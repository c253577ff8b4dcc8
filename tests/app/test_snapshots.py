"""What every screen and dialog looks like in the app, text and colours, as files in `tests/data/screens`: first the
terminal's rows, then one letter per cell for its style, then what the letters mean. And that their words can be read,
in themes that stand for all.

After a wanted change: UPDATE_SNAPSHOTS=1 pytest tests/app/test_snapshots.py, and read the difference."""

from __future__ import annotations

import contextlib
import difflib
import os
import string
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rich.style import Style
from textual.strip import Strip

from tests.app.conftest import Person
from tests.app.readable import hard_to_read
from tests.app.scenes import IN_CHINESE, SCENES, SPOKEN_TO, WIDE_IN_CHINESE, Size, calm, shown
from tests.conftest import until
from tests.places import DATA
from tests.seeing import NEAREST
from tui.words import use

SNAPSHOTS = DATA / "screens"
LETTERS = string.ascii_letters + string.digits + string.punctuation


def snapshot(strips: list[Strip]) -> str:
    """The rows, their styles cell by cell, and the styles."""
    letters: dict[str, str] = {}
    rows, styles = [], []
    for strip in strips:
        rows.append(strip.text.rstrip())
        styles.append(
            "".join(
                letters.setdefault(_in_words(segment.style or Style()), LETTERS[len(letters)]) * segment.cell_length
                for segment in strip
            )
        )
    legend = [f"{letter} {words}" for words, letter in letters.items()]
    return "\n".join([*rows, "", *styles, "", *legend, ""])


def _in_words(style: Style) -> str:
    """Such as "#e0e0e0 on #202020 bold"."""
    colours = [f"{colour.get_truecolor().hex if colour else 'default'}" for colour in (style.color, style.bgcolor)]
    attributes = [name for name in ("bold", "dim", "italic", "underline", "reverse", "strike") if getattr(style, name)]
    return " ".join([" on ".join(colours), *attributes])


@pytest.mark.parametrize("name", SCENES)
async def test_a_screen_looks_as_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES[name], SCENES[name].sizes[0], monkeypatch) as person:
        found = await changed(person, name, SCENES[name].sizes)
        found += await hard_to_read(person, SCENES[name].ready, themes_of(name))
        if name in SPOKEN_TO:
            assert person.app.main.speak("zh")
            await person.wait_for(lambda: IN_CHINESE[name] in person.screen_text())
            found += await changed(person, f"zh-{name}", sizes_in_chinese(name))
    assert not found, "\n".join(found)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SCENES)
async def test_a_screen_can_be_read_in_every_theme(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scene in each theme. Without it each is read in two, and each theme is tried with a quarter of all scenes:
    what colours words get is decided by a few rules of style, which many scenes share."""
    async with shown(SCENES[name], SCENES[name].sizes[0], monkeypatch) as person:
        found = await hard_to_read(person, SCENES[name].ready, NEAREST)
    assert not found, "\n".join(found)


def themes_of(name: str) -> tuple[str, ...]:
    """That of the terminal's own colours, of which other things are asked, and one of the others in turn."""
    others = [theme for theme in NEAREST if theme != "terminal"]
    return others[list(SCENES).index(name) % len(others)], "terminal"


def test_every_scene_is_looked_at_in_chinese() -> None:
    assert set(IN_CHINESE) == set(SCENES)


@pytest.mark.parametrize("name", [name for name in IN_CHINESE if name not in SPOKEN_TO])
async def test_a_screen_looks_as_it_did_in_chinese(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SCENES[name]._replace(ready=IN_CHINESE[name])
    use("zh")
    sizes = sizes_in_chinese(name)
    async with shown(scene, sizes[0], monkeypatch) as person:
        found = await changed(person, f"zh-{name}", sizes)
    assert not found, "\n".join(found)


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use("en")


def sizes_in_chinese(name: str) -> tuple[Size, ...]:
    return ((80, 24), (120, 40)) if name in WIDE_IN_CHINESE else ((80, 24),)


async def changed(person: Person, name: str, sizes: Sequence[Size]) -> list[str]:
    """What on the screen is not as in the files of that name, while the terminal takes these sizes one after the
    other."""
    differences = []
    for size in sizes:
        if person.app.size != size:
            await person.pilot.resize_terminal(*size)
            await calm(person)
        differences += await _difference(person, SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt")
    return differences


async def at_rest(seen: Callable[[], str]) -> str:
    """What stays as it is for a second: what is behind a dialog may still be painted, or read."""
    frame, since = seen(), time.monotonic()

    def is_at_rest() -> bool:
        nonlocal frame, since
        if frame != (now := seen()):
            frame, since = now, time.monotonic()
        return time.monotonic() - since > 1

    await until(is_at_rest)
    return frame


async def _difference(person: Person, file: Path) -> list[str]:
    def seen() -> str:
        return snapshot(person.app.screen._compositor.render_strips())

    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(await at_rest(seen))
    expected = file.read_text()
    # A busy machine may still be painting what is behind a dialog.
    with contextlib.suppress(AssertionError):
        await until(lambda: seen() == expected, within_s=5)
    rows = difflib.unified_diff(expected.split("\n"), seen().split("\n"), file.name, "now", lineterm="")
    return list(rows)
