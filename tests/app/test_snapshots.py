"""What every screen and dialog looks like in the app, text and colours, as files in `tests/data/screens`: first the
terminal's rows, then one letter per cell for its style, then what the letters mean. And that every theme can show them.

After a wanted change: UPDATE_SNAPSHOTS=1 pytest tests/app/test_snapshots.py, and read the difference."""

from __future__ import annotations

import contextlib
import os
import string

import pytest
from rich.style import Style
from textual.strip import Strip

from tests.app.scenes import IN_CHINESE, SCENES, WIDE_IN_CHINESE, Scene, shown
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


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}")
        for name, scene in SCENES.items()
        for size in scene.sizes
    ],
)
async def test_a_screen_looks_as_it_did(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    await expect_as_before(SCENES[name], name, size, monkeypatch)


def test_every_scene_is_looked_at_in_chinese() -> None:
    assert set(IN_CHINESE) == set(SCENES)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}")
        for name in IN_CHINESE
        for size in ((80, 24), (120, 40))[: 2 if name in WIDE_IN_CHINESE else 1]
    ],
)
async def test_a_screen_looks_as_it_did_in_chinese(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = SCENES[name]._replace(ready=IN_CHINESE[name])
    use("zh")
    try:
        await expect_as_before(scene, f"zh-{name}", size, monkeypatch)
    finally:
        use("en")


async def expect_as_before(scene: Scene, name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the screen against the file of that name."""
    file = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt"
    async with shown(scene, size, monkeypatch) as person:

        def seen() -> str:
            return snapshot(person.app.screen._compositor.render_strips())

        if os.environ.get("UPDATE_SNAPSHOTS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(seen())
        expected = file.read_text()
        # A busy machine may still be painting what is behind a dialog.
        with contextlib.suppress(AssertionError):
            await until(lambda: seen() == expected, within_s=5)
        assert seen() == expected


@pytest.mark.parametrize("name", ["picker", "load-settings"])
async def test_themes_show_list_and_form(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(SCENES[name], (80, 24), monkeypatch) as person:
        for theme in NEAREST:
            person.app.theme = theme
            await person.pilot.pause()
            assert person.app.theme == theme and SCENES[name].ready in person.screen_text()
