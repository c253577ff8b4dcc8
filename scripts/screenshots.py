"""Takes the pictures of the README and of docs/screens.md: the real app with the real engine, in terminals of the size
named, as SVG files. The model is SmolLM2-135M, which says something worth reading, where LLMTUI_SMOLLM2 names it or
`make test` has fetched it; else, and in Chinese, the tiny trained one of the tests.

    make screenshots                                   # those of the docs, into docs/images
    python scripts/screenshots.py --only chat --to /tmp/shots
    python scripts/screenshots.py --only switch        # the film of a switch to the GPU in the middle of an answer
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import small_model
import terminal_svg
import wheel_cache

from tui.words import Language, use

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tui.app.app import LlmtuiApp

TOP = Path(__file__).resolve().parent.parent
MODELS = TOP / "tests" / "data" / "models"
DENSE, MOE = MODELS / "tiny-qwen3-q8_0.gguf", MODELS / "tiny-qwen3moe-q8_0.gguf"
PATIENCE_S = 300.0
FRAME_S, LONGEST_S, END_S = 0.25, 1.0, 4.0
"""A film looks at the screen each so many seconds; what stands still longer is cut to this; and how long the end
stands."""
SETTINGS = "[chat]\nkeep_context = 0\n[sampling.thinking]\ntemperature = 0.0\n[sampling.plain]\ntemperature = 0.0\n"
BRIEFLY = "[chat]\nsystem_prompt = 'Answer in two short sentences.'\n"
SETTINGS_OF_SMALL = SETTINGS.replace("[chat]\n", BRIEFLY) + "repeat_penalty = 1.1\n"
"""For SmolLM2, which goes round in circles otherwise."""


def chat_model() -> Path:
    """SmolLM2 where it is on this machine already, else the tiny model."""
    named = Path(os.environ.get("LLMTUI_SMOLLM2", ""))
    cached = wheel_cache.root() / "models" / small_model.FILE
    return next((file for file in (named, cached) if file.is_file()), DENSE)


CHAT = chat_model()
OF_SMOLLM2 = (
    "What is a lighthouse for?",
    "Show a Python function that reverses a string.",
    "Name three things that a small model on a laptop is good for.",
)
OF_TINY = ("Show a table", "hello", "用Python写冒泡排序")
"""What it was trained to answer."""
STORY, SWITCH_AT, STOP_AT = "Tell me a story about a lighthouse keeper and a storm.", 250, 700
"""What the film asks, and after how many characters of the answer it switches, and ends."""
if CHAT == DENSE:
    STORY, SWITCH_AT = OF_TINY[0], 20

TOO_LONG = 1 << (25 if CHAT == DENSE else 21)
"""Tokens of a context that takes more than 40 GiB."""

Frames = list[tuple[float, terminal_svg.Screen]]
Act = Callable[["LlmtuiApp", "Pilot[int]"], Awaitable[Frames | None]]


class Shot(NamedTuple):
    """A picture, or a film, where what is done gives frames."""

    act: Act
    """What is done in the app."""
    size: tuple[int, int] = (120, 34)
    """Columns and rows."""
    theme: str = "graphite"
    model: Path | None = CHAT
    language: Language = "en"
    in_docs: bool = True
    """The docs have it; others are for looking at."""
    load: Mapping[str, object] = {}
    is_loaded: bool = True
    """The model is loaded before anything is done."""


async def wait_for(
    pilot: Pilot[int], condition: Callable[[], object], progress: Callable[[], object] = lambda: None
) -> None:
    """Let the app run until `condition()` holds, as long as it takes on a busy machine: it is given up only when what
    `progress()` gives has not changed for `PATIENCE_S`."""
    now = asyncio.get_running_loop().time
    deadline, seen = now() + PATIENCE_S, progress()
    while not condition():
        if (reached := progress()) != seen:
            deadline, seen = now() + PATIENCE_S, reached
        if now() > deadline:
            raise TimeoutError("the app did not get there in time")
        await pilot.pause(0.05)
    await pilot.pause(0.1)


async def ask(app: LlmtuiApp, pilot: Pilot[int], text: str) -> None:
    """Send a prompt and wait for the whole answer."""
    controller = app.controller
    n_turns = len(controller.conversation.turns)
    controller.queue.send(text)
    await wait_for(
        pilot,
        lambda: controller.phase == "ready" and len(controller.conversation.turns) == n_turns + 2,
        lambda: controller.context.n_used,
    )


# What is done for a picture -------------------------------------------------------------------------------------------


async def chat(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    for text in OF_TINY if app.options.model in (DENSE, MOE) else OF_SMOLLM2:
        await ask(app, pilot, text)
    await pilot.pause(2.2)  # the sidebar reads once a second


async def start_page(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    await chat(app, pilot)
    await pilot.press("ctrl+n")
    await pilot.pause(1.5)


def after_chat(action: str, *keys: str, settle_s: float = 1.5) -> Act:
    """A conversation, then an action of the app or the main screen, then keys."""

    async def act(app: LlmtuiApp, pilot: Pilot[int]) -> None:
        await ask(app, pilot, OF_TINY[0] if app.options.model in (DENSE, MOE) else OF_SMOLLM2[0])
        await app.run_action(action)
        await pilot.pause(0.5)
        await pilot.press(*keys)
        await pilot.pause(settle_s)

    return act


async def ask_about_memory(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    from textual.screen import ModalScreen

    await wait_for(pilot, lambda: isinstance(app.screen, ModalScreen))
    await pilot.pause(1.0)


async def tune(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    """The search for the fastest settings, when some were tried."""
    from tui.app.screens.tune import TuneScreen

    await app.run_action("screen.tune")
    await wait_for(pilot, lambda: isinstance(app.screen, TuneScreen))

    def n_tried() -> int:
        outcome = app.screen.state.outcome if isinstance(app.screen, TuneScreen) else None
        return sum(bool(trial.speeds) for trial in outcome.trials) if outcome else 0

    await wait_for(pilot, lambda: n_tried() > 4, n_tried)


async def monitor(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    await chat(app, pilot)
    await app.run_action("screen.monitor")
    await pilot.pause(30.0)  # its graphs have a value each second


def scene(name: str) -> Act:
    """A scene of the tests about hubs and downloads: their hub is on this machine and has the same on its shelf always,
    and their downloads stand still."""

    async def act(app: LlmtuiApp, pilot: Pilot[int]) -> None:
        from tests.app import hub_scenes
        from tests.app.conftest import Person

        await getattr(hub_scenes, name)(Person(app, pilot))
        await pilot.pause(1.0)

    return act


async def engine_died(app: LlmtuiApp, pilot: Pilot[int]) -> None:
    await ask(app, pilot, "hello")
    os.kill(app.controller.engine.pid or 0, 9)
    await wait_for(pilot, lambda: app.controller.phase == "dead")


async def switch(app: LlmtuiApp, pilot: Pilot[int]) -> Frames:
    """An answer begins on the CPU and goes on on the GPU: what is on the screen from the prompt to the end."""
    from tui.session.events import AnswerGrew, AnySessionEvent

    controller = app.controller
    written: list[str] = []
    frames: Frames = []
    seen_s = asyncio.get_running_loop().time()

    async def look(seconds: float) -> None:
        """What is seen now stays for as long as nothing else is there, up to a limit."""
        nonlocal seen_s
        await pilot.pause(seconds)
        now_s, screen = asyncio.get_running_loop().time(), terminal_svg.screen_of(app)
        if frames and frames[-1][1] == screen:
            frames[-1] = (min(LONGEST_S, frames[-1][0] + now_s - seen_s), screen)
        else:
            frames.append((min(LONGEST_S, now_s - seen_s), screen))
        seen_s = now_s

    async def look_until(condition: Callable[[], object]) -> None:
        now = asyncio.get_running_loop().time
        deadline, seen = now() + PATIENCE_S, length()
        while not condition():
            if (reached := length()) != seen:
                deadline, seen = now() + PATIENCE_S, reached
            if now() > deadline:
                raise TimeoutError("the answer did not get there in time")
            await look(FRAME_S)

    def length() -> int:
        """Characters of the answer so far."""
        return sum(map(len, written))

    def hear(event: AnySessionEvent) -> None:
        if isinstance(event, AnswerGrew):
            written.append(event.delta.text)

    controller.listen(hear)
    controller.configure(system_prompt="")
    for word in STORY.split(" "):
        await pilot.press(*("space" if letter == " " else letter for letter in f"{word} "))
        await look(0.0)
    await pilot.press("enter")
    await look_until(lambda: length() > SWITCH_AT)
    await pilot.press("f6")
    await look_until(lambda: controller.engine.loaded and controller.engine.loaded.llama.devices)
    await look_until(lambda: length() > STOP_AT or controller.conversation.turns[-1].stop)
    await pilot.press("escape")
    await look_until(lambda: controller.phase == "ready")
    await pilot.pause(1.2)
    await look(0.0)
    frames[-1] = (END_S, frames[-1][1])
    return frames


SHOTS = {
    "chat": Shot(chat, (120, 40)),
    "chat-narrow": Shot(chat, (80, 24)),
    "chat-wide": Shot(chat, (200, 50)),
    "chat-zh": Shot(chat, (120, 40), model=DENSE, language="zh"),
    "switch": Shot(switch, (104, 26)),
    "start": Shot(start_page),
    "picker": Shot(after_chat("screen.pick_model", settle_s=3.0)),
    "picker-zh": Shot(after_chat("screen.pick_model", settle_s=3.0), model=DENSE, language="zh"),
    "load": Shot(after_chat("screen.load_settings"), model=MOE),
    "memory": Shot(ask_about_memory, load={"n_ctx": TOO_LONG}, is_loaded=False),
    "conversations": Shot(after_chat("screen.conversations")),
    "sampling": Shot(after_chat("screen.sampling")),
    "bench": Shot(after_chat("screen.bench")),
    "tune": Shot(tune),
    "monitor": Shot(monitor, (120, 40)),
    "find": Shot(scene("find")),
    "repository": Shot(scene("look_into")),
    "downloads": Shot(scene("watch_downloads")),
    "details": Shot(after_chat("screen.model_details"), (120, 40), model=MOE),
    "palette": Shot(after_chat("palette")),
    "help": Shot(after_chat("help")),
    "theme": Shot(after_chat("screen.theme", "down")),
    "log": Shot(after_chat("log_view")),
    "engine-died": Shot(engine_died, (120, 24)),
    # To look at.
    "chat-light": Shot(chat, (120, 40), "paper", in_docs=False),
    "chat-low": Shot(chat, (40, 12), in_docs=False),
    "chat-narrow-zh": Shot(chat, (80, 24), model=DENSE, language="zh", in_docs=False),
    "load-zh": Shot(after_chat("screen.load_settings"), model=MOE, language="zh", in_docs=False),
    "engine-died-zh": Shot(engine_died, (120, 24), language="zh", in_docs=False),
}


async def shoot(shot: Shot) -> str:
    """Run the app for one picture; its SVG."""
    from tests.scripted_downloads import ScriptedDownloads
    from tui.app.run import make_app
    from tui.config.options import AppOptions
    from tui.session import beside

    vars(beside)["LocalDownloads"] = ScriptedDownloads
    use(shot.language)
    load = {"n_ctx": 2048, "n_threads": 1 if shot.model in (DENSE, MOE) else 0, "backend": "cpu", "seed": 1}
    app = make_app(
        AppOptions(
            background=False,
            model=shot.model,
            theme=shot.theme,
            load={**load, **shot.load},
            software_vulkan=shot.act is switch,
        )
    )
    async with app.run_test(size=shot.size, notifications=True) as pilot:
        if shot.is_loaded:
            await wait_for(pilot, lambda: app.controller.phase == "ready")
        frames = await shot.act(app, pilot)
        return terminal_svg.film(frames) if frames else terminal_svg.picture(terminal_svg.screen_of(app))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SHOTS, action="append", help="make this one only (again for more)")
    parser.add_argument("--to", type=Path, default=TOP / "docs" / "images", help="folder to write to")
    arguments = parser.parse_args()
    sys.path.insert(0, str(TOP))  # for what the tests have on their shelf
    os.environ["LLMTUI_EVERY_FRAME"] = "1"  # the tests leave out frames that nobody looks at
    arguments.to.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MESA_SHADER_CACHE_DIR", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    for name in arguments.only or [name for name, shot in SHOTS.items() if shot.in_docs]:
        with tempfile.TemporaryDirectory() as home:
            for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
                os.environ[variable] = home
            models = Path(home) / "llmtui" / "models"
            models.mkdir(parents=True)
            settings = SETTINGS if SHOTS[name].model in (None, DENSE, MOE) else SETTINGS_OF_SMALL
            (models.parent / "settings.toml").write_text(settings)
            for model in {CHAT, DENSE, MOE}:
                (models / model.name).symlink_to(model)
            file = arguments.to / f"{name}.svg"
            file.write_text(asyncio.run(shoot(SHOTS[name])))
        print(f"{file} ({file.stat().st_size / 1024:.0f} KiB)")


if __name__ == "__main__":
    main()
