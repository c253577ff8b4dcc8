"""Takes the pictures of the README: the real app with the real engine, in terminals of the size named, as SVG
files in docs/images. The model is the tiny trained one of the tests, so that every machine gives the same answers.

    make screenshots
    python scripts/screenshots.py --only chat --to /tmp/shots
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tui.words import Language, use

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tui.app.app import LlmtuiApp

TOP = Path(__file__).resolve().parent.parent
MODELS = TOP / "tests" / "data" / "models"
DENSE, MOE = MODELS / "tiny-qwen3-q8_0.gguf", MODELS / "tiny-qwen3moe-q8_0.gguf"

Act = Callable[["LlmtuiApp", "Pilot[int]"], Awaitable[None]]


async def wait_for(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Let the app run until `condition()` holds."""
    deadline = asyncio.get_running_loop().time() + 60
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError("the app did not get there within a minute")
        await pilot.pause(0.05)
    await pilot.pause(0.1)


async def ask(app: LlmtuiApp, pilot: Pilot[int], text: str) -> None:
    """Send a prompt and wait for the whole answer."""
    controller = app.controller
    n_turns = len(controller.conversation.turns)
    controller.queue.send(text)
    await wait_for(pilot, lambda: controller.phase == "ready" and len(controller.conversation.turns) == n_turns + 2)


async def chat(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    for text in ("Show a table", "hello", "用Python写冒泡排序"):
        await ask(app, pilot, text)
    await pilot.pause(1.2)  # the sidebar reads once a second


async def picker(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+o")
    await pilot.pause(1.0)


async def load_settings(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+l")
    await pilot.pause(0.5)


async def engine_died(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    await ask(app, pilot, "hello")
    os.kill(app.controller.engine.pid or 0, 9)
    await wait_for(pilot, lambda: app.controller.phase == "dead")


class Shot(NamedTuple):
    """What a picture shows."""

    act: Act
    """What is done in the app."""
    size: tuple[int, int]
    """Columns and rows."""
    theme: str = "graphite"
    model: Path = DENSE
    language: Language = "en"


SHOTS = {
    "chat": Shot(chat, (120, 40)),
    "chat-zh": Shot(chat, (120, 40), language="zh"),
    "chat-light": Shot(chat, (120, 40), "paper"),
    "narrow": Shot(chat, (80, 24)),
    "narrow-zh": Shot(chat, (80, 24), language="zh"),
    "wide": Shot(chat, (200, 60)),
    "picker": Shot(picker, (120, 30)),
    "picker-zh": Shot(picker, (120, 30), language="zh"),
    "load": Shot(load_settings, (120, 30), model=MOE),
    "load-zh": Shot(load_settings, (120, 30), model=MOE, language="zh"),
    "engine-died": Shot(engine_died, (120, 24)),
    "engine-died-zh": Shot(engine_died, (120, 24), language="zh"),
}


async def shoot(name: str, folder: Path) -> None:
    """Run the app for one picture."""
    from tui.app.run import make_app
    from tui.config.options import AppOptions

    shot = SHOTS[name]
    use(shot.language)
    load: dict[str, object] = {"n_ctx": 2048, "n_threads": 1, "backend": "cpu"}
    app = make_app(AppOptions(model=shot.model, theme=shot.theme, load=load))
    async with app.run_test(size=shot.size, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.controller.phase == "ready")
        await shot.act(app, pilot)
        svg = app.export_screenshot(title="llmtui")
    # Textual's picture asks a web server for its font; a reader's own monospaced font will do.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    (folder / f"{name}.svg").write_text(svg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SHOTS, action="append", help="make this picture only (again for more)")
    parser.add_argument("--to", type=Path, default=TOP / "docs" / "images", help="folder to write to")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or SHOTS:
        with tempfile.TemporaryDirectory() as home:
            for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
                os.environ[variable] = home
            settings = Path(home) / "llmtui" / "settings.toml"
            settings.parent.mkdir()
            settings.write_text("[sampling.thinking]\ntemperature = 0.0\n[sampling.plain]\ntemperature = 0.0\n")
            models = Path(home) / "llmtui" / "models"
            models.mkdir(parents=True, exist_ok=True)
            for model in (DENSE, MOE):
                shutil.copy(model, models)
            asyncio.run(shoot(name, arguments.to))
        print(arguments.to / f"{name}.svg")


if __name__ == "__main__":
    main()
