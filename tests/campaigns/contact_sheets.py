"""Pictures of every screen, for eyes: each scene of `tests/app/scenes.py` in five sizes, both languages and all
themes. A sheet is one SVG file, which has a scene at one size in one language, once for each theme; `index.html` leads
to all of them. Nothing is compared, and nothing of it is committed.

usage: python tests/campaigns/contact_sheets.py FOLDER [--scene NAME ...] [--size 80x24 ...] [--theme NAME ...]
                                                [--language en|zh ...]

Run from the root of the project. Some 4 s for each sheet of all themes on two cores. `rsvg-convert` makes PNG files of
the sheets where a viewer wants those.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["LLMTUI_EVERY_FRAME"] = "1"  # Textual's picture is of the last frame

from tests.app.scenes import IN_CHINESE, SCENES, shown
from tests.homes import own_home
from tui.config import paths
from tui.config.themes import load_themes
from tui.words import LANGUAGES, Language, use

SIZES = ((40, 12), (60, 20), (80, 24), (120, 40), (200, 60))
WIDTH = 1100
"""Of a picture in its sheet, in pixels."""
GAP = 12


class Sheet(NamedTuple):
    """What a sheet shows."""

    scene: str
    size: tuple[int, int]
    language: Language

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return f"{self.scene}-{self.size[0]}x{self.size[1]}-{self.language}.svg"


async def draw(sheet: Sheet, themes: Sequence[str]) -> str:
    """The sheet as SVG: the pictures from left to right, as many in a row as make it about as high as it is wide."""
    scene = SCENES[sheet.scene]
    ready = scene.ready if sheet.language == "en" else IN_CHINESE.get(sheet.scene, "")
    # At a size that no snapshot has, what tells that the scene is there may be out of sight.
    scene = scene._replace(ready=ready if sheet.size in scene.sizes else "")
    pictures = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with shown(scene, sheet.size, monkeypatch) as person:
            for theme in themes:
                person.app.theme = theme
                await person.pilot.pause()
                pictures.append(person.app.export_screenshot(title=theme))
    return together(pictures)


def together(pictures: Sequence[str]) -> str:
    """Pictures of one size in a grid."""
    width, height = (float(number) for number in _view_box(pictures[0]))
    tall = WIDTH * height / width
    n_columns = max(1, min(len(pictures), round((len(pictures) * tall / WIDTH) ** 0.5)))
    n_rows = -(-len(pictures) // n_columns)
    whole = n_columns * (WIDTH + GAP) + GAP, n_rows * (tall + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {whole[0]:.0f} {whole[1]:.0f}">',
        '<rect width="100%" height="100%" fill="#777"/>',
    ]
    for place, picture in enumerate(pictures):
        row, column = divmod(place, n_columns)
        x, y = GAP + column * (WIDTH + GAP), GAP + row * (tall + GAP)
        where = f'<svg x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{tall:.0f}" '
        # Textual's picture asks a web server for its font; whoever looks has a monospaced one.
        own = re.sub(r"@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
        parts.append(own.replace("<svg ", where, 1))
    return "\n".join([*parts, "</svg>"])


def _view_box(picture: str) -> tuple[str, str]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)
    assert found is not None, "Textual's pictures have a viewBox"
    return found[1], found[2]


def index(sheets: Iterable[Sheet]) -> str:
    """A page with all sheets, small; a click shows one of them large."""
    links = "\n".join(
        f'<a href="{name}"><figure><img src="{name}" loading="lazy" width="480"><figcaption>{name}</figcaption>'
        "</figure></a>"
        for name in (html.escape(sheet.file) for sheet in sheets)
    )
    style = "body{font-family:sans-serif;display:flex;flex-wrap:wrap}figure{margin:8px}"
    return f"<!doctype html><meta charset=utf-8><title>llmtui</title><style>{style}</style>\n{links}\n"


def _size(text: str) -> tuple[int, int]:
    columns, rows = text.split("x")
    return int(columns), int(rows)


def main() -> None:
    """Draw the sheets."""
    all_themes = list(load_themes(paths.builtin_themes_dir(), Path("/nowhere"))[0])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scene", choices=SCENES, nargs="+", default=list(SCENES))
    parser.add_argument("--size", type=_size, nargs="+", default=SIZES, metavar="80x24")
    parser.add_argument("--theme", choices=all_themes, nargs="+", default=all_themes)
    parser.add_argument("--language", choices=LANGUAGES, nargs="+", default=list(LANGUAGES))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for language in asked.language:
        use(language)
        for name in asked.scene:
            for size in asked.size:
                sheet = Sheet(name, size, language)
                with own_home():
                    try:
                        picture = asyncio.run(draw(sheet, asked.theme))
                    except Exception as error:  # noqa: BLE001 - one that does not come must not cost all the others
                        print(f"{sheet.file}: {type(error).__name__}: {error}", file=sys.stderr)
                        continue
                (asked.folder / sheet.file).write_text(picture)
                drawn.append(sheet)
                print(asked.folder / sheet.file)
    (asked.folder / "index.html").write_text(index(drawn))


if __name__ == "__main__":
    main()
