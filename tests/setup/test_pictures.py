"""The pictures of the docs: that each is there and shown, and that a screen becomes an SVG with all its text."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from tests.places import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "scripts"))

import terminal_svg
from screenshots import SHOTS

PAGES = (*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md"))
SVG = "{http://www.w3.org/2000/svg}"


class Counter(App[None]):
    """Three rows, of which one changes."""

    CSS = (
        "Screen { background: #101010; } Static { color: #e0e0e0; } #strong { text-style: bold; background: #203040; }"
    )

    def compose(self) -> ComposeResult:
        yield Static("模型 <one> & more")
        yield Static("0", id="number")
        yield Static("  bold  ", id="strong")


async def counted() -> list[tuple[float, terminal_svg.Screen]]:
    """A film of it in three frames."""
    frames = []
    app = Counter()
    async with app.run_test(size=(20, 4)) as pilot:
        for number in range(3):
            app.query_one("#number", Static).update(f"step {number}")
            await pilot.pause()
            frames.append((0.5, terminal_svg.screen_of(app)))
    return frames


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


async def test_a_picture_has_every_text_where_it_stands() -> None:
    (_, screen), *_ = await counted()
    svg = ElementTree.fromstring(terminal_svg.picture(screen))
    assert texts(svg) == ["模型 <one> & more", "step 0", "bold"]
    chinese, _, bold = svg.iter(f"{SVG}text")
    width = terminal_svg.CELL_WIDTH
    assert float(chinese.attrib["textLength"]) == pytest.approx(17 * width)
    assert float(bold.attrib["x"]) == pytest.approx(2 * width)
    css = "".join(style.text or "" for style in svg.iter(f"{SVG}style"))
    assert "font-weight:bold" in css and "fill:#203040" in css


async def test_a_film_has_each_row_once_and_each_frame_at_its_time() -> None:
    film = terminal_svg.film(await counted())
    svg = ElementTree.fromstring(film)
    assert sorted(texts(svg)) == sorted(["模型 <one> & more", "bold", "step 0", "step 1", "step 2"])
    strip = next(group for group in svg.iter(f"{SVG}g") if group.attrib.get("class") == "f")
    assert [len(list(frame)) for frame in strip] == [3, 3, 3]
    moments = re.findall(r"([\d.]+)%\{transform:translateX\((-?[\d.]+)px\)\}", film)
    assert [float(at) for at, _ in moments] == pytest.approx([0.0, 33.33, 66.67])
    assert "animation:f 1.5s step-end infinite" in film


def test_every_picture_that_a_page_shows_is_there_and_is_made_by_the_script() -> None:
    shown = {
        image: page
        for page in PAGES
        for image in re.findall(r"!\[[^]]+\]\(((?:docs/)?images/[\w-]+\.svg)\)", page.read_text())
    }
    assert {page.name for page in shown.values()} >= {"README.md", "README.zh.md", "screens.md"}
    assert [image for image, page in shown.items() if not (page.parent / image).is_file()] == []
    by_script = {name for name, shot in SHOTS.items() if shot.in_docs}
    of_charts = {"models-cpu", "models-h100"}
    assert {image.rpartition("/")[2].removesuffix(".svg") for image in shown} == by_script | of_charts


def test_pictures_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in (CHECKOUT / "docs" / "images").glob("*.svg")}
    assert sizes.pop("switch.svg") < 400_000
    assert [name for name, size in sizes.items() if size > 100_000] == []
